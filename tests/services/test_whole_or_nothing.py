"""What administrators do about trust is written down with its record, or it is not done."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, fill
from tests.services.opened import new_data, open_data
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import StoreUnavailable
from ztp_server.services.opening import Services
from ztp_server.store.audit import AuditStore

KNOCKED, DENIED = "0004f2100001", "b" * 64
WAYS: dict[str, Callable[[Services], Awaitable[Any]]] = {
    "token": lambda s: s.phone_proofs.new_token(ADMIN, HD400),
    "token removed": lambda s: s.phone_proofs.remove_token(ADMIN, VVX, "bootstrap"),
    "window": lambda s: s.phone_proofs.open_window(ADMIN, HD400),
    "window closed": lambda s: s.phone_proofs.close_window(ADMIN, VVX),
    "digest": lambda s: s.phone_proofs.set_digest(ADMIN, HD400),
    "digest removed": lambda s: s.phone_proofs.remove_digest(ADMIN, VVX),
    "digest revealed": lambda s: s.phone_proofs.reveal_digest(ADMIN, VVX, "why"),
    "blocked": lambda s: s.phone_proofs.block(ADMIN, VVX),
    "unblocked": lambda s: s.phone_proofs.unblock(ADMIN, OTHER_VVX),
    "approved": lambda s: s.unknown_phones.approve(ADMIN, KNOCKED, "madrid", "vvx-standard"),
    "denied": lambda s: s.unknown_phones.deny(ADMIN, KNOCKED),
    "forgotten": lambda s: s.unknown_phones.forget(ADMIN, KNOCKED),
    "rule": lambda s: s.approval_rules.add(ADMIN, "new", RULE),
    "rule changed": lambda s: s.approval_rules.edit(ADMIN, "old", {"most": 9}),
    "rule removed": lambda s: s.approval_rules.remove(ADMIN, "old"),
    "certificate denied": lambda s: s.denied_certificates.deny(ADMIN, "c" * 64, "stolen"),
    "certificate allowed": lambda s: s.denied_certificates.allow(ADMIN, DENIED),
    "key made": lambda s: s.keys.rotate(ADMIN),
    "key wrapped": lambda s: s.keys.rotate_wrapping(ADMIN),
}
RULE = {"site": "madrid", "base_settings": "vvx-standard", "most": 5, "networks": ["10.1.0.0/16"]}


@pytest.fixture
async def prepared(tmp_path: Path) -> AsyncIterator[Services]:
    services = await open_data(new_data(tmp_path / "data"))
    await fill(services)
    await services.phone_proofs.new_token(ADMIN, VVX)
    await services.phone_proofs.open_window(ADMIN, VVX)
    await services.phone_proofs.set_digest(ADMIN, VVX)
    await services.phone_proofs.block(ADMIN, OTHER_VVX)
    await services.approval_rules.add(ADMIN, "old", RULE)
    await services.denied_certificates.deny(ADMIN, DENIED, "stolen")
    now = datetime.now(UTC)
    async with services.store.write() as session:
        await session.unknown_phones.keep([UnknownPhone(KNOCKED, now, now, vendor="poly", model="vvx-411")])
    yield services
    await services.close()


def everything(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        return list(database.iterdump())


async def test_what_cannot_be_written_down_is_not_done(
    prepared: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("database or disk is full")

    before, key = everything(tmp_path / "data"), (tmp_path / "data" / "secret.key").read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(AuditStore, "add", full)
        broken.setattr(AuditStore, "add_all", full)
        for name, way in WAYS.items():
            with pytest.raises(StoreUnavailable):
                await way(prepared)
            assert everything(tmp_path / "data") == before, name
    assert (tmp_path / "data" / "secret.key").read_bytes() == key
