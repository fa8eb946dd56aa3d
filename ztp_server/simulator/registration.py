"""What a phone would register once it has read its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ztp_server.domain.vendor import Reading

_NO_SERVER = ("", "0.0.0.0")  # how makers write that there is none


@dataclass(frozen=True, slots=True)
class Registration:
    """A line that a phone would register. `line` counts from 1, whatever the maker counts from."""

    line: int
    user: str
    server: str
    transport: str

    @property
    def has_server(self) -> bool:
        return self.server not in _NO_SERVER


def registrations(reading: Reading, lines: int, parameters: Mapping[str, str]) -> list[Registration]:
    """The lines that `parameters` fill and do not switch off, on a phone that has `lines` of them."""
    found = []
    for line in range(1, lines + 1):
        number = str(reading.first_line + line - 1)
        user, server, transport, enabled = (
            parameters.get(pattern.replace("{n}", number), "")
            for pattern in (reading.user, reading.server, reading.transport, reading.enabled)
        )
        if user and enabled != "0":
            found.append(Registration(line, user, server, transport))
    return found
