"""A data folder out of a backup: everything is read and checked before any of it can be seen, and nothing is run."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from ztp_server.errors import BadValue, Conflict, Misconfigured
from ztp_server.services.archive import DATABASE, KEY, ArchiveReader, Entry, Manifest
from ztp_server.services.sealed_stream import Identity, Passphrase, SealedReader
from ztp_server.store.key_file import KeyFile
from ztp_server.store.migrations import runner

# What was open for a time only, and may have been closed after the backup: windows in which phones are believed, people
# who are logged in. Either is opened again in a moment.
_OVER = ("DELETE FROM provisioning_windows", "DELETE FROM tokens WHERE kind != 'api'")


def restore(file: Path, data: Path, key: Passphrase | Identity) -> Manifest:
    """Fill a data folder that is empty or not there. Raises BadValue naming what is wrong with the file, Conflict when
    the folder is not empty, and Misconfigured for what cannot be read or written; then the folder is as it was."""
    try:
        return _restored(file, data.absolute(), key)
    except OSError as error:
        raise Misconfigured(f"{error.filename or data}: {error.strerror}") from None


def _restored(file: Path, data: Path, key: Passphrase | Identity) -> Manifest:
    is_there = data.exists()
    if is_there and any(data.iterdir()):
        raise Conflict(f"{data} is not empty; a backup is restored into an empty folder")
    with file.open("rb") as source:
        archive = ArchiveReader(SealedReader(source, key))
        _check_schema(archive.manifest)
        data.parent.mkdir(parents=True, exist_ok=True)
        # A folder that something is mounted on cannot be replaced, so its content is brought in piece by piece.
        beside = not is_there or not _is_mounted(data)
        parent = data.parent if beside else data
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=f".{data.name}.restoring-" if beside else ".restoring-"))
        try:
            for entry in archive.entries():
                _extract(archive, entry, scratch)
            _check(scratch, archive.manifest)
            _end_what_was_open(scratch / DATABASE)
            _put(scratch, data, beside=beside)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return archive.manifest


def _extract(archive: ArchiveReader, entry: Entry, folder: Path) -> None:
    """Write one entry, whose name was checked, as a new file for our eyes only."""
    path = folder / entry.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "wb") as to:
        archive.copy(entry, to)
        to.flush()
        os.fsync(to.fileno())


def _check_schema(manifest: Manifest) -> None:
    if not runner.knows(str(manifest.schema)):
        raise BadValue("file", f"was made by ztp {manifest.program}, a newer one; upgrade ztp")


def _check(folder: Path, manifest: Manifest) -> None:
    """That what was restored can be served: the database is whole, and the images and the key are its own."""
    if not (folder / DATABASE).exists():
        raise BadValue("file", f"has no {DATABASE}")
    try:
        address = f"{(folder / DATABASE).as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as found:
            found.execute("PRAGMA trusted_schema=OFF")
            verdict = found.execute("PRAGMA quick_check(1)").fetchone()[0]
            (schema,) = found.execute("SELECT version_num FROM alembic_version").fetchone()
            wrapped = dict(found.execute("SELECT id, wrapped FROM data_keys").fetchall())
    except (sqlite3.Error, TypeError) as error:
        raise BadValue("file", f"{DATABASE} in it: {error}") from None
    if verdict != "ok" or schema != manifest.schema:
        raise BadValue("file", f"{DATABASE} in it: {verdict if verdict != 'ok' else f'is of schema {schema}'}")
    for image in (folder / "firmware").glob("*"):
        with image.open("rb") as source:
            if hashlib.file_digest(source, "sha256").hexdigest() != image.name:
                raise BadValue("file", f"firmware/{image.name} in it has other bytes")
    if manifest.with_key and KeyFile(folder / KEY).unwrap(wrapped) is None:
        raise BadValue("file", f"{KEY} in it does not open {DATABASE}")


def _end_what_was_open(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("PRAGMA trusted_schema=OFF")
            for statement in _OVER:
                database.execute(statement)
    except sqlite3.Error as error:
        raise BadValue("file", f"{DATABASE} in it: {error}") from None


def _put(scratch: Path, data: Path, *, beside: bool) -> None:
    """Make it visible: at once, or else with the database last, without which there is nothing to serve."""
    for folder in [scratch, *(path for path in scratch.rglob("*") if path.is_dir())]:
        _sync(folder)
    if beside:
        os.replace(scratch, data)
    else:
        for path in sorted(scratch.iterdir(), key=lambda path: path.name == DATABASE):
            os.replace(path, data / path.name)
    _sync(data)
    with suppress(OSError):  # a folder above that we may not read
        _sync(data.parent)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _is_mounted(folder: Path) -> bool:
    return folder.is_mount() or folder.is_symlink() or not os.access(folder.parent, os.W_OK)
