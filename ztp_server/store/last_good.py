"""The last good files of each phone in a file of their own, encrypted, for a server whose database fails.

Nothing is lost with it: it is made anew of what phones are given. So it is not written durably, and one that is damaged
or of another key or database is emptied. It keeps no write-ahead log: it can be read where nothing can be written.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ztp_server.domain.kept_phone import KeptFile, KeptPhone, KeptSite, Update
from ztp_server.errors import Damaged, Misconfigured
from ztp_server.store.key_file import KEY_BYTES, NONCE_BYTES, KeyFile, derived
from ztp_server.store.last_good_rows import packed, read_phone, read_site, tag_of, unpacked, written

LAST_GOOD = "last-good.db"
_PURPOSE = b"ztp last good"
# How long a process waits for another that writes, in seconds.
_PATIENCE = 5.0
_FORMAT = 1
_TABLES = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE sites (id TEXT PRIMARY KEY, sealed BLOB NOT NULL)",
    "CREATE TABLE phones (mac TEXT PRIMARY KEY, owner TEXT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE files (mac TEXT, name TEXT, owner TEXT NOT NULL, tag BLOB NOT NULL, sealed BLOB NOT NULL, "
    "PRIMARY KEY (mac, name))",
)


class Found:
    """What is kept of one phone: `denied` are the certificates that prove nothing."""

    def __init__(self, phone: KeptPhone, site: KeptSite, denied: frozenset[str], file: KeptFile | None) -> None:
        self.phone, self.site, self.denied, self.file = phone, site, denied, file


class LastGoodFile:
    """Its methods block, may be called in any thread, and raise sqlite3.Error, OSError, Damaged, and Misconfigured for
    a key file that cannot be read."""

    def __init__(self, path: Path, key_file: KeyFile) -> None:
        self.path = path
        self._key_file = key_file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        # The key of the values, and how it stands in the file, sealed by the key file as it was then.
        self._key, self._wrapped, self._key_state = b"", b"", (0, 0)

    def has_phones(self) -> bool:
        """Whether there is something to serve; told without the key, and of what cannot be read: no."""
        try:
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as found:
                return found.execute("SELECT 1 FROM files LIMIT 1").fetchone() is not None
        except sqlite3.Error:
            return False

    def opens(self) -> bool:
        """Whether the key file is the one of these values. Raises Misconfigured when there is no key file."""
        if not self._key_file.exists:
            raise Misconfigured(f"{self._key_file.path}: missing, and nothing opens without it; put it back")
        with self._transaction() as file:
            return self._unlock(file)

    def is_of(self, database: str) -> bool:
        """Whether it is there, and of this database."""
        if not self.path.exists():
            return False
        with self._transaction() as file:
            return self._unlock(file) and self._is_of(file, database)

    def prepare(self, database: str) -> None:
        """Make the file ready to be written for a database, by what names that; what is of another, or does not open,
        is dropped."""
        try:
            with self._transaction() as file:
                if not (self._unlock(file) and self._is_of(file, database)):
                    self._empty(file, database)
            return
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise  # locked, full, read-only
        self.drop()
        with self._transaction() as file:
            self._empty(file, database)

    def drop(self) -> None:
        """Remove the file."""
        with self._lock:
            self._close()
            for suffix in ("", "-journal"):
                self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)

    def follow_key(self) -> None:
        """Seal the key of the values by the key file as it is now, if that was changed."""
        if self._key and self._look_at_key() != self._key_state:
            with self._transaction() as file:
                self._put_key(file)

    def seen(self) -> int | None:
        """The number of the last change that is in here, None before the first."""
        with self._transaction() as file:
            if not self._unlock(file):
                return None
            number = self._fact(file, "seen")
        return None if number is None else int(number)

    def write(self, update: Update) -> None:
        """All of it, or nothing. A phone that is not among the ones given any more goes with its files, and a file goes
        that was its former owner's."""
        with self._transaction() as file:
            if update.from_scratch:
                for table in ("sites", "phones", "files"):
                    file.execute(f"DELETE FROM {table}")
            self._write_shared(file, update)
            for mac in update.changed:
                self._write_phone(file, mac, update.phones.get(mac), update.noted)
            self._write_files(file, update)
            self._put_fact(file, "seen", str(update.seen))

    def find(self, mac: str, names: Sequence[str]) -> Found | None:
        """A phone with the first of these files that there is; None where something is missing to judge who asks."""
        with self._transaction() as file:
            if not self._unlock(file):
                return None
            phone = self._phone(file, mac)
            denied = self._fact(file, "denied")
            row = phone and file.execute("SELECT sealed FROM sites WHERE id = ?", (phone.site,)).fetchone()
            if phone is None or denied is None or not row:
                return None
            site = read_site(self._opened(row[0], f"sites/{phone.site}"))
            return Found(phone, site, frozenset(json.loads(denied)), self._file(file, phone, names))

    def close(self) -> None:
        with self._lock:
            self._close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            file = self._connection
            try:
                file.execute("BEGIN")
                yield file
                file.execute("COMMIT")
            except BaseException:
                # One that fails in the middle of it all is opened anew the next time.
                self._close()
                raise

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous=OFF").close()
        connection.execute("PRAGMA trusted_schema=OFF").close()
        return connection

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _empty(self, file: sqlite3.Connection, database: str) -> None:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            file.execute(f'DROP TABLE "{name}"')
        for table in _TABLES:
            file.execute(table)
        file.execute(f"PRAGMA user_version={_FORMAT}")
        self._key = secrets.token_bytes(KEY_BYTES)
        self._put_key(file)
        self._put_fact(file, "database", database)

    def _is_of(self, file: sqlite3.Connection, database: str) -> bool:
        try:
            return self._fact(file, "database") == database
        except Damaged:
            return False

    def _unlock(self, file: sqlite3.Connection) -> bool:
        """Take the key of the values into use; False for a file that is new, of another format, or of another key."""
        if file.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            return False
        row = file.execute("SELECT value FROM facts WHERE name = 'key'").fetchone()
        if row is None:
            return False
        if row[0] != self._wrapped:
            state = self._look_at_key()
            try:
                self._key = _open(self._wrapping(), row[0], "key")
            except InvalidTag:
                return False
            self._wrapped, self._key_state = row[0], state
        return True

    def _put_key(self, file: sqlite3.Connection) -> None:
        state = self._look_at_key()
        wrapped = _seal(self._wrapping(), self._key, "key")
        file.execute("REPLACE INTO facts VALUES ('key', ?)", (wrapped,))
        self._wrapped, self._key_state = wrapped, state

    def _wrapping(self) -> bytes:
        return derived(self._key_file.load_or_make(), _PURPOSE)

    def _look_at_key(self) -> tuple[int, int]:
        found = self._key_file.path.stat()
        return found.st_ino, found.st_mtime_ns

    def _write_shared(self, file: sqlite3.Connection, update: Update) -> None:
        if update.denied is not None:
            self._put_fact(file, "denied", json.dumps(sorted(update.denied)))
        if update.sites is not None:
            file.execute("DELETE FROM sites")
            rows = [(site.id, self._sealed(written(site), f"sites/{site.id}")) for site in update.sites]
            file.executemany("INSERT INTO sites VALUES (?, ?)", rows)

    def _write_phone(self, file: sqlite3.Connection, mac: str, phone: KeptPhone | None, noted: frozenset[str]) -> None:
        owner = phone.owner if phone else ""
        file.execute("DELETE FROM files WHERE mac = ? AND owner <> ?", (mac, owner))
        is_kept = file.execute("SELECT 1 FROM files WHERE mac = ? LIMIT 1", (mac,)).fetchone()
        if phone is None or not (is_kept or mac in noted):
            file.execute("DELETE FROM phones WHERE mac = ?", (mac,))
            return
        sealed = self._sealed(written(phone), f"phones/{mac}/{owner}")
        file.execute("REPLACE INTO phones VALUES (?, ?, ?)", (mac, owner, sealed))

    def _write_files(self, file: sqlite3.Connection, update: Update) -> None:
        for made in update.files:
            phone = update.phones.get(made.mac)
            if phone is None or phone.owner != made.owner:
                continue  # The phone is another one by now.
            place = f"files/{made.mac}/{made.owner}/{made.name}"
            tag = tag_of(self._key, made)
            row = file.execute("SELECT tag FROM files WHERE mac = ? AND name = ?", (made.mac, made.name)).fetchone()
            if row is None or row[0] != tag:
                values = (made.mac, made.name, made.owner, tag, self._sealed(packed(made), place))
                file.execute("REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def _phone(self, file: sqlite3.Connection, mac: str) -> KeptPhone | None:
        row = file.execute("SELECT owner, sealed FROM phones WHERE mac = ?", (mac,)).fetchone()
        return read_phone(self._opened(row[1], f"phones/{mac}/{row[0]}")) if row else None

    def _file(self, file: sqlite3.Connection, phone: KeptPhone, names: Sequence[str]) -> KeptFile | None:
        for name in names:
            query = "SELECT sealed FROM files WHERE mac = ? AND name = ? AND owner = ?"
            row = file.execute(query, (phone.hardware_id, name, phone.owner)).fetchone()
            if row:
                place = f"files/{phone.hardware_id}/{phone.owner}/{name}"
                return KeptFile(phone.hardware_id, phone.owner, name, unpacked(self._opened(row[0], place)))
        return None

    def _fact(self, file: sqlite3.Connection, name: str) -> str | None:
        row = file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return self._opened(row[0], f"facts/{name}").decode() if row else None

    def _put_fact(self, file: sqlite3.Connection, name: str, text: str) -> None:
        file.execute("REPLACE INTO facts VALUES (?, ?)", (name, self._sealed(text.encode(), f"facts/{name}")))

    def _sealed(self, content: bytes, place: str) -> bytes:
        return _seal(self._key, content, place)

    def _opened(self, sealed: Any, place: str) -> bytes:
        try:
            return _open(self._key, sealed, place)
        except (InvalidTag, TypeError):
            raise Damaged(f"{self.path.name}: {place} does not open") from None


def _seal(key: bytes, content: bytes, place: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, f"last good/{place}".encode())


def _open(key: bytes, sealed: bytes, place: str) -> bytes:
    """Raises InvalidTag."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], f"last good/{place}".encode())
    except ValueError:
        raise InvalidTag from None


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
