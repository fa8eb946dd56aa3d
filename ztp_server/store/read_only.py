"""A database and its keys, opened to be looked at: whatever is wrong with them stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ztp_server.errors import Misconfigured
from ztp_server.store import Store, places
from ztp_server.store.data_keys import DataKeyStore
from ztp_server.store.database import Database, parsed_url, reason_of, schema_version
from ztp_server.store.key_file import KeyFile
from ztp_server.store.key_ring import ForeignKeyError, KeyRing
from ztp_server.store.meta import MetaStore
from ztp_server.store.schema import HEAD
from ztp_server.store.vault import Vault


class NeverOpened(Misconfigured):
    """There is no key yet, and nothing that it would open."""


class _KeyFileAsItIs(KeyFile):
    """Does not end a rotation that was cut off."""

    def settle(self, wrapped: Mapping[int, str]) -> None:
        return


async def look_into(url: str) -> Database:
    """Connect to read: nothing is made, brought up to date or written. Raises Misconfigured naming the database, also
    when its tables are not those of this program."""
    parsed = parsed_url(url)
    address, more = parsed, dict[str, Any]()
    if parsed.get_backend_name() == "sqlite":
        address = _address_to_read(Path(parsed.database or ""))
    else:
        more = {"connect_args": {"server_settings": {"default_transaction_read_only": "on"}}}
    try:
        engine = create_async_engine(address, hide_parameters=True, **more)
    except ModuleNotFoundError as error:
        raise Misconfigured(f"--database: {error.name} is not installed; pip install 'ztp-server[postgres]'") from None
    if parsed.get_backend_name() == "sqlite":
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    database = Database(engine, parsed)
    try:
        await _see_schema(engine, database.place)
    except BaseException:
        await engine.dispose()
        raise
    return database


async def store_as_it_is(database: Database, key_file: Path) -> Store:
    """The store of a database that is looked into. Raises Misconfigured saying why its key does not open it."""
    async with database.reading() as connection:
        wrapped = await DataKeyStore(connection).wrapped()
        marker = await MetaStore(connection).get(places.KEY_MARKER)
    file = _KeyFileAsItIs(key_file)
    if not wrapped and not marker:
        raise NeverOpened(f"database {database.place}: nobody has opened it yet")
    if not wrapped:
        raise Misconfigured(f"database {database.place}: has no data keys; a server makes them when it starts")
    if not file.exists:
        raise Misconfigured(f"{key_file}: missing, and {database.place} does not open without it; put it back")
    try:
        return Store(database, Vault(KeyRing(file, wrapped, dict), lambda name: False))
    except ForeignKeyError:
        raise Misconfigured(f"{key_file}: not the key of {database.place}; put that one back") from None


def vault_to_look(store: Store) -> Vault:
    """A vault of the same keys in which looking at what is damaged is not noted."""
    return Vault(store.keys, lambda name: False)


async def _see_schema(engine: AsyncEngine, place: str) -> None:
    try:
        async with engine.connect() as connection:
            found = await connection.run_sync(schema_version)
    except (SQLAlchemyError, OSError) as error:
        raise Misconfigured(f"database {place}: {reason_of(error)}") from None
    if found is None:
        raise Misconfigured(f"database {place}: has no tables of ztp")
    if found != HEAD:
        older = "is older, and brought up to date when a server starts"
        state = older if found < HEAD else "was made by a newer ztp; upgrade this one"
        raise Misconfigured(f"database {place}: {state} (schema {found}, this one knows up to {HEAD})")


def _address_to_read(file: Path) -> sa.URL:
    """SQLite's address of a file that is not to be changed. Raises Misconfigured when it is not there."""
    if not file.is_file():
        raise Misconfigured(f"database {file}: is not there")
    # Without a write-ahead log nobody has it open, and whoever opens it, be it to read, would make one.
    quiet = {} if file.with_name(f"{file.name}-wal").exists() else {"immutable": "1"}
    query = {"mode": "ro", "uri": "true", **quiet}
    return sa.URL.create("sqlite+aiosqlite", database=file.absolute().as_uri(), query=query)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000").close()
    connection.execute("PRAGMA trusted_schema=OFF").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
