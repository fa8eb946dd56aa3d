"""The file of an import, in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ztp_server.errors import BadValue
from ztp_server.services.jobs import FILE_PART

LARGEST_FILE = 64 << 20


def chunks_of(file: Path | Sequence[bytes]) -> Iterator[bytes]:
    """A file in pieces, or the pieces as they are. Raises BadValue for a file that cannot be read."""
    if not isinstance(file, Path):
        yield from file
        return
    try:
        with open(file, "rb") as opened:
            while chunk := opened.read(FILE_PART):
                yield chunk
    except OSError as error:
        raise BadValue("file", f"{file}: {error.strerror}") from None


def count_rows(chunks: Iterable[bytes]) -> int:
    """About how many rows a file has: the lines below its header."""
    return max(sum(chunk.count(b"\n") for chunk in chunks) - 1, 0)


def in_parts(file: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as such that a job keeps."""
    for chunk in file:
        for start in range(0, len(chunk), FILE_PART):
            yield chunk[start : start + FILE_PART]
