"""What the server itself reported: files that could not be made, firmware that is missing or damaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.event import Event
from ztp_server.store import Store


class Events:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self, who: Actor, *, below: int | None = None, limit: int = 100, subject: str = "", action: str = ""
    ) -> tuple[Sequence[tuple[int, Event]], bool]:
        """Events with their numbers, newest first, below the given number; and whether there are more. Raises
        Forbidden."""
        who.require("audit:view")
        async with self._store.read() as session:
            found = await session.events.page(below=below, limit=limit + 1, subject=subject, action=action)
        return found[:limit], len(found) > limit


def event_view(seq: int, event: Event) -> dict[str, Any]:
    """An event as doors show it."""
    return {
        "seq": seq,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "detail": dict(event.detail),
    }
