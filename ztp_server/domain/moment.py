"""Moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ztp_server.errors import BadValue

_MINUTES = re.compile("([0-9]{1,7})([mhd]?)")


def shown_moment(at: datetime) -> str:
    """A moment in a sentence: to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def parse_moment(field: str, text: str) -> datetime:
    """A date, or date and time (`2026-11-20T10:00`), in UTC unless an offset stands behind it. Raises BadValue."""
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(field, f"{text[:64]!r} is no time such as 2026-11-20T10:00 or 2026-11-20T10:00+01:00") from None


def parse_minutes(field: str, text: str) -> int:
    """A length of time as people write it (`60m`, `2h`, `1d`, `0`), in minutes. Raises BadValue."""
    found = _MINUTES.fullmatch(text.strip().lower())
    if not found:
        raise BadValue(field, f"{text[:64]!r} is no time such as 60m, 2h or 1d")
    return int(found[1]) * {"": 1, "m": 1, "h": 60, "d": 24 * 60}[found[2]]
