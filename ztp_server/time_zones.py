"""IANA time zones as clock rules.

The data is that of the `tzdata` package, never the operating system's, so that a phone gets the same bytes from every
machine.
"""

from __future__ import annotations

import difflib
import struct
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import tzdata

from ztp_server.domain.clock import ClockRule, parse_posix_tz
from ztp_server.errors import BadValue

# The header of a TZif file: 20 octets, then six counts (RFC 9636, section 3.1).
_COUNTS = struct.Struct(">20x6L")
# A change listed for a year after the data was made is one that the footer does not tell yet, or that no TZ string can
# tell at all (changes that follow the moon). The data's own year stands for today, so that bytes do not age.
_FOOTER_RULES_FROM = int(datetime(int(tzdata.IANA_VERSION[:4]) + 1, 1, 1, tzinfo=UTC).timestamp())


def zone_names() -> list[str]:
    """Every name that `clock_rule` knows, sorted."""
    return sorted(_names())


@cache
def clock_rule(zone: str) -> ClockRule:
    """The rule that a zone follows from now on: the footer of its TZif file (RFC 9636, section 3.3).

    Raises BadValue for a name that is not an IANA time zone, spelt exactly, and for a zone that no such rule describes.
    """
    if zone not in _names():
        raise BadValue("time_zone", f"{zone[:64]!r} is not an IANA time zone{_hint(zone)}")
    tzif = files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()
    try:
        return parse_posix_tz(_footer(tzif))
    except ValueError:
        reason = f"{zone} follows no yearly rule a phone could keep; set gmt_offset, dst_start and dst_stop instead"
        raise BadValue("time_zone", reason) from None


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def _hint(zone: str) -> str:
    by_lower = {name.lower(): name for name in zone_names()}
    near = difflib.get_close_matches(zone.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def _footer(tzif: bytes) -> str:
    """The TZ string between the last two newlines; empty when it does not tell the zone's future."""
    return "" if _last_transition(tzif) >= _FOOTER_RULES_FROM else tzif[:-1].rpartition(b"\n")[2].decode("ascii")


def _last_transition(tzif: bytes) -> int:
    """Seconds since 1970 of the last transition that is listed, 0 when there is none (RFC 9636, section 3.2)."""
    isut, isstd, leap, times, types, chars = _COUNTS.unpack_from(tzif)
    # A first block with four-octet times serves readers of version 1; the one that counts follows it.
    second = _COUNTS.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    times = _COUNTS.unpack_from(tzif, second)[3]
    if not times:
        return 0
    last: int = struct.unpack_from(">q", tzif, second + _COUNTS.size + (times - 1) * 8)[0]
    return last
