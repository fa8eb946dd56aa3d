"""A button beside the display of a phone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

LineKeyType = Literal["line", "blf", "speed_dial", "park", "intercom", "url", "none"]
LINE_KEY_TYPES: tuple[str, ...] = get_args(LineKeyType)
_URL = re.compile(r"https?://[\x21\x23-\x3b\x3d\x3f-\x7e]+")
_WANTS = {"url": "an http:// or https:// URL without spaces, quotes or angle brackets", "park": "a parking orbit"}


@dataclass(frozen=True, slots=True)
class LineKey:
    """What one button does. `line` counts from 1 (for type line); `value` is who is watched or dialled, the orbit where
    calls are parked, or the URL that is opened. `none` leaves a gap."""

    type: str
    value: str = ""
    label: str = ""
    line: int = 0

    def checked(self, field: str, lines: int) -> LineKey:
        """Return self, or raise BadValue naming `field`. `lines` is how many the phone has."""
        if self.type not in LINE_KEY_TYPES:
            raise BadValue(f"{field}.type", f"{self.type!r} is none of {', '.join(LINE_KEY_TYPES)}")
        if self.type == "line" and not 1 <= self.line <= lines:
            raise BadValue(f"{field}.line", f"the phone has {lines} lines, numbered from 1")
        if self.type not in ("line", "none") and not self.value:
            raise BadValue(f"{field}.value", f"a {self.type} key needs {_WANTS.get(self.type, 'a number or address')}")
        if self.type == "url" and not _URL.fullmatch(self.value):
            raise BadValue(f"{field}.value", f"a url key needs {_WANTS['url']}")
        check_text(f"{field}.value", self.value)
        check_text(f"{field}.label", self.label, max_length=128)
        return self
