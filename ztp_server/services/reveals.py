"""Secrets that are shown to somebody: written down first, and so many an hour."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import Fields
from ztp_server.errors import TooMany
from ztp_server.store import Session

# More than a person needs, and too few to copy a fleet one by one. The records of the audit are what is counted, so the
# limit holds over restarts and for all servers together.
MOST_AN_HOUR = 20
_HOUR = timedelta(hours=1)


async def note_reveal(
    session: Session, who: Actor, action: str, subject: str, *, after: Fields | None = None, reason: str
) -> None:
    """Write down that somebody is shown secrets, in a write session and before they are. `action` ends with
    `.revealed`. Raises TooMany, but not for who works on this machine: they can read the database and its key."""
    if who.address or who.token:
        now = datetime.now(UTC)
        times = await session.audit.reveals(who.name, now - _HOUR, MOST_AN_HOUR)
        if len(times) >= MOST_AN_HOUR:
            wait = max(1, math.ceil((times[-1] + _HOUR - now).total_seconds()))
            raise TooMany(f"secrets were revealed to you {MOST_AN_HOUR} times within an hour; that is the limit", wait)
    await session.audit.add(who, action, subject, after=after, reason=reason)
