"""Requests that name a key are done once: the answer is kept for a day, and given again to whoever repeats one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ztp_server.domain.access import Actor
from ztp_server.errors import BadValue, Conflict
from ztp_server.store import Store

KEPT = timedelta(hours=24)
FIELD = "Idempotency-Key"


class Idempotency:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, who: Actor, key: str, request: str) -> str | None:
        """Claim a key for a request, of which `request` is the SHA-256 in hex. The answer when it was done before; None
        when it is to be done now, and then `finish` or `forget` must follow. Raises Conflict while it is being done,
        and BadValue when the key belongs to another request."""
        async with self._store.write() as session:
            await session.idempotency.prune(datetime.now(UTC) - KEPT)
            request = session.idempotency.digest(request)
            found = await session.idempotency.get(who.name, key)
            if found is None:
                await session.idempotency.claim(who.name, key, request)
                return None
        if found.request != request:
            raise BadValue(FIELD, "was used for another request")
        if found.answer is None:
            # Whether a server that was stopped in the middle had done it, nobody can tell from here.
            raise Conflict(
                "the request with this Idempotency-Key is being done, or the server was stopped while it was: see "
                "whether it is done before you send it with a new key"
            )
        return found.answer

    async def finish(self, who: Actor, key: str, answer: str) -> None:
        """Keep the answer of what was done."""
        async with self._store.write() as session:
            await session.idempotency.finish(who.name, key, answer)

    async def forget(self, who: Actor, key: str) -> None:
        """Give a key back: its request was refused and changed nothing."""
        async with self._store.write() as session:
            await session.idempotency.forget(who.name, key)
