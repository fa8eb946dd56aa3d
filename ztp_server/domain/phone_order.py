"""The order of a list of phones, and where in it the next page begins."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from ztp_server.domain.text import forbidden_character, nearest
from ztp_server.errors import BadValue

SORTS = ("name", "hardware_id", "model", "site", "base_settings", "category", "firmware", "last_seen")


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list. Phones that have no such value come last, in both directions."""

    by: str = "name"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Sort:
        """`name`, or `-name` for the other direction. Raises BadValue."""
        by = text.removeprefix("-")
        if by not in SORTS:
            raise BadValue("sort", f"{by[:64]!r} is none of {', '.join(SORTS)}{nearest(by, SORTS)}")
        return cls(by, text.startswith("-"))

    def __str__(self) -> str:
        return f"{'-' * self.descending}{self.by}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the values of its last phone that the list is sorted by. `has_value` is off among those that
    have no such value, which come last. It belongs to no request: phones may come and go meanwhile."""

    sort: Sort
    has_value: bool
    values: tuple[str, ...]

    @property
    def cursor(self) -> str:
        """The place as a text that nobody should read."""
        parts = json.dumps([str(self.sort), self.has_value, *self.values], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(parts.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str, sort: Sort) -> Place:
        """Read a cursor of a list in this order. Raises BadValue."""
        try:
            parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list) or parts[:1] != [str(sort)] or not _is_place(parts[1:]):
            raise BadValue("cursor", "is none that a list in this order gave")
        return cls(sort, parts[1], tuple(parts[2:]))


def _is_place(parts: list[object]) -> bool:
    """Whether these are a switch and then texts, without anything that no phone has."""
    texts = [part for part in parts[1:] if isinstance(part, str) and not forbidden_character(part)]
    return isinstance(parts[0] if parts else None, bool) and 0 < len(texts) == len(parts) - 1
