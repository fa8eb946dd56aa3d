"""What waits to be read: the last of each address, in order, and never without bounds."""

from __future__ import annotations

import asyncio

import pytest

from tests.sip.sources.scripted import everything, report
from ztp_server.sip.sources import source as module
from ztp_server.sip.sources.source import Everything, Lost, Place, Reached, Report, Silent, Told, Untold
from ztp_server.sip.sources.uris import split_address, transport_of

HERE, THERE = (Place("sip:a@192.0.2.1"),), (Place("sip:a@192.0.2.2"),)


class Scripted(Reached):
    """Tells what it is given, and then what it is asked for anew."""

    def __init__(self, *rounds: list[Report | Exception]) -> None:
        super().__init__()
        self.rounds = list(rounds)
        self.is_idle = asyncio.Event()

    async def _listen(self) -> None:
        for one in self.rounds.pop(0) if self.rounds else []:
            if isinstance(one, Exception):
                raise one
            self._tell(one)
        self.is_idle.set()
        await self._anew.wait()
        self._anew.clear()
        self._tell(Everything((Told("all", "", HERE),)))
        await asyncio.Event().wait()


async def read(*rounds: list[Report | Exception], count: int) -> list[Report]:
    async with Scripted(*rounds) as source:
        await source.is_idle.wait()
        return [await report(source) for _ in range(count)]


async def test_the_last_of_each_address_is_read_in_order() -> None:
    a, b, gone = Told("a", "d", HERE), Told("b", "d", HERE), Told("a", "d", ())
    assert await read([a, b, gone], count=2) == [b, gone]
    assert await read([a, Silent("x"), Silent("y"), b, a], count=3) == [Silent("y"), b, a]
    assert await read([a, Untold("a", "d", "why")], count=1) == [Untold("a", "d", "why")]
    # Of another domain it is another.
    assert await read([a, Told("a", "e", THERE)], count=2) == [a, Told("a", "e", THERE)]
    whole = Everything((b,))
    assert await read([a, Silent("x"), Everything(()), whole, gone], count=2) == [whole, gone]


async def test_who_reads_nothing_of_very_many_is_told_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    source = Scripted([Told(str(number), "", HERE) for number in range(4)])
    async with source:
        await source.is_idle.wait()
        assert await everything(source) == {"all": Told("all", "", HERE)}


async def test_a_source_that_fails_says_why_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0)
    a = Told("a", "", HERE)
    source = Scripted([Lost("x" * 500)], [RuntimeError("secret")], [a])
    async with source:
        assert await report(source) == Silent("x" * 200)
        assert await report(source) == Silent("a failure of our own: see the log")
        assert await report(source) == a
    with pytest.raises(StopAsyncIteration):
        await anext(source)


async def test_a_reader_that_waits_is_told_that_the_source_was_left() -> None:
    source = Scripted([])
    async with source:
        waiting = asyncio.create_task(anext(source))
        await source.is_idle.wait()
    with pytest.raises(StopAsyncIteration):
        await waiting


def test_addresses_are_taken_apart() -> None:
    assert split_address("a@b@Example.ORG") == ("a@b", "example.org") and split_address("100") == ("100", "")
    assert transport_of("sips:a@b") == "tls" and transport_of("sip:a@b;transport=WSS") == "wss"
    assert transport_of("sip:a@b") == "udp" and transport_of(";transport=" * 10_000) == "udp"
