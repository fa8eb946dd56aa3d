"""Being the one server that does something for all of them."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime

from ztp_server.store import Store
from ztp_server.store.leases import Lease

# How often who has it says so, and how long the others hear nothing until one of them takes it.
BEAT_SECONDS = 5.0
GONE_SECONDS = 15.0


class LeaseOf:
    """One server's claim to something. Whether another is gone is told by its beats and a clock of one's own: clocks
    of two machines differ."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._own = secrets.token_hex(16)
        self._seen: tuple[str, int] = ("", -1)
        self._seen_at = 0.0
        self._beaten_at = 0.0

    async def take(self) -> bool:
        """Whether this server has it, from now on or still. Raises StoreUnavailable."""
        async with self._store.read() as session:
            if not self._may_take(await session.leases.get(self._name)):
                return False
        async with self._store.write() as session:
            lease = await session.leases.get(self._name)
            if not self._may_take(lease):
                return False
            await session.leases.keep(self._name, self._own, datetime.now(UTC))
        self._beaten_at = asyncio.get_running_loop().time()
        return True

    async def beat(self) -> bool:
        """Say from time to time that this server still has it; whether it has. Raises StoreUnavailable."""
        if asyncio.get_running_loop().time() - self._beaten_at < BEAT_SECONDS:
            return True
        return await self.take()

    async def leave(self) -> None:
        """Let another one have it at once. Raises StoreUnavailable."""
        async with self._store.write() as session:
            lease = await session.leases.get(self._name)
            if lease and lease.holder == self._own:
                await session.leases.keep(self._name, "", datetime.now(UTC))

    def _may_take(self, lease: Lease | None) -> bool:
        holder, beat = (lease.holder, lease.beat) if lease else ("", 0)
        if holder in ("", self._own):
            return True
        now = asyncio.get_running_loop().time()
        if (holder, beat) != self._seen:
            self._seen, self._seen_at = (holder, beat), now
        return now - self._seen_at >= GONE_SECONDS
