"""Logins: accounts of people, tokens of programs, and the roles that either was given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from ztp_server.domain.access import ROLES, Grant, expand, granted
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

# `first` makes the first account, and nothing else; a `session` is what a person has after logging in.
TokenKind = Literal["api", "session", "first"]
ADMIN_ROLE = "admin"


@dataclass(frozen=True, slots=True)
class Role:
    """Permissions under a name. `permissions` are as written, with `phones:*` and `*`."""

    id: str
    name: str
    permissions: tuple[str, ...]
    built_in: bool = False
    revision: int = 0

    @property
    def allowed(self) -> frozenset[str]:
        return expand(self.permissions)


@dataclass(frozen=True, slots=True, order=True)
class RoleGrant:
    """A role that somebody was given: at one site, or (empty) everywhere."""

    role: str
    site: str = ""

    def __str__(self) -> str:
        return f"{self.role}@{self.site}" if self.site else self.role


EVERYTHING = RoleGrant(ADMIN_ROLE)


@dataclass(frozen=True, slots=True)
class Account:
    """A login of a person. Its password is nowhere but in the store, hashed. `external_id` is who it is to a provider
    of OpenID Connect: `https://idp.example.net#4711`, issuer and subject; empty for one who logs in here only."""

    id: str
    name: str
    enabled: bool = True
    roles: tuple[RoleGrant, ...] = ()
    created_at: datetime | None = None
    revision: int = 0
    external_id: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything, everywhere."""
        return self.enabled and EVERYTHING in self.roles


@dataclass(frozen=True, slots=True)
class Token:
    """What stands for a login in a request. `account` is empty unless it is a session; `created_by` is an actor's
    name. Without `expires_at` it is good until it is revoked."""

    id: str
    name: str
    kind: TokenKind
    created_by: str
    created_at: datetime
    account: str = ""
    roles: tuple[RoleGrant, ...] = ()
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def actor(self) -> str:
        """What the audit calls the one who asks with it."""
        return f"account:{self.account}" if self.account else f"token:{self.name}"


BUILT_IN = {name: Role(name, name.capitalize(), tuple(sorted(allowed)), True) for name, allowed in ROLES.items()}


def checked_external_id(text: str) -> str:
    """Issuer and subject as `https://idp.example.net#4711`, or nothing. Raises BadValue."""
    issuer, mark, subject = check_text("external_id", text).partition("#")
    try:
        is_issuer = urlsplit(issuer).scheme in ("https", "http") and bool(urlsplit(issuer).hostname)
    except ValueError:
        is_issuer = False
    if text and not (is_issuer and mark and subject):
        raise BadValue("external_id", "must be ISSUER#SUBJECT, such as https://idp.example.net#4711")
    return text


def grants_of(roles: Iterable[tuple[Role, str]]) -> tuple[Grant, ...]:
    """What roles at sites amount to."""
    return tuple(grant for role, site in roles for grant in granted(role.allowed, site))
