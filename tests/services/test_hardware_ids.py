"""Which MACs are ours, in memory: a no is never wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, sample_phone
from ztp_server.errors import StoreUnavailable
from ztp_server.services import hardware_ids
from ztp_server.services.hardware_ids import HardwareIds
from ztp_server.services.opening import Services

NEW = "0004f2999999"


class Counting:
    """A store that counts how often it is read, and can be out of order."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self.reads = 0
        self.is_broken = False
        self.asked, self.may_read = asyncio.Event(), asyncio.Event()
        self.may_read.set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.reads += 1
        self.asked.set()
        await self.may_read.wait()
        if self.is_broken:
            raise StoreUnavailable("locked")
        async with self._store.read() as session:
            yield session


@pytest.fixture
def store(office: Services) -> Counting:
    return Counting(office)


@pytest.fixture
def known(store: Counting) -> HardwareIds:
    return HardwareIds(store)  # type: ignore[arg-type]


async def test_phones_are_told_from_others_with_one_query(
    office: Services, store: Counting, known: HardwareIds
) -> None:
    await office.phones.add(ADMIN, sample_phone(NEW))
    answers = [await known.may_be(mac) for mac in (VVX, OTHER_VVX, HD400, NEW, "0004f2000000", "fe0000000000")]

    assert answers == [*await _are_there(office, VVX, OTHER_VVX, HD400), True, False, False]
    assert store.reads == 1


async def _are_there(office: Services, *macs: str) -> list[bool]:
    async with office.store.read() as session:
        return [await session.phones.find(mac) is not None for mac in macs]


async def test_a_phone_that_is_told_of_later_may_be_ours(store: Counting, known: HardwareIds) -> None:
    assert not await known.may_be(NEW)
    known.forget(NEW)
    known.forget("soft.phone.example.net")
    known.forget("")

    assert await known.may_be(NEW) and not await known.may_be("0004f2999998")
    assert store.reads == 1


async def test_one_that_is_told_of_while_the_others_are_read_is_not_missed(store: Counting, known: HardwareIds) -> None:
    store.may_read.clear()
    reading = asyncio.create_task(known.may_be("0004f2000000"))
    await store.asked.wait()
    # Nobody waits for it, and nobody is told no by it.
    assert await known.may_be("0004f2000001")
    known.forget(NEW)
    store.may_read.set()

    assert not await reading
    assert await known.may_be(NEW)


async def test_after_many_changes_all_are_read_again(
    office: Services, store: Counting, known: HardwareIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware_ids, "MOST_UNSURE", 3)
    assert not await known.may_be(NEW)
    await office.phones.add(ADMIN, sample_phone(NEW))
    for number in range(3):
        known.forget(f"0004f200000{number}")
    known.forget(NEW)

    assert await known.may_be(NEW) and not await known.may_be("0004f2000001")
    assert store.reads == 2


async def test_what_cannot_be_read_is_asked_for_again(store: Counting, known: HardwareIds) -> None:
    store.is_broken = True
    with pytest.raises(StoreUnavailable):
        await known.may_be(VVX)
    store.is_broken = False

    assert await known.may_be(VVX) and not await known.may_be(NEW)
    assert store.reads == 2
