"""A button beside the display of a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

LineKeyType = Literal["line", "blf", "speed_dial", "none"]
LINE_KEY_TYPES: tuple[str, ...] = get_args(LineKeyType)


@dataclass(frozen=True, slots=True)
class LineKey:
    """What one button does. `line` counts from 1 (for type line); `value` is who is watched or dialled."""

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
        if self.type in ("blf", "speed_dial") and not self.value:
            raise BadValue(f"{field}.value", f"a {self.type} key needs a number or address")
        check_text(f"{field}.value", self.value)
        check_text(f"{field}.label", self.label, max_length=128)
        return self
