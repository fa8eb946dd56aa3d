"""What a phone gets of who is logged in on it: its own lines, those of a user, or what its site has for nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import CUSTOM, SettingsTable
from ztp_server.errors import BadValue

# What leads a phone back to us, what it runs, its clock and its emergency calls stay as they are, whoever is on it.
_NOT_OF_A_PROFILE = frozenset({"provisioning", "time", "e911"})
# Ports go together, keys need modules: what a phone sets itself decides whether they can be.
_NEVER = frozenset({"rtp_port_start", "rtp_port_count", "expansion_modules", "standalone", "dynamic_reload"})


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """A site's profile for phones on which nobody is logged in: settings above all others, and the one line they have
    then, such as one for emergency calls (None: none)."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    line: Line | None = None

    def __bool__(self) -> bool:
        return bool(self.settings) or self.line is not None

    @property
    def lines(self) -> tuple[Line, ...]:
        return (self.line,) if self.line else ()


NO_PROFILE = LoggedOut()


def refuse_in_profile(names: Iterable[str], table: SettingsTable) -> None:
    """Raises BadValue for a setting that no profile of logged-out phones may have."""
    for name in names:
        row = table.rows.get(name)
        if name.startswith(CUSTOM) or name in _NEVER or (row and row.section in _NOT_OF_A_PROFILE):
            raise BadValue(f"settings.{name}", "stays as it is on a phone on which nobody is logged in")


def given_phone(phone: Phone, profile: LoggedOut, user_lines: Sequence[Line]) -> Phone:
    """The phone as its files are made: with the lines it gets, and without the keys of lines that it does not get.
    `user_lines` are those of the user it borrows from."""
    if phone.has_nobody:
        lines = profile.lines
    elif phone.borrows_from:
        lines = tuple(user_lines)
    else:
        return phone
    return replace(
        phone, lines=lines, line_keys=tuple(phone.line_keys[number - 1] for number in kept_keys(phone, lines))
    )


def kept_keys(phone: Phone, lines: Sequence[Line]) -> list[int]:
    """The keys that a phone has with these lines, by their numbers in its record."""
    return [number for number, key in enumerate(phone.line_keys, 1) if _has_line(key, lines)]


def _has_line(key: LineKey, lines: Sequence[Line]) -> bool:
    return key.type != "line" or key.line <= len(lines)
