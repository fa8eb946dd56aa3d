"""The text of a CSV file: which encoding a program saved it in, its lines, which separator its cells have."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator

from ztp_server.errors import BadValue

SEPARATORS = (",", ";", "\t")
# More characters than a whole row of cells can have.
_LONGEST_LINE = 8 << 20
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ADVICE = "save it as “CSV UTF-8”"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SAID_SEPARATOR = re.compile('"?sep=(.?)"?', re.IGNORECASE)


def read_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a file, with their ends: UTF-8, with or without its mark, or UTF-16 with one. Raises BadValue
    naming the line that is no such text."""
    pieces = iter(chunks)
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 4:
            break
    if first.startswith(_WORKBOOKS):
        raise BadValue("file", f"is a workbook, not CSV; {_ADVICE}")
    mark, encoding = next((row for row in _MARKS if first.startswith(row[0])), (b"", "utf-8"))
    decoder = codecs.getincrementaldecoder(encoding)()
    number, waiting = 0, ""
    for piece in _and_end(first[len(mark) :], pieces):
        text = _decoded(decoder, piece, encoding, number)
        *lines, waiting = (waiting + text).split("\n")
        for line in lines:
            number += 1
            yield _checked(number, line + "\n")
        _checked(number + 1, waiting)
    if waiting:
        yield waiting


def separator_of(line: str, is_column: Callable[[str], bool]) -> str:
    """What stands between the cells of a header: whatever makes most columns of it that are known."""

    def known(separator: str) -> int:
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error:
            return 0
        return sum(map(is_column, map(str.strip, cells)))

    return max(SEPARATORS, key=known)


def said_separator(line: str) -> str | None:
    """The separator in a first line such as `sep=;`, which spreadsheet programs write and read; None for any other
    line. Raises BadValue for one that is none of ours."""
    found = _SAID_SEPARATOR.fullmatch(line.rstrip("\r\n"))
    if found is None:
        return None
    if found[1] not in SEPARATORS:
        raise BadValue("file", "line 1: the separator must be a comma, a semicolon or a tab")
    return found[1]


def _and_end(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, and an empty one by which the decoder learns of the end."""
    yield first
    yield from (piece for piece in pieces if piece)
    yield b""


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, encoding: str, number: int) -> str:
    try:
        return decoder.decode(piece, final=not piece)
    except UnicodeDecodeError as error:
        # What stood before it in the line does not matter: its number is wanted.
        before = error.object[: error.start].decode(encoding, "replace")
        line = number + before.count("\n") + 1
        named = "UTF-8" if encoding == "utf-8" else "UTF-16"
        raise BadValue("file", f"line {line} is not {named}, as by Windows-1252; {_ADVICE}") from None


def _checked(number: int, line: str) -> str:
    if "\0" in line:
        raise BadValue("file", f"line {number} holds a NUL character, as UTF-16 without its mark; {_ADVICE}")
    if len(line) > _LONGEST_LINE:
        raise BadValue("file", f"line {number} is longer than any row can be")
    return line
