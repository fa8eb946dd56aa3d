"""Phones that ask at the same time are read together, and each gets its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.phone import Line
from ztp_server.errors import StoreUnavailable
from ztp_server.services.opening import Services
from ztp_server.services.phone_reads import PhoneReads
from ztp_server.store.schema import phones

MANY = [f"0004f21{number:05x}" for number in range(70)]


class CountingStore:
    """The store, counting its reads; `broken`: none can be made; `gate`: each waits for it once it has begun."""

    def __init__(self, services: Services) -> None:
        self.store = services.store
        self.reads = 0
        self.broken = False
        self.began, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.reads += 1
        if self.broken:
            raise StoreUnavailable("the database is away")
        async with self.store.read() as session:
            self.began.set()
            await self.gate.wait()
            yield session


@pytest.fixture
def store(office: Services) -> Iterator[CountingStore]:
    counting = CountingStore(office)
    yield counting
    counting.gate.set()


@pytest.fixture
def reads(store: CountingStore) -> PhoneReads:
    return PhoneReads(store)  # type: ignore[arg-type]


async def add(office: Services, macs: list[str]) -> None:
    async with office.store.write() as session:
        own = [sample_phone(mac, lines=(Line(mac, password=f"of {mac}"), Line("2")), line_keys=()) for mac in macs]
        await session.phones.add(own)


async def test_many_are_read_in_few_transactions_and_each_is_itself(
    office: Services, store: CountingStore, reads: PhoneReads
) -> None:
    await add(office, MANY)
    await office.phone_proofs.new_token(ADMIN, MANY[3], "steady")
    asked = [*MANY, "0004f2ffffff", VVX, MANY[0]]
    found = await asyncio.gather(*map(reads.find, asked))

    assert [read and read.phone.hardware_id for read in found] == [*MANY, None, VVX, MANY[0]]
    for mac, read in zip(MANY, found, strict=False):
        assert read and [line.user for line in read.phone.lines] == [mac, "2"]
        assert read.phone.lines[0].password == f"of {mac}"
        assert bool(read.steady_token) == (mac == MANY[3])
    assert store.reads == 3, "72 phones, 32 at a time"


async def test_who_asks_while_others_are_read_gets_what_is_there_now(
    office: Services, store: CountingStore, reads: PhoneReads
) -> None:
    store.gate.clear()
    first = asyncio.create_task(reads.find(VVX))
    await store.began.wait()
    await office.phones.edit(ADMIN, VVX, {"name": "Renamed"}, {})
    second = asyncio.create_task(reads.find(VVX))
    await asyncio.sleep(0)
    store.gate.set()

    late = await second
    assert await first and late and late.phone.name == "Renamed"
    assert store.reads == 2


async def test_a_row_that_nobody_can_read_is_its_phones_trouble_alone(
    office: Services, store: CountingStore, reads: PhoneReads
) -> None:
    async with office.store.database.writing() as connection:
        keys = sa.update(phones).where(phones.c.hardware_id == VVX).values(line_keys=[{"no such": "key"}])
        await connection.execute(keys)
    found = await asyncio.gather(*map(reads.find, (OTHER_VVX, VVX, HD400)), return_exceptions=True)

    assert isinstance(found[1], TypeError)
    assert [read.phone.hardware_id for read in (found[0], found[2])] == [OTHER_VVX, HD400]


async def test_a_database_that_is_away_is_said_to_all_and_asked_again_later(
    store: CountingStore, reads: PhoneReads
) -> None:
    store.broken = True
    found = await asyncio.gather(*map(reads.find, (OTHER_VVX, VVX)), return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in found) and store.reads == 1

    store.broken = False
    assert (await asyncio.gather(*map(reads.find, (OTHER_VVX, VVX)))).count(None) == 0


async def test_one_who_hangs_up_takes_nothing_from_the_others(store: CountingStore, reads: PhoneReads) -> None:
    store.gate.clear()
    gone, stays = (asyncio.create_task(reads.find(VVX)) for _ in range(2))
    await store.began.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    store.gate.set()

    found = await stays
    assert gone.cancelled() and found and found.phone.hardware_id == VVX
