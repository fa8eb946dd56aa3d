"""The entries of a backup: a line of JSON for each, followed by its bytes. Names are checked both ways."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from ztp_server.errors import BadValue
from ztp_server.services.sealed_stream import SealedReader, SealedWriter

DATABASE, KEY = "ztp.db", "secret.key"
# Folders of an archive, of which every file keeps its name; those of firmware are digests.
FOLDERS = ("templates", "certs", "tls")
_FIRMWARE = re.compile(r"firmware/[0-9a-f]{64}")
_PART = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")
_DEEPEST = 16
_MOST_LINE = 8192
_COPIED = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself: when it was made (ISO 8601) by which program, of which schema, and what it has."""

    made_at: str
    program: str
    schema: str
    with_key: bool
    with_firmware: bool


@dataclass(frozen=True)
class Entry:
    name: str
    size: int


def is_name(name: str) -> bool:
    """Whether an entry may be called so: what it names lies in the folder that is restored, whatever wrote it."""
    if name in (DATABASE, KEY) or _FIRMWARE.fullmatch(name):
        return True
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) and part not in (".", "..") for part in parts)
    return plain and parts[0] in FOLDERS and 2 <= len(parts) <= _DEEPEST


class ArchiveWriter:
    def __init__(self, out: SealedWriter, manifest: Manifest) -> None:
        self._out = out
        self._count = 0
        self._line({"manifest": asdict(manifest)})

    def add(self, name: str, file: Path) -> None:
        """Raises OSError, and BadValue when the file became shorter while it was read."""
        with file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            self._line({"name": name, "size": size})
            self._copy(name, source, size)
        self._count += 1

    def finish(self) -> None:
        self._line({"end": self._count})
        self._out.finish()

    def _copy(self, name: str, source: IO[bytes], size: int) -> None:
        while size:
            part = source.read(min(size, _COPIED))
            if not part:
                raise BadValue(name, "changed while it was read; try again")
            self._out.write(part)
            size -= len(part)

    def _line(self, value: Any) -> None:
        self._out.write(json.dumps(value).encode() + b"\n")


class ArchiveReader:
    """Raises BadValue, here and in all methods, naming what is wrong."""

    def __init__(self, source: SealedReader) -> None:
        self._source = source
        try:
            self.manifest = _manifest(self._line()["manifest"])
        except (KeyError, TypeError):
            raise BadValue("file", "does not say what it is") from None

    def entries(self) -> Iterator[Entry]:
        """Each entry once; whoever asks copies its bytes before asking for the next."""
        seen: set[str] = set()
        while "end" not in (line := self._line()):
            name, size = line.get("name"), line.get("size")
            if not isinstance(name, str) or not is_name(name) or name in seen or not isinstance(size, int) or size < 0:
                raise BadValue("file", f"has an entry that no backup of ours has: {str(name)[:100]!r}")
            seen.add(name)
            yield Entry(name, size)
        if line["end"] != len(seen) or not self._source.at_end():
            raise BadValue("file", "does not end where it should")

    def copy(self, entry: Entry, to: IO[bytes]) -> None:
        self._source.copy(entry.size, to.write)

    def _line(self) -> dict[str, Any]:
        line = bytearray()
        while not line.endswith(b"\n"):
            if len(line) > _MOST_LINE:
                raise BadValue("file", "has a line that is too long")
            line += self._source.read(1)
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadValue("file", "has a line that says nothing")
        return found


def _manifest(found: Any) -> Manifest:
    known = {field.name: found[field.name] for field in fields(Manifest)}
    return Manifest(**known)
