"""What the commands for accounts and tokens share: roles as they are written and shown, and whole lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import local_actor
from ztp_server.domain.account import RoleGrant

_PART = 1000


def role_options(command: Any) -> Any:
    """`--role` and `--site`; they arrive as `roles` and `sites`."""
    for option in (
        click.option("--site", "sites", multiple=True, metavar="ID", help="Where the roles count.  [default: everywhere]"),
        click.option("--role", "roles", multiple=True, metavar="ROLE[@SITE]", help="What may be done: admin, editor, operator, viewer, or a role of yours."),
    ):  # fmt: skip
        command = option(command)
    return command


def given_roles(roles: Sequence[str], sites: Sequence[str]) -> tuple[RoleGrant, ...]:
    """Raises BadValue, and UsageError for sites without a role."""
    from ztp_server.services.role_grants import parse_roles

    if sites and not roles:
        raise click.UsageError("--site says where a --role counts; give that as well")
    return parse_roles(roles, sites)


def shown_roles(view: dict[str, Any]) -> list[str]:
    """`editor@madrid`, as it was written."""
    return [f"{row['role']}@{row['site']}" if row["site"] else row["role"] for row in view["roles"]]


async def whole_list(service: Any, *arguments: str) -> list[Any]:
    """Every part of a list that comes in parts by id."""
    found: list[Any] = []
    more = True
    while more:
        part, more = await service.page(local_actor(), *arguments, found[-1].id if found else "", _PART)
        found += part
    return found
