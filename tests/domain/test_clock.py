from __future__ import annotations

import pytest

from ztp_server.domain.clock import (
    ClockRule,
    Transition,
    format_offset,
    parse_offset,
    parse_posix_tz,
    parse_transition,
)

H = 3600


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("UTC0", ClockRule(0, 0, None, None)),
        ("<+0330>-3:30", ClockRule(12_600, 0, None, None)),
        ("<-00>0:00:30", ClockRule(-30, 0, None, None)),
        ("CET-1CEST,M3.5.0,M10.5.0/3", ClockRule(H, H, Transition(3, 5, 0, 2 * H), Transition(10, 5, 0, 3 * H))),
        ("EST5EDT,M3.2.0,M11.1.0", ClockRule(-5 * H, H, Transition(3, 2, 0, 2 * H), Transition(11, 1, 0, 2 * H))),
        (
            "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
            ClockRule(37_800, 1800, Transition(10, 1, 0, 2 * H), Transition(4, 1, 0, 2 * H)),
        ),
        (
            "<+00>0<+02>-2,M3.5.0/+1,M10.5.0/3",
            ClockRule(0, 2 * H, Transition(3, 5, 0, H), Transition(10, 5, 0, 3 * H)),
        ),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", ClockRule(-2 * H, H, Transition(3, 5, 0, -H), Transition(10, 5, 0, 0))),
        (
            "EET-2EEST,M4.5.5/0,M10.5.4/24",
            ClockRule(2 * H, H, Transition(4, 5, 5, 0), Transition(10, 5, 4, 24 * H)),
        ),
        (
            "AAA0BBB,M1.1.1/-167:59:59,M12.5.6/167:30",
            ClockRule(0, H, Transition(1, 1, 1, -604_799), Transition(12, 5, 6, 603_000)),
        ),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", ClockRule(0, H, Transition(3, 5, 0, H), Transition(10, 5, 0, 2 * H))),
        ("AAA-1BBB-1,M3.5.0,M10.5.0", ClockRule(H, 0, None, None)),
    ],
)
def test_posix_tz(text: str, rule: ClockRule) -> None:
    assert parse_posix_tz(text) == rule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a TZ string"),
        ("CET", "a TZ string"),
        ("ET-1", "a TZ string"),
        (":Europe/Madrid", "a TZ string"),
        ("CET-1\n", "a TZ string"),
        ("CET-٣", "a TZ string"),
        ("CET-1CEST,M3.5.0", "a TZ string"),
        ("CET-1CEST,M3.5.0,M10.5.0,M11.5.0", "a TZ string"),
        ("CET-25", "at most 24 hours"),
        ("CET-1CEST", "when summer time starts"),
        ("CET-1CEST,J60,J300", "day of the year"),
        ("CET-1CEST,M3.5.0,300/3", "day of the year"),
        ("CET-1CEST,M13.5.0,M10.5.0", "month, week"),
    ],
)
def test_posix_tz_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_posix_tz(text)


@pytest.mark.parametrize(
    ("text", "transition"),
    [
        ("M3.5.0/02:00", Transition(3, 5, 0, 2 * H)),
        ("M03.5.0", Transition(3, 5, 0, 2 * H)),
        ("M12.1.6/0", Transition(12, 1, 6, 0)),
        ("M10.2.4/23:59", Transition(10, 2, 4, 86_340)),
        ("M10.5.4/24", Transition(10, 5, 4, 24 * H)),
        ("M3.5.0/-1:30", Transition(3, 5, 0, -5400)),
    ],
)
def test_transition(text: str, transition: Transition) -> None:
    assert parse_transition(text) == transition


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "M3.5.0/02:00"),
        ("3.5.0", "M3.5.0/02:00"),
        ("M0.5.0", "M3.5.0/02:00"),
        ("M3.0.0", "M3.5.0/02:00"),
        ("M3.6.0", "M3.5.0/02:00"),
        ("M3.5.7", "weekday 0 is Sunday"),
        ("M3.5.0/2:60", "M3.5.0/02:00"),
        ("M3.5.0/", "M3.5.0/02:00"),
        ("M3.5.0/2\n", "M3.5.0/02:00"),
        ("M3.5.0/168", "-167 to 167 hours"),
        ("M3.5.0/-168", "-167 to 167 hours"),
        ("J60/2", "day of the year"),
        ("59", "day of the year"),
    ],
)
def test_transition_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_transition(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+01:00", H),
        ("-03:30", -12_600),
        ("-00:30", -1800),
        ("+5", 5 * H),
        ("5", 5 * H),
        ("0", 0),
        ("Z", 0),
        ("-12:00", -12 * H),
        ("+14:00", 14 * H),
    ],
)
def test_offset(text: str, seconds: int) -> None:
    assert parse_offset(text) == seconds


@pytest.mark.parametrize("text", ["", "z", "+", "+1:5", "+01:60", "+0100", "-12:01", "+14:01", "+01:00:00", "1\n", "٣"])
def test_offset_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an offset from UTC"):
        parse_offset(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "+00:00"), (H, "+01:00"), (-12_600, "-03:30"), (-1800, "-00:30"), (45_900, "+12:45")]
)
def test_format_offset(seconds: int, text: str) -> None:
    assert format_offset(seconds) == text


def test_offsets_survive_being_written_and_read() -> None:
    offsets = range(-12 * H, 14 * H + 1, 60)
    assert [parse_offset(format_offset(seconds)) for seconds in offsets] == list(offsets)


def test_rule_as_plain_values() -> None:
    assert parse_posix_tz("CET-1CEST,M3.5.0,M10.4.6/3:45").as_dict() == {
        "utc_offset": 3600,
        "utc_offset_text": "+01:00",
        "dst": {
            "offset": 3600,
            "start": {"month": 3, "week": 5, "day_of_week": 0, "hour": 2, "minute": 0, "last": True},
            "stop": {"month": 10, "week": 4, "day_of_week": 6, "hour": 3, "minute": 45, "last": False},
        },
    }
    assert parse_posix_tz("MST7").as_dict() == {"utc_offset": -25_200, "utc_offset_text": "-07:00", "dst": None}


@pytest.mark.parametrize(
    ("text", "within_day", "hour", "minute"),
    [
        ("M3.5.0/0", True, 0, 0),
        ("M3.5.0/23:59", True, 23, 59),
        ("M3.5.0/24", False, 24, 0),
        ("M3.5.0/-1", False, -1, 0),
        ("M3.5.0/-1:30", False, -2, 30),
        ("M3.5.0/2:00:30", False, 2, 0),
    ],
)
def test_within_day(text: str, within_day: bool, hour: int, minute: int) -> None:
    transition = parse_transition(text)
    assert transition.within_day is within_day
    assert (transition.as_dict()["hour"], transition.as_dict()["minute"]) == (hour, minute)
    plain = Transition(6, 1, 0, 0)
    assert ClockRule(0, H, transition, plain).within_day is within_day
    assert ClockRule(0, H, plain, transition).within_day is within_day


def test_a_rule_without_summer_time() -> None:
    rule = parse_posix_tz("UTC0")
    assert not rule.has_dst
    assert rule.within_day
