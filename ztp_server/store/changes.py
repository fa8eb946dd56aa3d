"""What was changed, so that every process forgets what it remembered of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import StoreUnavailable
from ztp_server.store.database import Database
from ztp_server.store.schema import changes

# How stale another process of a PostgreSQL cluster may be, in seconds.
POLL_SECONDS = 0.25
_BATCH = 1000


async def record(connection: AsyncConnection, kind: str, keys: Iterable[str] = ("",)) -> None:
    """Note a change in the transaction that makes it. An empty key means all of the kind."""
    rows = [{"kind": kind, "key": key} for key in keys]
    if rows:
        await connection.execute(sa.insert(changes), rows)


async def last_change(connection: AsyncConnection) -> int:
    """The number of the newest change, 0 before the first."""
    return (await connection.execute(sa.select(sa.func.max(changes.c.seq)))).scalar() or 0


class NoChanges:
    """Of a database that has not been opened yet: nothing of it is remembered."""

    def moved(self) -> bool:
        return False

    async def read(self) -> list[tuple[str, str]]:
        raise StoreUnavailable("the database has not been opened yet")

    def close(self) -> None:
        return None


class ChangeFeed:
    """Tells a cheap question (`moved`) from the query that answers it (`read`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: sqlite3.Connection | None = None
        self._seen_version = -1
        self._looked_at = 0.0
        self._seq: int | None = None

    def moved(self) -> bool:
        """Whether there may be something to read. On SQLite this is exact and takes microseconds: `data_version`
        changes when another connection commits. Elsewhere it says yes every POLL_SECONDS."""
        if not self._database.is_sqlite:
            now = asyncio.get_running_loop().time()
            if now - self._looked_at < POLL_SECONDS:
                return False
            self._looked_at = now
            return True
        version = self._data_version()
        if version == self._seen_version:
            return False
        self._seen_version = version
        return True

    async def read(self) -> list[tuple[str, str]]:
        """Changes (kind, key) since the last call. The first call returns none: nothing is remembered yet.
        Raises StoreUnavailable; the next call then looks again."""
        try:
            async with self._database.reading() as connection:
                if self._seq is None:
                    self._seq = await last_change(connection)
                    return []
                found: list[tuple[str, str]] = []
                seq, rows = self._seq, None
                # An import notes a change for each phone: read at once, they would hold up every other request.
                while rows is None or len(rows) == _BATCH:
                    query = sa.select(changes).where(changes.c.seq > seq).order_by(changes.c.seq).limit(_BATCH)
                    rows = (await connection.execute(query)).all()
                    found += [(row.kind, row.key) for row in rows]
                    seq = rows[-1].seq if rows else seq
        except BaseException:
            self._seen_version = -1
            raise
        self._seq = seq
        return found

    def close(self) -> None:
        if self._held:
            self._held.close()

    def _data_version(self) -> int:
        try:
            if self._held is None:
                self._held = sqlite3.connect(f"file:{self._database.url.database}?mode=ro", uri=True, timeout=0)
            version: int = self._held.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            # A database that cannot be asked is answered for by the query itself.
            return -2
        return version
