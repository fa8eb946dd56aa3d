"""A person: whose phone it is, with the lines that come along."""

from __future__ import annotations

from dataclasses import dataclass

from ztp_server.domain.phone import Line


@dataclass(frozen=True, slots=True)
class User:
    """A person (never a login: that is an account). `extension` is the number by which colleagues call them."""

    id: str
    name: str
    extension: str = ""
    lines: tuple[Line, ...] = ()
    revision: int = 0
