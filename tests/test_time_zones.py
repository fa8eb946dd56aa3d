from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from ztp_server.domain.clock import ClockRule, Transition
from ztp_server.errors import BadValue
from ztp_server.time_zones import clock_rule, zone_names

H = 3600
# Palestine changes with the moon; Cuba has one more year before its rule holds (tzdata 2026f).
FOLLOW_NO_RULE = {"Asia/Gaza", "Asia/Hebron", "America/Havana", "Cuba"}


@pytest.mark.parametrize(
    ("zone", "rule"),
    [
        ("Etc/UTC", ClockRule(0, 0, None, None)),
        ("Asia/Kolkata", ClockRule(19_800, 0, None, None)),
        ("Asia/Kathmandu", ClockRule(20_700, 0, None, None)),
        ("Australia/Brisbane", ClockRule(10 * H, 0, None, None)),
        ("Europe/Madrid", ClockRule(H, H, Transition(3, 5, 0, 2 * H), Transition(10, 5, 0, 3 * H))),
        ("Europe/Dublin", ClockRule(0, H, Transition(3, 5, 0, H), Transition(10, 5, 0, 2 * H))),
        ("America/New_York", ClockRule(-5 * H, H, Transition(3, 2, 0, 2 * H), Transition(11, 1, 0, 2 * H))),
        ("America/St_Johns", ClockRule(-12_600, H, Transition(3, 2, 0, 2 * H), Transition(11, 1, 0, 2 * H))),
        ("Australia/Sydney", ClockRule(10 * H, H, Transition(10, 1, 0, 2 * H), Transition(4, 1, 0, 3 * H))),
        ("Australia/Lord_Howe", ClockRule(37_800, 1800, Transition(10, 1, 0, 2 * H), Transition(4, 1, 0, 2 * H))),
        ("Africa/Cairo", ClockRule(2 * H, H, Transition(4, 5, 5, 0), Transition(10, 5, 4, 24 * H))),
        ("America/Nuuk", ClockRule(-2 * H, H, Transition(3, 5, 0, -H), Transition(10, 5, 0, 0))),
        # Since tzdata 2026f: Morocco stays at UTC and no longer changes around Ramadan.
        ("Africa/Casablanca", ClockRule(0, 0, None, None)),
    ],
)
def test_rule_of_a_zone(zone: str, rule: ClockRule) -> None:
    assert clock_rule(zone) == rule


def test_an_old_name_is_the_same_zone() -> None:
    assert clock_rule("America/Godthab") == clock_rule("America/Nuuk")


@pytest.mark.parametrize(("zone", "within_day"), [("Europe/Madrid", True), ("Africa/Cairo", False), ("MST", True)])
def test_zones_a_weekday_clock_can_follow(zone: str, within_day: bool) -> None:
    assert clock_rule(zone).within_day is within_day


@pytest.mark.parametrize("zone", sorted(FOLLOW_NO_RULE))
def test_zone_without_a_yearly_rule_is_refused(zone: str) -> None:
    with pytest.raises(BadValue, match=f"{zone} .* set gmt_offset, dst_start and dst_stop") as refused:
        clock_rule(zone)
    assert refused.value.field == "time_zone"


@pytest.mark.parametrize(
    "zone",
    [
        "",
        ".",
        "..",
        "/",
        "../x",
        "../zones",
        "Europe/../Europe/Madrid",
        "/etc/passwd",
        "/usr/share/zoneinfo/Europe/Madrid",
        "Europe",
        "Europe/",
        "Europe/Madrid/",
        "Europe/Madrid\n",
        "Europe/Madrid\0",
        "Europe\\Madrid",
        "europe/madrid",
        "__init__.py",
        "zone.tab",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "x" * 100_000,
    ],
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadValue, match="is not an IANA time zone") as refused:
        clock_rule(zone)
    assert refused.value.field == "time_zone"
    assert len(str(refused.value)) < 200
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("zone", ["europe/madrid", "EUROPE/MADRID", "Europe/Madird", "Europe/ Madrid"])
def test_the_nearest_name_is_suggested(zone: str) -> None:
    with pytest.raises(BadValue, match=r"did you mean Europe/Madrid\?"):
        clock_rule(zone)


def test_nothing_near_nothing_suggested() -> None:
    with pytest.raises(BadValue, match=r"zone$"):
        clock_rule("qqqq")


def test_zone_names() -> None:
    names = zone_names()
    assert names == sorted(set(names))
    assert {"Etc/UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires"} <= set(names)
    names.clear()
    assert zone_names()


def test_every_rule_agrees_with_zoneinfo() -> None:
    wrong = []
    for name in zone_names():
        if name not in FOLLOW_NO_RULE:
            rule, zone = clock_rule(name), _zone_info(name)
            wrong += [(name, at) for at in _instants(rule) if _offset(rule, at) != at.astimezone(zone).utcoffset()]
    assert wrong == []


def _zone_info(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def _instants(rule: ClockRule) -> Iterator[datetime]:
    """Every second day of 2030, and the second before and of each change in the years around it."""
    yield from (datetime(2030, 1, 1, 6, tzinfo=UTC) + timedelta(days=days) for days in range(0, 365, 2))
    for year in range(2029, 2033):
        for change in _changes(rule, year):
            yield from (change - timedelta(seconds=1), change)


def _changes(rule: ClockRule, year: int) -> list[datetime]:
    """The instants summer time starts and stops in a year, none without summer time."""
    if not rule.dst_start or not rule.dst_stop:
        return []
    start, stop = _wall_clock(rule.dst_start, year), _wall_clock(rule.dst_stop, year)
    return [start - timedelta(seconds=rule.utc_offset), stop - timedelta(seconds=rule.utc_offset + rule.dst_offset)]


def _wall_clock(change: Transition, year: int) -> datetime:
    days = [
        day
        for day in range(1, calendar.monthrange(year, change.month)[1] + 1)
        if calendar.weekday(year, change.month, day) == (change.day_of_week - 1) % 7
    ]
    day = days[min(change.week, len(days)) - 1]
    return datetime(year, change.month, day, tzinfo=UTC) + timedelta(seconds=change.seconds)


def _offset(rule: ClockRule, at: datetime) -> timedelta:
    changes = _changes(rule, at.year)
    if not changes:
        return timedelta(seconds=rule.utc_offset)
    start, stop = changes
    summer = start <= at < stop if start < stop else not stop <= at < start
    return timedelta(seconds=rule.utc_offset + (rule.dst_offset if summer else 0))
