"""Secrets are shown so many times an hour, whatever the way, and each time is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import ADMIN, VVX
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.errors import TooMany
from ztp_server.services import reveals
from ztp_server.services.opening import Services
from ztp_server.services.reveals import MOST_AN_HOUR

ANA = Actor("account:ana", (Grant(ROLES["admin"]),), "192.0.2.7")
WAYS: dict[str, Callable[[Services, Actor], Awaitable[Any]]] = {
    "preview": lambda s, who: s.phones.preview(who, VVX, None, True, "why"),
    "annotations": lambda s, who: s.annotations.annotate(who, VVX, None, True, "why"),
    "connection": lambda s, who: s.connections.get(who, VVX, reveal=True, reason="why"),
    "export": lambda s, who: s.phone_export.export(who, {}, reveal=True, reason="why"),
    "site": lambda s, who: s.sites.reveal(who, "madrid", "why"),
    "base settings": lambda s, who: s.base_settings.reveal(who, "vvx-standard", "why"),
}


async def test_one_who_was_shown_secrets_so_often_waits_whatever_the_way(
    office: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = list(WAYS.values())
    for number in range(MOST_AN_HOUR):
        await ways[number % len(ways)](office, ANA)
    for name, way in WAYS.items():
        with pytest.raises(TooMany, match="20 times within an hour") as refused:
            await way(office, ANA)
        assert 3500 < refused.value.retry_after <= 3600, name
    shown = [r for r in await audited(office) if r.action.endswith(".revealed")]
    assert len(shown) == MOST_AN_HOUR and {r.actor for r in shown} == {"account:ana"}
    # What shows no secret is not counted, others are not held up, and who works on this machine never is.
    await office.phones.preview(ANA, VVX, None, False)
    await office.sites.reveal(Actor("token:ci", ANA.grants, "192.0.2.7", "id"), "madrid", "why")
    for _ in range(MOST_AN_HOUR + 1):
        await office.sites.reveal(ADMIN, "madrid", "why")

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(hours=1)

    monkeypatch.setattr(reveals, "datetime", Later)
    await office.sites.reveal(ANA, "madrid", "why")


async def audited(services: Services) -> list[Any]:
    return list((await services.audit.page(ADMIN, limit=1000))[0])
