"""Firmware images on disk, under their SHA-256. What is served is what was added, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ztp_server.errors import BadValue, Misconfigured

_CHUNK = 1 << 20
_Signature = tuple[int, int, int, int]


class FirmwareFiles:
    """The folder of images. An image is hashed before it is first served and whenever its file was touched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._verified: dict[str, _Signature] = {}
        self._hashing: dict[str, asyncio.Task[bool]] = {}

    def path(self, sha256: str) -> Path:
        return self._folder / sha256

    def keep(self, original: IO[bytes]) -> tuple[str, int]:
        """Copy an image in; returns its SHA-256 and size in bytes. Raises BadValue and Misconfigured."""
        scratch: Path | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".new.", delete=False) as copy:
                scratch = Path(copy.name)
                sha256, size = _copy(original, copy)
            if not size:
                raise BadValue("file", "is empty")
            os.replace(scratch, self.path(sha256))
        except OSError as error:
            raise Misconfigured(f"{self._folder}: {error.strerror}") from None
        finally:
            if scratch:
                scratch.unlink(missing_ok=True)
        _sync(self._folder)
        return sha256, size

    def forget(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)
        self._verified.pop(sha256, None)

    async def is_whole(self, sha256: str) -> bool:
        """Whether the bytes on disk are those that were added. Cheap while the file is untouched; else it is hashed
        in a thread, once for all who ask meanwhile."""
        signature = _signature(self.path(sha256))
        if signature is None:
            return False
        if self._verified.get(sha256) == signature:
            return True
        return await self._hash(sha256, signature)

    async def scrub(self, images: Iterable[str]) -> list[str]:
        """Hash images again, touched or not; returns those that are damaged or gone."""
        damaged = []
        for sha256 in images:
            self._verified.pop(sha256, None)
            if not await self.is_whole(sha256):
                damaged.append(sha256)
        return damaged

    async def _hash(self, sha256: str, signature: _Signature) -> bool:
        task = self._hashing.get(sha256)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_has_digest, self.path(sha256), sha256))
            self._hashing[sha256] = task
            task.add_done_callback(lambda _: self._hashing.pop(sha256, None))
        # One who gives up waiting must not end it for the others.
        whole = await asyncio.shield(task)
        # Touched while it was hashed: the next request hashes again.
        if whole and _signature(self.path(sha256)) == signature:
            self._verified[sha256] = _mark(self.path(sha256), sha256) or signature
        else:
            self._verified.pop(sha256, None)
        return whole


def _mark(path: Path, sha256: str) -> _Signature | None:
    """Give a verified file a time that follows from its bytes. The tag of an answer is made of time and size, so that
    it is the same on every server and after a restore, and phones do not load again what they have."""
    time = int(sha256[:15], 16)
    with contextlib.suppress(OSError):
        if path.stat().st_mtime_ns != time:
            os.utime(path, ns=(time, time))
    return _signature(path)


def _copy(original: IO[bytes], copy: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := original.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        copy.write(chunk)
    copy.flush()
    os.fsync(copy.fileno())
    return digest.hexdigest(), size


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _signature(path: Path) -> _Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
