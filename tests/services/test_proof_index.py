"""What is remembered of whose a proof is: bounded, and true after every change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HD400, OTHER_VVX, VVX, fill
from tests.services.opened import new_data, open_data
from ztp_server.domain.proof import DigestCredential, ProvisioningWindow
from ztp_server.errors import StoreUnavailable
from ztp_server.services import proof_index
from ztp_server.services.opening import Services
from ztp_server.services.proof_index import ProofIndex

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Services]:
    services = await open_data(new_data(tmp_path / "data"))
    await fill(services)
    yield services
    await services.close()


async def open_window(services: Services, mac: str, minutes: int = 60) -> None:
    async with services.store.write() as session:
        phone = await session.phones.get(mac)
        window = ProvisioningWindow(phone.id, "test", NOW, NOW + timedelta(minutes=minutes))
        await session.phone_proofs.put_window(window)


async def windows(index: ProofIndex, now: datetime = NOW) -> set[str]:
    return {mac for mac in (VVX, OTHER_VVX, HD400) if await index.has_window(mac, now)}


async def put_user(services: Services, user: str, mac: str = VVX) -> None:
    async with services.store.write() as session:
        phone = await session.phones.get(mac)
        await session.phone_proofs.put_digest(DigestCredential(phone.id, user, "x", "test", NOW))


async def test_windows_are_known_as_they_are_after_each_change(opened: Services) -> None:
    index = ProofIndex(opened.store)
    nothing = await windows(index)
    await open_window(opened, VVX)
    await open_window(opened, HD400, minutes=5)
    untold = await windows(index)
    index.forget(VVX)
    index.forget(HD400)
    told, later = await windows(index), await windows(index, NOW + timedelta(minutes=10))
    async with opened.store.write() as session:
        await session.phone_proofs.close_window((await session.phones.get(VVX)).id)
    index.forget(VVX)

    assert nothing == untold == set()
    assert (told, later) == ({VVX, HD400}, {VVX})
    assert await windows(index) == {HD400}


async def test_after_too_many_changes_all_windows_are_read_again(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_index, "MOST_UNSURE", 3)
    index = ProofIndex(opened.store)
    await windows(index)
    await open_window(opened, VVX)
    for number in range(10):
        index.forget(f"0004f200000{number}")
        assert len(index._unsure or ()) <= 3

    assert await windows(index) == {VVX}


async def test_windows_of_better_days_stay_while_the_store_is_away(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ProofIndex(opened.store)

    @asynccontextmanager
    async def away() -> AsyncIterator[Any]:
        raise StoreUnavailable("database: locked")
        yield

    await open_window(opened, VVX)
    with monkeypatch.context() as broken:
        broken.setattr(opened.store, "read", away)
        with pytest.raises(StoreUnavailable):
            await windows(index)
    before = await windows(index)
    await open_window(opened, HD400)
    index.forget(HD400)
    with monkeypatch.context() as broken:
        broken.setattr(opened.store, "read", away)
        meanwhile = await windows(index)

    assert before == meanwhile == {VVX}
    assert await windows(index) == {VVX, HD400}


async def test_users_are_found_and_forgotten_and_those_of_nobody_are_bounded(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_index, "REMEMBERED", 50)
    index = ProofIndex(opened.store)
    early = await index.owner_of_user("desk")
    await put_user(opened, "desk")
    index.forget(VVX)
    found = await index.owner_of_user("desk")
    for number in range(200):
        assert await index.owner_of_user(f"nobody '{number}") == ""
    await put_user(opened, "hall")
    index.forget(VVX)

    assert (early, found) == ("", VVX)
    assert len(index._owners) <= 50 and sum(map(len, index._shown_by.values())) <= 50
    assert (await index.owner_of_user("desk"), await index.owner_of_user("hall")) == ("", VVX)


async def test_a_token_that_was_never_made_is_nobodys_without_a_question(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.store, "read", None)
    index = ProofIndex(opened.store)

    for text in ("", "a", "a" * 48, "é" * 48, "a" * 300, "😀", "' OR 1=1 --"):
        assert await index.owner_of_token(text) == ""
