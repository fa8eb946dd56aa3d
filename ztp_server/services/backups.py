"""Backups: everything that a server needs to be what it was, in one encrypted file, made while it serves."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from ztp_server import __version__
from ztp_server.domain.access import Actor
from ztp_server.errors import BadValue, Conflict, Misconfigured
from ztp_server.services.archive import DATABASE, KEY, ArchiveWriter, Manifest, is_name
from ztp_server.services.sealed_stream import Passphrase, Recipient, SealedWriter
from ztp_server.store import Store
from ztp_server.store.key_file import KeyFile
from ztp_server.store.schema import HEAD

PERMISSION = "server:maintain"
# When the last one was made, ISO 8601.
LAST_BACKUP = "last backup"
_PATIENCE = 30.0
_SCRATCH = ".backup-"
# Seconds after which nobody fills a scratch folder any more.
_ABANDONED = 24 * 3600.0


@dataclass(frozen=True)
class Folders:
    """What is kept beside the database: where the data lies, the administrator's own templates and makers' CAs."""

    data: Path
    templates: Path
    certs: Path


@dataclass(frozen=True)
class Backup:
    """A file that was made: how many files it has, its size in bytes, and what was left out, and why."""

    files: int
    size: int
    left_out: list[str]


class Backups:
    def __init__(self, store: Store, folders: Folders) -> None:
        self._store = store
        self._folders = folders

    async def make(
        self,
        who: Actor,
        file: Path,
        lock: Passphrase | Recipient,
        *,
        with_firmware: bool = True,
        with_key: bool = True,
    ) -> Backup:
        """Write a backup to a new file. It is there whole or not at all. Raises Forbidden, Conflict when the file is
        there, BadValue when something changed under its hands, and Misconfigured for what cannot be read or written,
        or for PostgreSQL, which has better means of its own."""
        who.require(PERMISSION)
        if not self._store.database.is_sqlite:
            raise Misconfigured(
                "the database is PostgreSQL: back it up with pg_dump, and beside it the key of secrets and the folders "
                "firmware, templates, certs and tls"
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(now, __version__, HEAD, with_key, with_firmware)
        try:
            made = await asyncio.to_thread(self._write, file, lock, manifest)
        except OSError as error:
            raise Misconfigured(f"{error.filename or file}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise Misconfigured(f"database {self._store.database.place}: {error}") from None
        async with self._store.write() as session:
            await session.meta.set(LAST_BACKUP, now)
            after = {"files": made.files, "size": made.size, "with_key": with_key, "with_firmware": with_firmware}
            await session.audit.add(who, "backup.made", file.name, after=after)
        return made

    async def note_restored(self, who: Actor, manifest: Manifest) -> None:
        """Write down that this data came out of a backup. Raises Forbidden."""
        who.require(PERMISSION)
        async with self._store.write() as session:
            await session.audit.add(who, "backup.restored", manifest.made_at, after={"schema": manifest.schema})

    def _write(self, file: Path, lock: Passphrase | Recipient, manifest: Manifest) -> Backup:
        _refuse_existing(file)
        _forget_scratch(self._folders.data)
        scratch = Path(tempfile.mkdtemp(dir=self._folders.data, prefix=_SCRATCH))
        number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # for our eyes only
        try:
            with open(number, "wb") as out:
                count, left_out = self._fill(out, scratch / DATABASE, lock, manifest)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            _refuse_existing(file)
            os.replace(name, file)
        finally:
            Path(name).unlink(missing_ok=True)
            shutil.rmtree(scratch)
        _sync(file.parent)
        return Backup(count, size, left_out)

    def _fill(
        self, out: IO[bytes], snapshot: Path, lock: Passphrase | Recipient, manifest: Manifest
    ) -> tuple[int, list[str]]:
        images = self._snapshot(snapshot)
        sealed = SealedWriter(out, lock)
        archive, count, left_out = ArchiveWriter(sealed, manifest), 0, list[str]()
        chosen = [(DATABASE, snapshot), *self._own_files()]
        if manifest.with_key:
            chosen.append((KEY, self._key_of(snapshot)))
        if manifest.with_firmware:
            chosen += [(f"firmware/{sha256}", self._folders.data / "firmware" / sha256) for sha256 in images]
        for name, path in chosen:
            if not is_name(name) or not path.is_file():
                left_out.append(f"{path}: {'is missing' if is_name(name) else 'has no name that could be restored'}")
                continue
            archive.add(name, path)
            count += 1
        archive.finish()
        return count, left_out

    def _key_of(self, snapshot: Path) -> Path:
        """A copy of the key that opens a snapshot, beside it: another one may take its place at any moment. Raises
        BadValue when it did already."""
        copy = snapshot.with_name(KEY)
        copy.touch(mode=0o600)
        copy.write_bytes(self._store.keys.file.path.read_bytes())
        with closing(sqlite3.connect(f"{snapshot.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            wrapped = dict(database.execute("SELECT id, wrapped FROM data_keys").fetchall())
        if KeyFile(copy).unwrap(wrapped) is None:
            raise BadValue(KEY, "was rotated while the backup was made; try again")
        return copy

    def _own_files(self) -> Iterator[tuple[str, Path]]:
        """Templates, makers' CAs, our CA and certificates: every file but hidden ones, which are unfinished."""
        for folder, root in (
            ("templates", self._folders.templates),
            ("certs", self._folders.certs),
            ("tls", self._folders.data / "tls"),
        ):
            for path in sorted(root.rglob("*")):
                name = path.relative_to(root).as_posix()
                if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                    yield f"{folder}/{name}", path

    def _snapshot(self, to: Path) -> list[str]:
        """The database as it is at this moment, in one file; returns the digests of its firmware images. Servers go on
        reading and writing. What was overwritten or deleted is not in it."""
        source = f"{Path(self._store.database.place).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(source, uri=True, timeout=_PATIENCE)) as database:
            database.execute("VACUUM INTO ?", (str(to),))
        to.chmod(0o600)
        with closing(sqlite3.connect(f"{to.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            return [row[0] for row in copy.execute("SELECT DISTINCT sha256 FROM firmware ORDER BY sha256")]


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise Conflict(f"{file} is there already")


def _forget_scratch(data: Path) -> None:
    """Remove what a backup that was killed left behind."""
    for folder in data.glob(f"{_SCRATCH}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
