"""Do the SIP platforms answer, and do they tell who is registered?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.domain.platform import Platform
from ztp_server.domain.text import is_unreadable
from ztp_server.services.doctor_patient import Check, Patient
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.platform_check import check_address
from ztp_server.services.platform_source import check_source

_AT_ONCE = 10
_SECONDS = 4.0
# Of what is wrong in the same way.
_NAMED = 10


async def platforms(patient: Patient) -> Sequence[Finding]:
    """SIP platforms are there and tell who is registered: each is asked, from this machine, and nothing is changed."""
    assert patient.store
    async with patient.store.read() as session:
        found = [one for one in await session.platforms.all() if one.address or one.source != "none"]
    agents, turns = PlatformAgents(), asyncio.Semaphore(_AT_ONCE)

    async def ask(platform: Platform) -> Sequence[Finding]:
        if is_unreadable(platform.password) or is_unreadable(platform.source_password):
            return []  # which the check of sealed values says
        async with turns:
            # Without an address, or a source, what is said is advice.
            parts = check_address(agents, platform, _SECONDS), check_source(agents, platform, _SECONDS)
            return await asyncio.gather(*parts)

    try:
        answers = await asyncio.gather(*map(ask, found))
    finally:
        await agents.close()
    # Whoever looks may stand elsewhere than the server: no more than a warning.
    wrong = [
        Finding("warning", f"platform {platform.id}: {said.what}", f"ztp platform check {platform.id}: {said.advice}")
        for platform, both in zip(found, answers, strict=True)
        for said in both
        if said.level not in ("ok", "advice")
    ]
    more = [Finding("warning", f"{len(wrong) - _NAMED} more do not answer or tell nothing", "ztp platform list")]
    return [*wrong[:_NAMED], *(more if len(wrong) > _NAMED else [])] or ok(f"{len(found)} answer")


CHECKS = (Check("platforms", "SIP platforms", platforms, "key"),)
