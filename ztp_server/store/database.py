"""The connection: SQLite by default, PostgreSQL when there is more than one server."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ztp_server.errors import BadValue, DataUnavailable, Misconfigured, StoreUnavailable
from ztp_server.store.schema import HEAD

# How long SQLite waits for another process that writes.
BUSY_MILLISECONDS = 30_000
_WRITERS_LOCK = 0x7A7470  # any number that nobody else of the database takes
_OF_ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_NO_TEXT = "22021"  # PostgreSQL's code for a text with a NUL, which SQLite takes
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Database:
    """An engine and its two kinds of transaction."""

    def __init__(self, engine: AsyncEngine, url: sa.URL) -> None:
        # Whoever reads sees all of one moment, as on SQLite: else a value may be under a key that was made since.
        of_one_moment = {} if url.get_backend_name() == "sqlite" else _OF_ONE_MOMENT
        self._reader = engine.execution_options(**of_one_moment)
        self._writer = engine.execution_options(ztp_write=True)
        self._one_writer = asyncio.Lock()
        self._transactions = 0
        self._idle = asyncio.Event()
        self._opened_file: object = None
        self.url = url

    @classmethod
    async def open(cls, url: str) -> Database:
        """Connect and bring the schema up to date. Raises Misconfigured naming the database, and DataUnavailable when
        it is there and cannot be opened."""
        parsed = _parse(url)
        try:
            # An error that repeats the values of a statement would bring secrets into the log.
            engine = create_async_engine(
                parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite", hide_parameters=True
            )
        except ModuleNotFoundError as error:
            raise Misconfigured(
                f"--database: {error.name} is not installed; pip install 'ztp-server[postgres]'"
            ) from None
        if parsed.get_backend_name() == "sqlite":
            sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        database = cls(engine, parsed)
        try:
            await database._migrate()
            database._opened_file = database._file()
        except BaseException:
            await engine.dispose()
            raise
        return database

    @property
    def place(self) -> str:
        """What an administrator calls it: the file, or the URL without its password."""
        return self.url.database or "" if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction. Raises StoreUnavailable."""
        with _translated(self.place), self._counted():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end, or not at all. Raises StoreUnavailable."""
        if self._opened_file != self._file():
            # What is written into a file that has no name any more is gone with this process.
            raise StoreUnavailable(f"database {self.place}: was removed or replaced; put it back, or restart")
        with _translated(self.place), self._counted():
            # Writers wait here and not for SQLite's lock, where each would hold a connection that readers need.
            async with self._one_writer, self._writer.begin() as connection:
                if not self.is_sqlite:
                    # One writer at a time, as on SQLite: what a writer has checked stays true until it commits, and
                    # changes are numbered in the order in which others can see them.
                    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS_LOCK)))
                yield connection

    async def close(self) -> None:
        """Close, once the transactions in progress have ended: a connection in use would be left open for good."""
        await self.rest()
        await self._reader.dispose()

    async def rest(self) -> None:
        """Wait for a moment in which no transaction is in progress. Whoever cancels what uses the database does it
        then: a writer that is cancelled while it begins may leave SQLite locked."""
        while self._transactions:
            self._idle.clear()
            await self._idle.wait()

    def _file(self) -> object:
        """What tells SQLite's file from another of its name; None where there is none."""
        try:
            found = Path(self.url.database or "").stat() if self.is_sqlite else None
        except OSError:
            return None
        return found and (found.st_dev, found.st_ino)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._transactions += 1
        try:
            yield
        finally:
            self._transactions -= 1
            if not self._transactions:
                self._idle.set()

    async def _migrate(self) -> None:
        try:
            async with self._reader.connect() as connection:
                found = await connection.run_sync(schema_version)
            if found != HEAD:
                await self._upgrade(found)
        except (SQLAlchemyError, OSError) as error:
            raise DataUnavailable(f"database {self.place}: {reason_of(error)}") from None

    async def _upgrade(self, found: str | None) -> None:
        # Alembic takes a third of a second to import, so only a start that needs it pays.
        from ztp_server.store.migrations import runner

        if found is not None and not runner.knows(found):
            raise Misconfigured(
                f"database {self.place}: made by a newer ztp (schema {found}, this one knows up to {HEAD}); upgrade ztp"
            )
        if not self.is_sqlite:
            async with self._writer.begin() as connection:
                await connection.run_sync(runner.upgrade)
            return
        # SQLite changes a table by making it anew, and with foreign keys on, dropping the old one would take with it
        # what hangs on it. They cannot be switched off within a transaction, so it takes a connection of its own.
        engine = create_async_engine(self.url, hide_parameters=True).execution_options(ztp_write=True)
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite_to_migrate)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(runner.upgrade)
                broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
                if broken:
                    where = f"table {broken[0][0]}"
                    raise Misconfigured(f"database {self.place}: {len(broken)} rows point to nothing, first in {where}")
        finally:
            await engine.dispose()


