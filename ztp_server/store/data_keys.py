"""The data keys of a database: rows, each wrapped by the key that lies outside it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import Damaged, Misconfigured
from ztp_server.store import places
from ztp_server.store.database import Database
from ztp_server.store.key_file import KEY_BYTES, KeyFile, wrap
from ztp_server.store.key_ring import FIRST_KEY, ForeignKeyError, KeyRing
from ztp_server.store.meta import MetaStore
from ztp_server.store.schema_trust import data_keys
from ztp_server.store.vault import Vault

# How long a value waits for SQLite to tell of a key that another process made, in seconds.
_PATIENCE = 1.0


class DataKeyStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def wrapped(self, beyond: int = 0) -> dict[int, str]:
        """The keys with a greater id, as they are kept."""
        query = sa.select(data_keys.c.id, data_keys.c.wrapped).where(data_keys.c.id > beyond)
        return {row.id: row.wrapped for row in await self._connection.execute(query)}

    async def made_at(self) -> dict[int, datetime]:
        """When each key was made."""
        query = sa.select(data_keys.c.id, data_keys.c.created_at).order_by(data_keys.c.id)
        return {row.id: row.created_at for row in await self._connection.execute(query)}

    async def add(self, key_id: int, wrapped: str) -> None:
        row = {"id": key_id, "wrapped": wrapped, "created_at": datetime.now(UTC)}
        await self._connection.execute(sa.insert(data_keys).values(row))

    async def wrap_anew(self, wrapped: Mapping[int, str]) -> None:
        for key_id, text in wrapped.items():
            await self._connection.execute(sa.update(data_keys).where(data_keys.c.id == key_id).values(wrapped=text))


async def open_keys(database: Database, path: Path) -> KeyRing:
    """The data keys of a database. A new one is given its first; in one of before there were data keys, the key in the
    file becomes the first. Raises Misconfigured when the file is missing or not the key of this database."""
    file = KeyFile(path)
    async with database.reading() as connection:
        wrapped = await DataKeyStore(connection).wrapped()
        marker = await MetaStore(connection).get(places.KEY_MARKER)
    if (marker or wrapped) and not file.exists:
        raise Misconfigured(f"{path}: missing, and {database.place} does not open without it; put it back")
    if not wrapped:
        async with database.writing() as connection:
            wrapped = await _first(connection, file, marker, database.place)
    try:
        return KeyRing(file, wrapped, _reader(database))
    except ForeignKeyError:
        raise Misconfigured(f"{path}: not the key of {database.place}; put that one back") from None


async def _first(connection: AsyncConnection, file: KeyFile, marker: str | None, place: str) -> dict[int, str]:
    store = DataKeyStore(connection)
    if found := await store.wrapped():
        return found  # Another process opened this database first.
    key = file.load_or_make()
    wrapped = {FIRST_KEY: wrap(key, FIRST_KEY, key if marker else secrets.token_bytes(KEY_BYTES))}
    vault = Vault(KeyRing(file, wrapped, dict), lambda name: False)
    if marker is None:
        await MetaStore(connection).set(places.KEY_MARKER, vault.seal(places.KEY_MARKER, places.KEY_MARKER))
    else:
        try:
            vault.open(marker, places.KEY_MARKER)
        except Damaged:
            raise Misconfigured(f"{file.path}: not the key of {place}; put that one back") from None
    await store.add(FIRST_KEY, wrapped[FIRST_KEY])
    return wrapped


def _reader(database: Database) -> Callable[[], Mapping[int, str]]:
    """What reads the keys at once, in the middle of reading something else. On PostgreSQL each session asks instead."""
    if not database.is_sqlite or not database.url.database:
        return dict
    address = f"{Path(database.url.database).absolute().as_uri()}?mode=ro"

    def read() -> Mapping[int, str]:
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as connection:
                return dict(connection.execute("SELECT id, wrapped FROM data_keys").fetchall())
        except sqlite3.Error:
            return {}

    return read
