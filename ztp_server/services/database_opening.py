"""The database of a data folder, opened; or left for later when it cannot be now, and phones' last good files are
there to be given meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from ztp_server.errors import DataUnavailable, StoreUnavailable, ZtpError
from ztp_server.store import Store
from ztp_server.store.database import place_of
from ztp_server.store.last_good import LastGoodFile

# How long phones wait for a database to open, in seconds: one that is locked, brought up to date or far away.
PATIENCE = 10.0
# How often one that did not open is tried again.
AGAIN_SECONDS = 5.0

log = structlog.get_logger()


class DatabaseOpening:
    """Opens a database, again and again if need be."""

    def __init__(self, url: str, last_good: LastGoodFile, open_store: Callable[[], Awaitable[Store]]) -> None:
        self._url = url
        self._last_good = last_good
        self._open_store = open_store
        self._task: asyncio.Task[Store] | None = None

    async def now(self) -> Store:
        """The store, however long it takes. Raises Misconfigured, DataUnavailable and StoreUnavailable."""
        place, file = place_of(self._url)
        if file and not _is_there(file) and await asyncio.to_thread(self._last_good.has_phones):
            raise DataUnavailable(
                f"database {place}: is gone; put it back, or restore a backup (ztp restore) into a new data folder; to "
                f"begin anew, remove {self._last_good.path}"
            )
        return await self._open_store()

    async def soon(self) -> Store:
        """The store, if that does not take too long; an attempt that does goes on, and counts the next time. Raises as
        `now`."""
        self._task = self._task or asyncio.create_task(self.now())
        done, _ = await asyncio.wait({self._task}, timeout=PATIENCE)
        if not done:
            raise DataUnavailable(f"database {place_of(self._url)[0]}: does not open within {PATIENCE:.0f} seconds")
        task, self._task = self._task, None
        return task.result()

    async def soon_or_later(self) -> Store:
        """The store, closed if it cannot be opened now and there are phones to be served without. Raises Misconfigured
        and StoreUnavailable where there is nothing to serve, or the key is not the one of what there is."""
        if not await asyncio.to_thread(self._last_good.has_phones):
            return await self.now()
        try:
            return await self.soon()
        except (DataUnavailable, StoreUnavailable) as error:
            if not await asyncio.to_thread(self._last_good.opens):
                raise
            return Store.closed(str(error))

    async def later(self, store: Store, report: Callable[[str, str, str], None]) -> bool:
        """Try again for as long as it takes, until a closed store has a database; returns whether it was closed."""
        if store.is_open:
            return False
        report("database.closed", "database", store.closed_because)
        while not store.is_open:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                store.become(await self.soon())
            except ZtpError as error:
                report("database.closed", "database", str(error))
        log.info("database.opened")
        return True

    async def stop(self) -> None:
        """End an attempt that goes on."""
        if self._task:
            with suppress(ZtpError):
                store = await self._task
                await store.close()


def _is_there(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True  # and cannot be looked at
