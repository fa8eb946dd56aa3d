"""Where things are kept. `Store` hands out sessions: one transaction, one attribute for each noun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import StoreUnavailable
from ztp_server.store.accounts import AccountStore
from ztp_server.store.approval_rules import ApprovalRuleStore
from ztp_server.store.audit import AuditStore
from ztp_server.store.base_settings import BaseSettingsStore
from ztp_server.store.changes import ChangeFeed, NoChanges, last_change
from ztp_server.store.check_in_log import CheckInLog
from ztp_server.store.data_keys import DataKeyStore, open_keys
from ztp_server.store.database import Database
from ztp_server.store.denied_certificates import DeniedCertificateStore
from ztp_server.store.events import CheckInStore, EventStore
from ztp_server.store.firmware import FirmwareStore
from ztp_server.store.group_members import GroupMemberStore
from ztp_server.store.idempotency import IdempotencyStore
from ztp_server.store.jobs import JobStore
from ztp_server.store.key_file import KEY_FILE
from ztp_server.store.key_ring import KeyRing
from ztp_server.store.leases import LeaseStore
from ztp_server.store.line_owners import LineOwnerStore
from ztp_server.store.meta import MetaStore
from ztp_server.store.paced_items import PacedItemStore
from ztp_server.store.phone_groups import PhoneGroupStore
from ztp_server.store.phone_list import PhoneListStore
from ztp_server.store.phone_proofs import PhoneProofStore, is_token
from ztp_server.store.phone_status import PhoneStatusStore
from ztp_server.store.phone_targets import PhoneTargetStore
from ztp_server.store.phone_widths import PhoneWidthStore
from ztp_server.store.phones import PhoneStore
from ztp_server.store.platforms import PlatformStore
from ztp_server.store.registrations import RegistrationStore
from ztp_server.store.reload_targets import ReloadTargetStore
from ztp_server.store.removed_phones import RemovedPhoneStore
from ztp_server.store.retention import RetentionStore
from ztp_server.store.roles import RoleStore
from ztp_server.store.sealed_values import SealedValueStore
from ztp_server.store.seen_again import SeenAgainStore
from ztp_server.store.served_files import ServedFileStore
from ztp_server.store.sites import SiteStore
from ztp_server.store.standing_proofs import StandingProofStore
from ztp_server.store.status_changes import StatusChangeStore
from ztp_server.store.tokens import TokenStore
from ztp_server.store.unknown_phones import UnknownPhoneStore
from ztp_server.store.uploads import UploadStore
from ztp_server.store.users import UserStore
from ztp_server.store.vault import Vault


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
        self.standing_proofs = StandingProofStore(connection, vault)
        self.denied_certificates = DeniedCertificateStore(connection)
        self.phone_status = PhoneStatusStore(connection)
        self.retention = RetentionStore(connection)
        self.events = EventStore(connection)
        self.audit = AuditStore(connection, vault)
        self.meta = MetaStore(connection)
        self.jobs = JobStore(connection, vault)
        self.paced_items = PacedItemStore(connection)
        self.seen_again = SeenAgainStore(connection)
        self.reload_targets = ReloadTargetStore(connection)
        self.idempotency = IdempotencyStore(connection, vault)
        self.accounts = AccountStore(connection)
        self.roles = RoleStore(connection)
        self.tokens = TokenStore(connection)
        self.users = UserStore(connection, vault)
        self.data_keys = DataKeyStore(connection)
        self.sealed_values = SealedValueStore(connection, vault)
        self.unknown_phones = UnknownPhoneStore(connection)
        self.approval_rules = ApprovalRuleStore(connection)
        self.platforms = PlatformStore(connection, vault)
        self.registrations = RegistrationStore(connection)
        self.status_changes = StatusChangeStore(connection)
        self.leases = LeaseStore(connection)
        self.line_owners = LineOwnerStore(connection)
        self._connection = connection

    async def last_change(self) -> int:
        """The number of the newest change, by which to tell whether anything was written since."""
        return await last_change(self._connection)


class Store:
    """The database and the keys that open its secrets. One that could not be opened (`closed`) raises StoreUnavailable
    whatever it is asked, until it is given what another has opened (`become`)."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._opened: tuple[Database, Vault] | None = (database, vault)
        self._reason = ""
        self.changes: ChangeFeed | NoChanges = ChangeFeed(database)

    @classmethod
    def closed(cls, reason: str) -> Store:
        """A store without a database, and why."""
        store = cls.__new__(cls)
        store._opened, store._reason, store.changes = None, reason, NoChanges()
        return store

    def become(self, other: Store) -> None:
        """From now on be what another is, which nobody else uses."""
        self._opened, self._reason, self.changes = other._opened, other._reason, other.changes

    @property
    def is_open(self) -> bool:
        """Whether there is a database; it may fail all the same."""
        return self._opened is not None

    @property
    def closed_because(self) -> str:
        """Why there is none; empty when there is one."""
        return self._reason

    @property
    def database(self) -> Database:
        return self._both()[0]

    @property
    def keys(self) -> KeyRing:
        return self._vault.keys

    @property
    def name(self) -> str:
        """What tells this database from others, whatever is in it."""
        return self._vault.chain("name of the database")

    @property
    def _vault(self) -> Vault:
        return self._both()[1]

    def _both(self) -> tuple[Database, Vault]:
        if self._opened is None:
            raise StoreUnavailable(self._reason)
        return self._opened

    @classmethod
    async def open(
        cls, url: str, folder: Path, is_secret: Callable[[str], bool], key_file: Path | None = None
    ) -> Store:
        """Connect, bringing the schema up to date, with the key in `key_file` or else in `folder`. Raises
        Misconfigured, also when that is not the key of this database: a new one would open none of the old secrets."""
        database = await Database.open(url)
        try:
            keys = await open_keys(database, key_file or folder / KEY_FILE)
            return cls(database, Vault(keys, is_secret))
        except BaseException:
            await database.close()
            raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Session]:
        """A session that only reads. Raises StoreUnavailable."""
        async with self.database.reading() as connection:
            if not self.database.is_sqlite:  # which learns of a key when a value names it
                await self._learn_keys(connection)
            yield Session(connection, self._vault)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """A session whose changes are all kept at its end, or none. Raises StoreUnavailable."""
        async with self.database.writing() as connection:
            # One writer at a time: from the commit of a new key on, nobody seals with an older one.
            await self._learn_keys(connection)
            yield Session(connection, self._vault)

    def is_phone_token(self, text: str) -> bool:
        """Whether this is a token that was made for some phone, maybe one that is gone; told without the database."""
        return is_token(self._vault, text)

    def take_damaged(self) -> dict[str, str]:
        """Places of sealed values that did not open since this was asked last, with the reasons."""
        return self._vault.take_damaged() if self.is_open else {}

    def new_feed(self) -> ChangeFeed:
        """The changes once more, for who keeps count of them on his own; he closes it."""
        return ChangeFeed(self.database)

    async def rest(self) -> None:
        """Wait for a moment in which no transaction is in progress."""
        if self.is_open:
            await self.database.rest()

    async def close(self) -> None:
        self.changes.close()
        if self.is_open:
            await self.database.close()

    async def _learn_keys(self, connection: AsyncConnection) -> None:
        self.keys.learn(await DataKeyStore(connection).wrapped(beyond=self.keys.newest[0]))
