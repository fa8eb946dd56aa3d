"""Is a SIP platform there, and does it tell who is registered? What came, in plain words, and what to do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.diagnosis import Finding, worst
from ztp_server.domain.platform import Platform
from ztp_server.errors import BadValue, Misconfigured, TooMany
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.platform_source import check_source, shown
from ztp_server.sip.outcome import Response
from ztp_server.store import Store

SECONDS = 8.0
_PAGE = "docs/how-to/sip-platforms.md"


class PlatformCheck:
    def __init__(self, store: Store, agents: PlatformAgents) -> None:
        self._store = store
        self._agents = agents
        self._checking = asyncio.Lock()

    async def check(self, who: Actor, platform_id: str) -> dict[str, Any]:
        """Ask the address and the source of a platform, `SECONDS` each at most, one platform at a time. It takes the
        permission to change platforms: who may ask can find out which doors of a network are open. Raises NotFound,
        Forbidden and TooMany; what fails is a finding."""
        who.require("platforms:edit")
        async with self._store.read() as session:
            platform = await session.platforms.get(platform_id)
        if self._checking.locked():
            raise TooMany("another platform is being checked", round(SECONDS))
        async with self._checking:
            address, source = await asyncio.gather(
                check_address(self._agents, platform), check_source(self._agents, platform, SECONDS)
            )
        parts = (("address", address), ("source", source))
        return {
            "id": platform.id,
            "level": worst(finding.level for finding in (address, source)),
            "findings": [
                {"part": part, "level": found.level, "what": found.what, "advice": found.advice}
                for part, found in parts
            ],
        }


async def check_address(agents: PlatformAgents, platform: Platform, seconds: float = SECONDS) -> Finding:
    """Ask a platform whether it is there (OPTIONS; RFC 3261, section 11), for so long at most."""
    if not platform.address:
        what = "none is set: phones can be neither restarted nor re-synced by way of this platform"
        return Finding("advice", what, f"ztp platform edit {platform.id} --address udp:HOST:5060")
    try:
        agent, destination = agents.agent(platform), agents.destination(platform)
    except (BadValue, Misconfigured) as error:
        return Finding("failure", str(error), f"set it anew: {_PAGE}")
    started = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            login = agents.credentials(platform)
            response = await agent.options(f"sip:{_host(platform.domains[0])}", destination, credentials=login)
    except TimeoutError:
        response = Response("no_answer", reason=f"nothing within {seconds:.0f} s")
    taken = f"{(time.monotonic() - started) * 1000:.0f} ms"
    found = _answered(response, platform, taken) if response.kind == "answered" else _unanswered(response, platform)
    return Finding(found.level, f"{destination}: {found.what}", found.advice)


def _answered(response: Response, platform: Platform, taken: str) -> Finding:
    said = f"answers {response.code} {shown(response.reason)} in {taken}"
    if response.ok:
        server = shown(response.header("Server") or response.header("User-Agent"))
        return Finding("ok", f"{said}{f' ({server})' if server else ''}")
    if response.code in (401, 407) and platform.user:
        return Finding("failure", f"{said}: it does not take our login", "check user and password, and its realm")
    if response.code in (401, 407):
        advice = f"let this server's address in there, or give it --user and --password here: {_PAGE}"
        return Finding("warning", f"{said}: it asks for a login, and none is set", advice)
    if response.code == 403:
        return Finding("failure", f"{said}: it refuses us", f"let this server's address in there: {_PAGE}")
    if response.code >= 500 and response.code != 501:
        return Finding("warning", f"{said}: it is there, and cannot work at the moment", "look into its log")
    what = f"{said}: it is there, and does not answer questions about itself, which does no harm"
    return Finding("ok", what)


def _unanswered(response: Response, platform: Platform) -> Finding:
    reason = shown(response.reason)
    if response.kind == "tls_failed":
        advice = f"give the CA that signs for it, --ca @FILE, and the name in its certificate as HOST: {_PAGE}"
        return Finding("failure", f"TLS fails: {reason}", advice)
    if response.kind == "refused":
        return Finding("failure", f"cannot be reached: {reason}", "check host and port, and that it listens there")
    if response.kind == "malformed":
        return Finding("failure", f"what answers is not SIP: {reason}", "check port and transport")
    advice = f"check host, port and transport, a firewall between, and that it lets us in: {_PAGE}"
    return Finding("failure", f"no answer: {reason}", advice)


def _host(domain: str) -> str:
    return f"[{domain}]" if ":" in domain else domain
