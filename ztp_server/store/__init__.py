"""Where things are kept. `Store` hands out sessions: one transaction, one attribute for each noun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import Misconfigured, StoreUnavailable
from ztp_server.store.audit import AuditStore
from ztp_server.store.base_settings import BaseSettingsStore
from ztp_server.store.changes import ChangeFeed, last_change
from ztp_server.store.database import Database
from ztp_server.store.events import CheckInStore, EventStore
from ztp_server.store.firmware import FirmwareStore
from ztp_server.store.meta import MetaStore
from ztp_server.store.phones import PhoneStore
from ztp_server.store.sites import SiteStore
from ztp_server.store.uploads import UploadStore
from ztp_server.store.vault import KEY_FILE, Vault, load_key

# A text sealed with the database's key, by which another key is found out.
_KEY_MARKER = "key marker"


class Session:
    """One transaction."""

    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self.phones = PhoneStore(connection, vault)
        self.sites = SiteStore(connection, vault)
        self.base_settings = BaseSettingsStore(connection, vault)
        self.firmware = FirmwareStore(connection)
        self.uploads = UploadStore(connection, vault)
        self.check_ins = CheckInStore(connection)
        self.events = EventStore(connection)
        self.audit = AuditStore(connection, vault)
        self.meta = MetaStore(connection)
        self._connection = connection

    async def last_change(self) -> int:
        """The number of the newest change, by which to tell whether anything was written since."""
        return await last_change(self._connection)


class Store:
    """The database and the key that opens its secrets."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database = database
        self._vault = vault
        self.changes = ChangeFeed(database)

    @classmethod
    async def open(cls, url: str, folder: Path, is_secret: Callable[[str], bool]) -> Store:
        """Connect, bringing the schema up to date, with the key that lies in `folder`. Raises Misconfigured, also when
        that is not the key of this database: a new one would seal new secrets and open none of the old."""
        database = await Database.open(url)
        try:
            return cls(database, await _vault(database, folder, is_secret))
        except BaseException:
            await database.close()
            raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Session]:
        """A session that only reads. Raises StoreUnavailable."""
        async with self.database.reading() as connection:
            yield Session(connection, self._vault)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """A session whose changes are all kept at its end, or none. Raises StoreUnavailable."""
        async with self.database.writing() as connection:
            yield Session(connection, self._vault)

    async def close(self) -> None:
        self.changes.close()
        await self.database.close()


async def _vault(database: Database, folder: Path, is_secret: Callable[[str], bool]) -> Vault:
    async with database.reading() as connection:
        marker = await MetaStore(connection).get(_KEY_MARKER)
    if marker and not (folder / KEY_FILE).exists():
        raise Misconfigured(f"{folder / KEY_FILE}: missing, and {database.place} does not open without it; put it back")
    vault = Vault(load_key(folder), is_secret)
    if marker is None:
        async with database.writing() as connection:
            await MetaStore(connection).set(_KEY_MARKER, vault.seal(_KEY_MARKER, _KEY_MARKER))
        return vault
    try:
        vault.open(marker, _KEY_MARKER)
    except StoreUnavailable:
        raise Misconfigured(f"{folder / KEY_FILE}: not the key of {database.place}; put that one back") from None
    return vault
