"""What is remembered of whose a proof is: bounded, and true after every change."""

from __future__ import annotations

import asyncio
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
from ztp_server.services import fleet, login_users, proof_index
from ztp_server.services.fleet import Fleet
from ztp_server.services.login_users import LoginUsers
from ztp_server.services.opening import Services
from ztp_server.services.proof_index import ProofIndex
from ztp_server.store import phone_proofs

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


async def test_one_who_is_cancelled_while_reading_windows_leaves_them_to_the_next(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_proofs, "_BATCH", 1)
    index = ProofIndex(opened.store)

    @asynccontextmanager
    async def cancelled() -> AsyncIterator[Any]:
        raise asyncio.CancelledError
        yield

    assert await windows(index) == set()
    for mac in (VVX, OTHER_VVX, HD400):
        await open_window(opened, mac)
        index.forget(mac)
    with monkeypatch.context() as broken:
        broken.setattr(opened.store, "read", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await windows(index)
    assert await windows(index) == {VVX, OTHER_VVX, HD400}


async def test_changes_are_heeded_some_at_a_time_and_none_is_lost_with_who_heard_of_them(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_AT_ONCE", 1)
    one = Fleet(opened.store, opened.templates, opened.address)
    await one.catch_up()
    before = [await one.find(mac) for mac in (VVX, OTHER_VVX, HD400)]
    for mac in (VVX, OTHER_VVX, HD400):
        await open_window(opened, mac)
    tell_some = Fleet._tell_some

    def and_hangs_up(self: Fleet) -> None:
        tell_some(self)
        raise asyncio.CancelledError

    with monkeypatch.context() as hanging_up:
        hanging_up.setattr(Fleet, "_tell_some", and_hangs_up)
        with pytest.raises(asyncio.CancelledError):
            await one.catch_up()
    assert one._untold and not opened.store.changes.moved()
    await one.catch_up()
    after = [await one.find(mac) for mac in (VVX, OTHER_VVX, HD400)]
    assert [known and known.proofs.window for known in before] == [None, None, None]
    assert all(known and known.proofs.window for known in after)


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
    reads = _counted(opened, monkeypatch)
    for number in range(200):
        assert await index.owner_of_user(f"nobody '{number}") == ""
    # What is made up is neither asked for nor remembered.
    assert reads == [] and list(index._owners) == ["user desk"]
    await put_user(opened, "hall")
    index.forget(VVX)

    assert (early, found) == ("", VVX)
    assert len(index._owners) <= 50 and sum(map(len, index._shown_by.values())) <= 50
    assert (await index.owner_of_user("desk"), await index.owner_of_user("hall")) == ("", VVX)


async def test_a_login_costs_one_query_after_a_change_and_none_while_nothing_changes(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_users, "MOST_UNSURE", 3)
    monkeypatch.setattr(login_users, "MOST_ADDED", 1)
    users = LoginUsers(opened.store)
    reads = _counted(opened, monkeypatch)
    assert [await users.may_be(name) for name in ("desk", "", "é😀'--", "x" * 64)] == [False] * 4
    assert len(reads) == 1
    await put_user(opened, "desk")
    assert not await users.may_be("desk")
    users.forget(VVX)
    assert await users.may_be("desk") and len(reads) == 2
    # More than are told one by one: all are read again.
    await put_user(opened, "hall")
    await put_user(opened, "door", OTHER_VVX)
    for mac in (VVX, OTHER_VVX, HD400, "0004f2000000"):
        users.forget(mac)
    assert [await users.may_be(name) for name in ("hall", "door", "desk")] == [True, True, False]
    assert len(reads) == 3
    for mac in (VVX, OTHER_VVX):
        users.forget(mac)
    assert not await users.may_be("nobody") and users._unsure is None
    assert not await users.may_be("nobody") and users._unsure == set()


async def test_who_is_told_while_nobody_can_find_out_is_looked_up_later(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_user(opened, "desk")
    index = ProofIndex(opened.store)
    assert await index.owner_of_user("desk") == VVX
    await put_user(opened, "hall", OTHER_VVX)
    index.forget(OTHER_VVX)
    with monkeypatch.context() as patch:
        patch.setattr(opened.store, "read", _out_of_order)
        assert await index.owner_of_user("desk") == VVX  # known from better days
        with pytest.raises(StoreUnavailable):
            await index.owner_of_user("hall")

    assert await index.owner_of_user("hall") == OTHER_VVX


def _counted(opened: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each time that the store is read from now on."""
    read, reads = opened.store.read, list[str]()
    monkeypatch.setattr(opened.store, "read", lambda: reads.append("read") or read())  # type: ignore[func-returns-value]
    return reads


@asynccontextmanager
async def _out_of_order() -> AsyncIterator[Any]:
    raise StoreUnavailable("locked")
    yield


async def test_a_token_that_was_never_made_is_nobodys_without_a_question(
    opened: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.store, "read", None)
    index = ProofIndex(opened.store)

    for text in ("", "a", "a" * 48, "é" * 48, "a" * 300, "😀", "' OR 1=1 --"):
        assert await index.owner_of_token(text) == ""
