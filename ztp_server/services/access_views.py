"""Users, accounts, roles and tokens as doors show them: plain data, no password and no token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ztp_server.domain.account import Account, Role, RoleGrant, Token
from ztp_server.domain.phone import Line
from ztp_server.domain.user import User


def account_view(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "enabled": account.enabled,
        "external_id": account.external_id or None,
        "roles": _roles(account.roles),
        "created_at": _moment(account.created_at),
        "revision": account.revision,
    }


def account_with_tokens(account: Account, tokens: Sequence[str]) -> dict[str, Any]:
    """An account, and the names of the tokens for programs that it made."""
    return account_view(account) | {"tokens": list(tokens)}


def role_view(role: Role) -> dict[str, Any]:
    """A role as it is written, and all it stands for."""
    return {
        "id": role.id,
        "name": role.name,
        "built_in": role.built_in,
        "permissions": list(role.permissions),
        "allowed": sorted(role.allowed),
        "revision": role.revision,
    }


def token_view(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "roles": _roles(token.roles),
        "created_by": token.created_by,
        "created_at": _moment(token.created_at),
        "expires_at": _moment(token.expires_at),
        "last_used_at": _moment(token.last_used_at),
    }


def user_view(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "extension": user.extension,
        "lines": [_line(line) for line in user.lines],
        "revision": user.revision,
    }


def user_with_phones(user: User, phones: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A user, and the phones of theirs that one may see."""
    shown = [{name: None if value == "" else value for name, value in phone.items()} for phone in phones]
    return user_view(user) | {"phones": shown}


def _roles(roles: Iterable[RoleGrant]) -> list[dict[str, str | None]]:
    return [{"role": grant.role, "site": grant.site or None} for grant in roles]


def _line(line: Line) -> dict[str, Any]:
    return {name: value for name, value in asdict(line).items() if name != "password"}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
