"""Does the source of a SIP platform tell who is registered? Asked once, for a person who wants to know."""

from __future__ import annotations

import asyncio

from ztp_server.domain.diagnosis import Finding
from ztp_server.domain.platform import Platform
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import BadValue, Misconfigured
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.sip.sources.source import Everything, Report, Silent, Told

_PAGE = "docs/how-to/sip-platforms.md"


async def check_source(agents: PlatformAgents, platform: Platform, seconds: float) -> Finding:
    """Listen to a source until it first says something, for so long at most."""
    if platform.source == "none":
        what = "none is set: nobody tells which phones are registered"
        return Finding("advice", what, f"ztp platform edit {platform.id} --source KIND: {_PAGE}")
    if is_unreadable(platform.source_password):
        return Finding("failure", "its password does not open", f"set it anew: {_PAGE}")
    try:
        source = agents.source(platform)
    except (BadValue, Misconfigured) as error:
        return Finding("failure", str(error), f"set it anew: {_PAGE}")
    assert source
    # One that tells of single lines only is asked for any; that there is none of that name is an answer.
    source.want([f"{platform.user or 'ztp'}@{platform.domains[0]}"])
    try:
        async with asyncio.timeout(seconds), source:
            report = await anext(aiter(source))
    except TimeoutError:
        report = Silent(f"nothing within {seconds:.0f} s")
    return _finding(platform, report)


def _finding(platform: Platform, report: Report) -> Finding:
    if isinstance(report, Everything):
        registered = sum(bool(told.contacts) for told in report.told)
        return Finding("ok", f"{platform.source}: tells of registrations, {registered} at the moment")
    if isinstance(report, Told):
        return Finding("ok", f"{platform.source}: tells of registrations")
    advice = f"see that it lets us in and its door is open, and check the login: {_PAGE}"
    if isinstance(report, Silent):
        return Finding("failure", f"{platform.source}: {shown(report.reason)}", advice)
    advice = f"it has to let this server subscribe (SUBSCRIBE with Event: reg): {_PAGE}"
    return Finding("warning", f"{platform.source}: does not tell of {report.user}: {shown(report.reason)}", advice)


def shown(text: str) -> str:
    """What a peer said, short and harmless."""
    return "".join(character for character in text[:120] if character.isprintable())
