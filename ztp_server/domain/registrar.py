"""What a SIP registrar is told: the account of each line, and where a phone elsewhere is reached."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.toml_row import TomlRow
from ztp_server.errors import BadValue

Passwords = Literal["ha1", "plain"]
_REMOTE = re.compile(r"(?P<scheme>sips?):(?:(?P<user>[^@]*)@)?(?P<host>.*)")


class Refusal(TomlRow):
    """A text that the format of a registrar cannot hold, found by a regular expression."""

    pattern: str
    says: str


class Registrar(TomlRow):
    """templates/registrars/<name>/registrar.toml. `format` says how values are escaped, `limits` how long the field of
    an account may be, `secrets` whether it is told of accounts, or of forwarding targets alone. `one_namespace` is for
    one where users of all domains share their names."""

    name: str
    format: Literal["sql", "ini", "xml_part"]
    file_name: str
    secrets: bool = True
    one_namespace: bool = False
    limits: Mapping[str, int] = Field(default={})
    refuse: tuple[Refusal, ...] = ()

    def check(self, where: str, value: str, limit: str) -> None:
        """Raise BadValue naming `where` when what is made for this registrar cannot hold the value."""
        most = self.limits.get(limit, 255)
        if len(value) > most:
            raise BadValue(where, f"{len(value)} characters, {self.name} takes at most {most}")
        for refusal in self.refuse:
            if re.search(refusal.pattern, value):
                raise BadValue(where, f"{self.name} takes no {refusal.says}")


@dataclass(frozen=True, slots=True)
class SipAccount:
    """What one line registers with. The realm of its digest is its domain; `auth_user` is the name in it."""

    user: str
    auth_user: str
    domain: str
    display_name: str
    webrtc: bool
    shared: bool
    password: str = field(repr=False)

    @classmethod
    def of(cls, phone: Phone, line: Line, server: str) -> SipAccount:
        """A user may be a whole address of its own, with another domain than the SIP server."""
        user, _, domain = line.user.rpartition("@")
        if not user:
            user, domain = line.user, server
        auth_user = line.auth_user or user
        return cls(
            user, auth_user, domain.lower(), line.display_name, phone.category == "webrtc", line.shared, line.password
        )

    def as_dict(self, passwords: Passwords) -> dict[str, Any]:
        """As a template sees it. The hashes are those of RFC 2617, 3.2.2.2, `ha1b` with the domain in the user's name,
        as some phones have it; the password itself is there only when asked for, else empty."""
        return {
            "user": self.user,
            "auth_user": self.auth_user,
            "domain": self.domain,
            "display_name": self.display_name or self.user,
            "webrtc": self.webrtc,
            "shared": self.shared,
            "password": self.password if passwords == "plain" else "",
            "ha1": _md5(f"{self.auth_user}:{self.domain}:{self.password}"),
            "ha1b": _md5(f"{self.auth_user}@{self.domain}:{self.domain}:{self.password}"),
        }


@dataclass(frozen=True, slots=True)
class Target:
    """A phone elsewhere: calls for `user` at `domain` go to `address`, which is a SIP address."""

    user: str
    domain: str
    display_name: str
    address: str

    @classmethod
    def of(cls, phone: Phone, extension: str, server: str) -> Target:
        """By the extension of its user, or its id where there is none. A number is dialled at the SIP server."""
        host = f"[{server}]" if ":" in server else server
        given = phone.remote_address
        address = f"sip:{given}@{host};user=phone" if given.startswith("+") else given
        return cls(extension or phone.id, server.lower(), phone.name, address)

    def as_dict(self) -> dict[str, Any]:
        """As a template sees it."""
        found = _REMOTE.fullmatch(self.address)
        assert found
        return {
            "user": self.user,
            "domain": self.domain,
            "display_name": self.display_name,
            "address": self.address,
            "address_user": found["user"] or "",
            "address_host": found["host"],
        }


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
