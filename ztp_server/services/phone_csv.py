"""The rows of a phone CSV: header, bounds, which columns belong together, and the marks in cells.

A cell that is empty says nothing: the phone keeps what it has. `-` takes away what it has. An apostrophe alone is the
empty text. One apostrophe is taken off before what a spreadsheet program would run, and before another one: so `'-` is
a dash, and every value can be written.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ztp_server.domain.settings import LONGEST_NAME
from ztp_server.errors import BadValue
from ztp_server.services.csv_text import read_lines, said_separator, separator_of

MOST_ROWS = 200_000
MOST_COLUMNS = 1_024
LARGEST_CELL = 4_096
# Of a directory of a thousand names, or of certificates.
LARGEST_SETTING = 524_288
FIELDS = (
    *("id", "name", "category", "hardware_id", "model", "site", "base_settings", "user", "logged_out", "proofs"),
    "remote_address",
)
LINE_FIELDS = ("user", "auth_user", "password", "display_name", "label", "shared")
KEY_FIELDS = ("type", "value", "label")
CLEAR = "-"
EMPTY = "'"
_LINE = re.compile(rf"line([1-9]\d?)_({'|'.join(LINE_FIELDS)})")
_KEY = re.compile(rf"key([1-9]\d{{0,2}})_({'|'.join(KEY_FIELDS)})")
_SETTING = re.compile(rf"settings\.(.{{1,{LONGEST_NAME}}})", re.DOTALL)
# A spreadsheet program would run a cell that begins so; exports put an apostrophe before it (CWE-1236).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")

# Cells that are filled, by name; None where the mark says to take away what is there.
Cells = dict[str, str | None]


@dataclass(slots=True)
class Row:
    """A row of the file, its cells by what they belong to. `number` is the line on which it begins, the first of the
    file being 1. `problem` is what keeps it from being read."""

    number: int
    fields: Cells = field(default_factory=dict)
    lines: dict[int, Cells] = field(default_factory=dict)
    keys: dict[int, Cells] = field(default_factory=dict)
    settings: Cells = field(default_factory=dict)
    problem: BadValue | None = None

    def text(self, name: str) -> str:
        return self.fields.get(name) or ""


@dataclass(frozen=True, slots=True)
class Column:
    """Where the cells of a column belong: a field, a setting, or a part of a numbered line or key."""

    title: str
    kind: str
    name: str
    number: int = 0

    @property
    def largest(self) -> int:
        return LARGEST_SETTING if self.kind == "setting" else LARGEST_CELL

    def put(self, row: Row, cell: str | None) -> None:
        if self.kind == "field":
            row.fields[self.name] = cell
        elif self.kind == "setting":
            row.settings[self.name] = cell
        else:
            group = row.lines if self.kind == "line" else row.keys
            group.setdefault(self.number, {})[self.name] = cell


def read_rows(chunks: Iterable[bytes]) -> Iterator[Row]:
    """The rows of a CSV file that comes in pieces. Raises BadValue for what is no CSV of ours: encoding, header,
    bounds."""
    csv.field_size_limit(LARGEST_SETTING)
    lines = read_lines(chunks)
    first = next(lines, "")
    separator = said_separator(first)
    header_line = 1
    if separator:
        header_line, first = 2, next(lines, "")
    separator = separator or separator_of(first, lambda title: _column(title) is not None)
    # Lines that cells hold are ended as everywhere: LF.
    reader = csv.reader(_joined(first, lines), delimiter=separator, strict=True)
    columns = _columns(_next(reader, header_line - 1) or [], header_line)
    before = reader.line_num
    for _ in range(MOST_ROWS + 1):
        cells = _next(reader, header_line - 1)
        if cells is None:
            return
        number, before = before + header_line, reader.line_num
        if any(cells):
            yield _row(number, columns, cells)
    raise BadValue("file", f"more than {MOST_ROWS} rows")


def neutral(text: str) -> str:
    """A text as a cell that no spreadsheet program runs, and that import reads as the same text again."""
    return "'" + text if text.startswith(_FORMULA) else text


def _joined(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _next(reader: Any, passed: int) -> list[str] | None:
    """The cells of the next row, None at the end. Raises BadValue naming the line that is no CSV."""
    begin = reader.line_num + 1 + passed
    try:
        return next(reader, None)
    except csv.Error as error:
        reason = str(error)
        if "new-line character" in reason:
            reason = "a carriage return that ends no line; save the file with the ends of lines of Windows or Unix"
        elif "larger than" in reason:
            reason = f"a cell of more than {LARGEST_SETTING} characters"
        raise BadValue("file", f"line {begin}: {reason}") from None


def _columns(titles: Sequence[str], line: int) -> list[Column]:
    titles = [title.strip() for title in titles]
    # Spreadsheet programs write columns that were used once.
    while titles and not titles[-1]:
        titles.pop()
    if len(titles) > MOST_COLUMNS:
        raise BadValue("file", f"more than {MOST_COLUMNS} columns")
    repeated = {title for title in titles if titles.count(title) > 1} if len(set(titles)) != len(titles) else set()
    if repeated:
        raise BadValue("file", f"column {min(repeated)[:64]} stands twice in line {line}")
    columns = []
    for title in titles:
        column = _column(title)
        if column is None:
            raise BadValue("file", f"unknown column {title[:64]!r} in line {line}{_nearest(title)}")
        columns.append(column)
    if not {"hardware_id", "id", "category"} & set(titles):
        raise BadValue("file", f"no column hardware_id in line {line}")
    return columns


def _column(title: str) -> Column | None:
    if title in FIELDS:
        return Column(title, "field", title)
    for kind, pattern in (("line", _LINE), ("key", _KEY)):
        if found := pattern.fullmatch(title):
            return Column(title, kind, found[2], int(found[1]))
    found = _SETTING.fullmatch(title)
    return Column(title, "setting", found[1]) if found else None


def _nearest(title: str) -> str:
    number = (re.findall(r"\d+", title) or ["1"])[0].lstrip("0") or "1"
    numbered = [f"line{number}_{name}" for name in LINE_FIELDS] + [f"key{number}_{name}" for name in KEY_FIELDS]
    near = difflib.get_close_matches(title[:64], [*FIELDS, *numbered], n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def _row(number: int, columns: Sequence[Column], cells: list[str]) -> Row:
    row = Row(number)
    if len(cells) != len(columns) and (len(cells) < len(columns) or any(cells[len(columns) :])):
        row.problem = BadValue("", f"{len(cells)} cells, the header has {len(columns)}")
        return row
    for column, cell in zip(columns, cells, strict=False):
        if not cell:
            continue
        if len(cell) > column.largest:
            row.problem = BadValue(column.title, f"{len(cell)} characters, at most {column.largest}")
            return row
        column.put(row, _meant(cell))
    return row


def _meant(cell: str) -> str | None:
    """What a cell says: its text without the marks, None for the one that takes away."""
    if cell == CLEAR:
        return None
    if cell == EMPTY:
        return ""
    if cell[0] == "'" and cell[1] in _FORMULA:
        cell = cell[1:]
    # Whatever a cell's lines end with on somebody's machine.
    return cell.replace("\r\n", "\n") if "\r" in cell else cell
