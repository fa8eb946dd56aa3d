"""Cursors: where the next part of a list begins, in a form that nobody should read."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from ztp_server.api.bodies import is_storable
from ztp_server.errors import BadValue


def make_cursor(*place: str | int) -> str:
    """The place of the last item shown: what the list is sorted by."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The place in a cursor, None without one. `kinds` are the types of its parts. Raises BadValue naming `cursor`."""
    if text is None:
        return None
    try:
        place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        place = None
    if not isinstance(place, list) or [type(part) for part in place] != list(kinds) or not all(map(_fits, place)):
        raise BadValue("cursor", "is none that this list gave")
    return tuple(place)


def _fits(part: Any) -> bool:
    return is_storable(part) if isinstance(part, str) else 0 <= part < 2**63


def page(items: Iterable[Any], next_cursor: str | None = None) -> dict[str, Any]:
    """A list as REST shows it."""
    return {"items": list(items), "next_cursor": next_cursor}
