"""How a phone tells local time: the offset of standard time, and the two days a year when summer time comes and goes.

The rules are those of the POSIX TZ string as RFC 9636, section 3.3.1 extends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"[+-]?[0-9]{1,3}(?::[0-5][0-9]){0,2}"
_TZ = re.compile(rf"{_NAME}(?P<standard>{_TIME})(?P<dst>{_NAME}(?P<summer>{_TIME})?(?P<days>(?:,[^,]+){{2}})?)?")
_WEEKDAY = re.compile(rf"M(0?[1-9]|1[0-2])\.([1-5])\.([0-6])(?:/({_TIME}))?")
_DAY_OF_YEAR = re.compile(r"J?[0-9]+(?:/.*)?")
_OFFSET = re.compile(r"[+-]?[0-9]{1,2}(?::[0-5][0-9])?")

_HOUR = 3600
_DAY = 24 * _HOUR


@dataclass(frozen=True)
class Transition:
    """A change of the clock, on the same weekday of the same month every year.

    `month` is 1-12, `week` 1-5 (5: the last), `day_of_week` 0-6 (0: Sunday). `seconds` counts from that day's midnight
    by the clock before the change; it may lie days away, from -167 to 167 hours (RFC 9636, section 3.3.1).
    """

    month: int
    week: int
    day_of_week: int
    seconds: int

    @property
    def within_day(self) -> bool:
        """The change falls on the named day itself, at a whole minute."""
        return 0 <= self.seconds < _DAY and self.seconds % 60 == 0

    def __str__(self) -> str:
        """As `parse_transition` reads it: M3.5.0/02:00."""
        hours, minutes = self.seconds // _HOUR, self.seconds % _HOUR // 60
        return f"M{self.month}.{self.week}.{self.day_of_week}/{hours:02d}:{minutes:02d}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a template. Unless `within_day`, `hour` is below 0 or above 23, or seconds are cut off."""
        return {
            "month": self.month,
            "week": self.week,
            "day_of_week": self.day_of_week,
            "hour": self.seconds // _HOUR,
            "minute": self.seconds % _HOUR // 60,
            "last": self.week == 5,
        }


@dataclass(frozen=True)
class ClockRule:
    """Local time of every year alike.

    `utc_offset` is standard time in seconds east of UTC; `dst_offset` the seconds that summer time adds, 0 when there
    is none. `dst_start` and `dst_stop` are both set or both None.
    """

    utc_offset: int
    dst_offset: int
    dst_start: Transition | None
    dst_stop: Transition | None

    @property
    def has_dst(self) -> bool:
        return self.dst_start is not None and self.dst_stop is not None

    @property
    def within_day(self) -> bool:
        """A phone that knows only month, week, weekday and time of day can follow this rule.

        False for Africa/Cairo: 24:00 of the last Thursday is a Friday, but not always the last one.
        """
        return all(change is None or change.within_day for change in (self.dst_start, self.dst_stop))

    @property
    def uses_last_week(self) -> bool:
        return any(change is not None and change.week == 5 for change in (self.dst_start, self.dst_stop))

    @property
    def by_hand(self) -> str:
        """The settings that say the same without a zone."""
        dst = f", dst_start={self.dst_start}, dst_stop={self.dst_stop}" if self.has_dst else ""
        return f"gmt_offset={format_offset(self.utc_offset)}{dst}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a template: seconds, `utc_offset_text` as +01:00, and `dst`, None without summer time."""
        dst = None
        if self.dst_start and self.dst_stop:
            dst = {"offset": self.dst_offset, "start": self.dst_start.as_dict(), "stop": self.dst_stop.as_dict()}
        return {"utc_offset": self.utc_offset, "utc_offset_text": format_offset(self.utc_offset), "dst": dst}


def parse_posix_tz(text: str) -> ClockRule:
    """Read a TZ string such as `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX.1, section 8.3; RFC 9636, section 3.3.1).

    Summer time is the one further ahead, whatever the string calls it: Europe/Dublin has its standard time in summer.
    Raises ValueError for text that is no TZ string, and for rules that name a day of the year (Jn, n).
    """
    found = _TZ.fullmatch(text)
    if not found:
        raise ValueError(f"a TZ string such as CET-1CEST,M3.5.0,M10.5.0/3, not {text[:64]!r}")
    standard = _east_of_utc(found["standard"])
    if found["dst"] is None:
        return ClockRule(standard, 0, None, None)
    if not found["days"]:
        raise ValueError(f"a TZ string that says when summer time starts and stops, not {text[:64]!r}")
    summer = _east_of_utc(found["summer"]) if found["summer"] else standard + _HOUR
    start, stop = (parse_transition(day) for day in found["days"][1:].split(","))
    if summer == standard:
        return ClockRule(standard, 0, None, None)
    if summer < standard:
        # Each time is by the clock before its own change, so it holds whichever of the two is called the start.
        start, stop = stop, start
    return ClockRule(min(standard, summer), abs(summer - standard), start, stop)


def parse_transition(text: str) -> Transition:
    """Read `M3.5.0/02:00`: month, week, weekday and time, 02:00 when left out (POSIX.1, section 8.3).

    Raises ValueError, worded to follow "must be".
    """
    if _DAY_OF_YEAR.fullmatch(text):
        raise ValueError("a weekday such as M3.5.0/02:00; phones cannot change the clock by day of the year (Jn or n)")
    found = _WEEKDAY.fullmatch(text)
    if not found:
        raise ValueError("month, week, weekday and time such as M3.5.0/02:00 (week 5 is the last, weekday 0 is Sunday)")
    seconds = _seconds(found[4] or "2")
    if abs(seconds) >= 168 * _HOUR:
        raise ValueError("a time from -167 to 167 hours")
    return Transition(int(found[1]), int(found[2]), int(found[3]), seconds)


def parse_offset(text: str) -> int:
    """Read `+01:00`, `-03:30`, `+5`, `0` or `Z` as seconds east of UTC.

    Raises ValueError, worded to follow "must be", for anything else and beyond -12:00 and +14:00, the offsets in use.
    """
    if text == "Z":
        return 0
    seconds = _seconds(text) if _OFFSET.fullmatch(text) else None
    if seconds is None or not -12 * _HOUR <= seconds <= 14 * _HOUR:
        raise ValueError("an offset from UTC such as +01:00 or -03:30, from -12:00 to +14:00")
    return seconds


def format_offset(seconds: int) -> str:
    """Seconds east of UTC as `+01:00`; what is less than a minute is cut off."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _east_of_utc(text: str) -> int:
    seconds = _seconds(text)
    if abs(seconds) >= 25 * _HOUR:
        raise ValueError("a TZ string with offsets of at most 24 hours")
    # POSIX counts west of Greenwich.
    return -seconds


def _seconds(text: str) -> int:
    """Seconds of `[+-]h[:mm[:ss]]`."""
    hours, minutes, seconds = [*map(int, text.lstrip("+-").split(":")), 0, 0][:3]
    total = hours * _HOUR + minutes * 60 + seconds
    return -total if text.startswith("-") else total
