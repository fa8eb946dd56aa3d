"""What is to be said of rows that are taken all the same."""

from __future__ import annotations

import re

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.services.custom_parameters import CustomWarnings
from ztp_server.services.phone_checks import oui_warnings
from ztp_server.services.phone_csv import Row

# Beyond it nobody reads on.
MOST_WARNINGS = 100
# `3.46E+10`: what is left of a number of many digits.
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+\d{1,2}")
_NUMBERS = ("user", "auth_user", "value")


class ImportWarnings:
    """Gathers warnings of many rows: each complaint of a raw parameter once, of the others the first."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._custom = CustomWarnings(catalog)
        self._found: list[str] = []
        self._more = 0

    def look_at(self, row: Row, before: Phone | None, after: Phone) -> None:
        """Note what is odd about a row that is taken, and the phone it makes."""
        if after.category == "managed":
            given = {name: cell for name, cell in row.settings.items() if cell is not None}
            self._custom.look_at(f"line {row.number}", after.model, given)
            for warning in oui_warnings(self._catalog, before, after):
                self._add(f"line {row.number}, column {warning}")
        for prefix, group in (("line", row.lines), ("key", row.keys)):
            for number, cells in group.items():
                for name in _NUMBERS:
                    if _ROUNDED.fullmatch(cells.get(name) or ""):
                        column = f"{prefix}{number}_{name}"
                        self._add(f"line {row.number}, column {column}: looks rounded by a spreadsheet program")

    def lines(self) -> list[str]:
        custom = [f"{rows}: {complaint}" for rows, complaint in self._custom.lines()]
        return [*custom, *self._found, *([f"and {self._more} more warnings"] if self._more else [])]

    def _add(self, text: str) -> None:
        if len(self._found) < MOST_WARNINGS:
            self._found.append(text)
        else:
            self._more += 1