class _translated:
    """Turns the driver's errors into StoreUnavailable; constraint errors stay, the caller knows what they mean."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sa.exc.TimeoutError):
            raise StoreUnavailable(f"database {self._place}: too many wait for it") from error
        if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") == _NO_TEXT:
            raise BadValue("text", "character U+0000 is not allowed") from None
        if isinstance(error, DBAPIError) and not isinstance(error, sa.exc.IntegrityError):
            raise StoreUnavailable(f"database {self._place}: {reason_of(error)}") from error
        if isinstance(error, ConnectionError | TimeoutError):  # of PostgreSQL, when it is away
            raise StoreUnavailable(f"database {self._place}: {reason_of(error)}") from error
        if isinstance(error, UnicodeEncodeError):
            raise BadValue("text", f"{error.object[error.start : error.end]!r} is no character") from None


def place_of(url: str) -> tuple[str, Path | None]:
    """What an administrator calls a database, and SQLite's file. Raises Misconfigured."""
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or "", Path(parsed.database or "")
    return parsed.render_as_string(hide_password=True), None


def _parse(url: str) -> sa.URL:
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        _check_file(parsed)
    return parsed


def parsed_url(url: str) -> sa.URL:
    """A URL of a database, with the driver we use. Raises Misconfigured."""
    # A URL may hold a password, so no message repeats it.
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise Misconfigured("--database: not a URL such as sqlite:////var/lib/ztp/ztp.db") from None
    name = parsed.drivername.partition("+")[0]
    if name not in _DRIVERS:
        raise Misconfigured("--database: neither sqlite nor postgresql")
    # SQLite must be a file: another process sees nothing of a database in memory.
    if name == "sqlite" and (parsed.query or not parsed.database or parsed.database == ":memory:"):
        raise Misconfigured("--database: sqlite takes a file, as sqlite:////var/lib/ztp/ztp.db, and no options")
    return parsed.set(drivername=_DRIVERS[name])


def _check_file(url: sa.URL) -> None:
    """Raises Misconfigured where there can be none."""
    assert url.database
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise DataUnavailable(f"database {url.database}: no folder {folder}")
    # The driver's thread may outlive the loop of a connection that could not be opened, and complain on stderr.
    try:
        sqlite3.connect(url.database).close()
    except sqlite3.Error as error:
        raise DataUnavailable(f"database {url.database}: {error}") from None


def _prepare_sqlite(connection: Any, record: Any) -> None:
    _prepare_sqlite_to_migrate(connection, record)
    connection.execute("PRAGMA foreign_keys=ON").close()


def _prepare_sqlite_to_migrate(connection: Any, _record: Any) -> None:
    # The driver must not begin by itself: a deferred BEGIN loses updates silently (see _begin_sqlite).
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={BUSY_MILLISECONDS}",
            "trusted_schema=OFF",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()  # nobody else would: its thread and its file would stay for good
        raise
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("ztp_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def schema_version(connection: sa.Connection) -> str | None:
    """The migration that a database is at; None for one without tables."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def reason_of(error: BaseException) -> str:
    """What the driver says, in a line."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.DatabaseError) and "not a database" in str(original):
        return "not a database"
    if str(original) == "disk I/O error":  # what SQLite says for every failure to write its log
        return "disk I/O error; is the disk full?"
    return (str(original) or type(original).__name__).splitlines()[0]
