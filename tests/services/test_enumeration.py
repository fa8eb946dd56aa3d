"""Somebody who tries MACs is reported, once, with the network and no list."""

from __future__ import annotations

import pytest

from ztp_server.metrics import Metrics
from ztp_server.services import enumeration, failures
from ztp_server.services.enumeration import FROM_ALL, FROM_ONE, SPAN_SECONDS, Enumeration

Event = tuple[str, str, str]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(enumeration, "time", made)
    monkeypatch.setattr(failures, "time", made)
    return made


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def watch(clock: Clock, events: list[Event]) -> Enumeration:
    return Enumeration(lambda *event: events.append(event), Metrics())


def mac(number: int) -> str:
    return f"0004f2{number:06x}"


def test_many_macs_from_one_network_are_reported_once_an_hour(
    watch: Enumeration, clock: Clock, events: list[Event]
) -> None:
    for number in range(FROM_ONE):
        for _ in range(3):
            watch.saw(f"192.0.2.{number % 9}", mac(number))
    assert events == []
    for number in range(FROM_ONE, 5 * FROM_ONE):
        watch.saw("192.0.2.9", mac(number))

    [(action, subject, reason)] = events
    assert (action, subject) == ("enumeration.suspected", "192.0.2.0/24")
    assert "192.0.2.9" in reason and mac(FROM_ONE) not in reason
    for _ in range(5):
        clock.now += SPAN_SECONDS + 1
        for number in range(2 * FROM_ONE):
            watch.saw("192.0.2.9", mac(number))
    assert len(events) == 1
    clock.now += SPAN_SECONDS + 601
    for number in range(2 * FROM_ONE):
        watch.saw("192.0.2.9", mac(number))
    assert len(events) == 2


def test_slow_knocking_is_nothing_to_report(watch: Enumeration, clock: Clock, events: list[Event]) -> None:
    for number in range(10 * FROM_ONE):
        clock.now += 10
        watch.saw("192.0.2.9", mac(number))

    assert events == []


def test_many_macs_from_everywhere_are_reported_together(watch: Enumeration, events: list[Event]) -> None:
    for number in range(10 * FROM_ALL):
        watch.saw(f"10.{number >> 8 & 255}.{number & 255}.1", mac(number))

    assert [subject for _, subject, _ in events] == ["all networks"]
    # What is remembered is bounded, whatever comes.
    assert len(watch._macs) <= 1024 and max(map(len, watch._macs.values())) <= FROM_ALL + 1


def test_of_one_source_so_many_failures_are_noted_and_then_so_many_an_hour(clock: Clock) -> None:
    buckets = failures._Buckets(60)
    assert [buckets.take("a") for _ in range(62)] == [True] * 60 + [False] * 2
    assert buckets.take("b")
    clock.now += 60
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    clock.now += 36_000
    assert [buckets.take("a") for _ in range(61)] == [True] * 60 + [False]
    for number in range(20_000):
        buckets.take(f"source-{number}")
    assert len(buckets._left) == failures.MOST_REMEMBERED
