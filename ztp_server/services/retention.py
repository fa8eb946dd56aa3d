"""What is past keeping is removed once a day, in batches between which others write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from ztp_server.store import Session, Store

CHECK_INS_KEPT = timedelta(days=90)
EVENTS_KEPT = timedelta(days=90)
MOST_EVENTS = 100_000
MOST_CHANGES = 100_000
KEYS_KEPT = timedelta(hours=24)
# A file that nobody was given yet by the log: the check-in that names it may not be written down.
_UNNAMED_KEPT = timedelta(days=2)
_BATCH = 2000

log = structlog.get_logger()


async def forget_old(store: Store, now: datetime | None = None) -> dict[str, int]:
    """Remove what is past keeping; returns how many rows of each kind were. Raises StoreUnavailable; what was removed
    by then stays removed."""
    now = now or datetime.now(UTC)
    removals: dict[str, Callable[[Session], Awaitable[int]]] = {
        "check_in_runs": lambda session: session.check_in_log.forget(now - CHECK_INS_KEPT, _BATCH),
        "served_files": lambda session: session.served_files.forget(now - _UNNAMED_KEPT, _BATCH),
        "events": lambda session: session.retention.forget_events(now - EVENTS_KEPT, MOST_EVENTS, _BATCH),
        "changes": lambda session: session.retention.forget_changes(MOST_CHANGES, _BATCH),
        "unknown_phones": lambda session: session.unknown_phones.make_room(now),
        "provisioning_windows": lambda session: session.phone_proofs.forget_windows(now, _BATCH),
        "idempotency_keys": lambda session: session.retention.forget_keys(now - KEYS_KEPT, _BATCH),
    }
    removed = {name: await _all(store, remove) for name, remove in removals.items()}
    if any(removed.values()):
        log.info("retention.removed", **removed)
    return removed


async def _all(store: Store, remove: Callable[[Session], Awaitable[int]]) -> int:
    total = 0
    while True:
        async with store.write() as session:
            removed = await remove(session)
        total += removed
        if removed < _BATCH:
            return total
