"""Which methods a path takes, where one path hides behind another: `/phones/edit` and `/phones/{id}`."""

from __future__ import annotations

from collections.abc import Iterable

from ztp_server.api.operation import Operation


def by_precision(rows: Iterable[Operation]) -> list[Operation]:
    """The operations, those of a path without names in it before those that would take it for a name."""
    return sorted(rows, key=lambda row: ["{" in part for part in row.path.split("/")])


def methods_of(path: str, rows: Iterable[Operation]) -> list[str]:
    """What a path (below /api/v1) takes, as its most precise row says; `rows` are sorted by precision."""
    matching = [row for row in rows if _fits(path.split("/"), row.path.split("/"))]
    found = {row.method for row in matching if row.path == matching[0].path}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _fits(parts: list[str], names: list[str]) -> bool:
    return len(parts) == len(names) and all("{" in n or n == p for p, n in zip(parts, names, strict=True))
