"""Where things are kept. `Store` hands out sessions: one transaction, one attribute for each noun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import Misconfigured, StoreUnavailable
from ztp_server.store.accounts import AccountStore
from ztp_server.store.audit import AuditStore
from ztp_server.store.base_settings import BaseSettingsStore
from ztp_server.store.changes import ChangeFeed, last_change
from ztp_server.store.check_in_log import CheckInLog
from ztp_server.store.database import Database
from ztp_server.store.events import CheckInStore, EventStore
from ztp_server.store.firmware import FirmwareStore
from ztp_server.store.group_members import GroupMemberStore
from ztp_server.store.idempotency import IdempotencyStore
from ztp_server.store.jobs import JobStore
from ztp_server.store.meta import MetaStore
from ztp_server.store.phone_groups import PhoneGroupStore
from ztp_server.store.phone_list import PhoneListStore
from ztp_server.store.phone_proofs import PhoneProofStore
from ztp_server.store.phone_status import PhoneStatusStore
from ztp_server.store.phone_targets import PhoneTargetStore
from ztp_server.store.phone_widths import PhoneWidthStore
from ztp_server.store.phones import PhoneStore
from ztp_server.store.removed_phones import RemovedPhoneStore
from ztp_server.store.retention import RetentionStore
from ztp_server.store.roles import RoleStore
from ztp_server.store.served_files import ServedFileStore
from ztp_server.store.sites import SiteStore
from ztp_server.store.tokens import TokenStore
from ztp_server.store.uploads import UploadStore
from ztp_server.store.users import UserStore
from ztp_server.store.vault import KEY_FILE, Vault, load_key

# A text sealed with the database's key, by which another key is found out.
_KEY_MARKER = "key marker"


class Session:
    """One transaction."""

    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self.phones = PhoneStore(connection, vault)
        self.removed_phones = RemovedPhoneStore(connection, vault)
        self.phone_groups = PhoneGroupStore(connection)
        self.phone_targets = PhoneTargetStore(connection)
        self.phone_widths = PhoneWidthStore(connection)
        self.sites = SiteStore(connection, vault)
        self.base_settings = BaseSettingsStore(connection, vault)
        self.firmware = FirmwareStore(connection)
        self.uploads = UploadStore(connection, vault)
        self.check_ins = CheckInStore(connection, vault)
        self.check_in_log = CheckInLog(connection)
        self.served_files = ServedFileStore(connection, vault)
        self.phone_list = PhoneListStore(connection)
        self.group_members = GroupMemberStore(connection)
        self.phone_proofs = PhoneProofStore(connection, vault)
        self.phone_status = PhoneStatusStore(connection)
        self.retention = RetentionStore(connection)
        self.events = EventStore(connection)
        self.audit = AuditStore(connection, vault)
        self.meta = MetaStore(connection)
        self.jobs = JobStore(connection, vault)
        self.idempotency = IdempotencyStore(connection, vault)
        self.accounts = AccountStore(connection)
        self.roles = RoleStore(connection)
        self.tokens = TokenStore(connection)
        self.users = UserStore(connection, vault)
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
