"""The rows of a phone CSV: encoding, header, bounds, and which columns belong together."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ztp_server.errors import BadValue

MOST_ROWS = 200_000
MOST_COLUMNS = 1_024
LARGEST_CELL = 4_096
FIELDS = ("name", "category", "hardware_id", "model", "site", "base_settings")
LINE = re.compile(r"line([1-9]\d?)_(user|auth_user|password|display_name|label|shared)")
KEY = re.compile(r"key([1-9]\d{0,2})_(type|value|label)")
SETTING = re.compile(r"settings\.(.+)")
# A spreadsheet program would run a cell that begins so; exports put an apostrophe before it (CWE-1236).
_FORMULA = re.compile(r"'[=+\-@\t\r']")


@dataclass(frozen=True)
class Row:
    """A line of the file. `number` is the line on which it begins, the header being line 1."""

    number: int
    cells: Mapping[str, str]

    def group(self, pattern: re.Pattern[str]) -> dict[int, dict[str, str]]:
        """Numbered cells that are not empty, by number: `line1_user` → {1: {"user": …}}."""
        found: dict[int, dict[str, str]] = {}
        for column, cell in self.cells.items():
            match = pattern.fullmatch(column)
            if match and cell:
                found.setdefault(int(match[1]), {})[match[2]] = cell
        return found


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a CSV file. Raises BadValue for what is no CSV of ours: encoding, header, bounds."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            yield from _parse(text)
    except OSError as error:
        raise BadValue("file", f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadValue("file", f"{file.name} is not UTF-8; save it as “CSV UTF-8”") from None


def _parse(text: Iterable[str]) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(text, strict=True)
    header = [column.strip() for column in _next(reader) or []]
    _check_header(header)
    before = reader.line_num
    for _ in range(MOST_ROWS + 1):
        cells = _next(reader)
        if cells is None:
            return
        number, before = before + 1, reader.line_num
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise BadValue("file", f"line {number} has {len(cells)} cells, the header has {len(header)}")
        yield Row(number, dict(zip(header, map(_plain_cell, cells), strict=True)))
    raise BadValue("file", f"more than {MOST_ROWS} rows")


def _next(reader: Any) -> list[str] | None:
    """The cells of the next row, None at the end. Raises BadValue naming the line that is no CSV."""
    begin = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        raise BadValue("file", f"line {begin}: {error}") from None


def _check_header(header: list[str]) -> None:
    if len(header) > MOST_COLUMNS:
        raise BadValue("file", f"more than {MOST_COLUMNS} columns")
    if len(header) == 1 and ";" in header[0]:
        raise BadValue("file", "the cells are separated by semicolons; save it with commas")
    for column in header:
        known = column in (*FIELDS, "user", "remote_address") or any(p.fullmatch(column) for p in (LINE, KEY, SETTING))
        if not known:
            raise BadValue("file", f"unknown column {column[:64]!r} in line 1")
    repeated = {column for column in header if header.count(column) > 1}
    if repeated:
        raise BadValue("file", f"column {sorted(repeated)[0]} stands twice in line 1")
    if "hardware_id" not in header:
        raise BadValue("file", "no column hardware_id in line 1")


def _plain_cell(cell: str) -> str:
    return cell[1:] if _FORMULA.match(cell) else cell
