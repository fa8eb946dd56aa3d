"""ztp role"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions


@click.group()
def role() -> None:
    """Permissions under a name, to be given to accounts and tokens."""


permissions_option = click.option(
    "--permission",
    "permissions",
    multiple=True,
    metavar="NAME",
    help="phones:edit; phones:* and * stand for all of a kind.",
)


@role.command("add")
@click.argument("role_id", metavar="ID")
@click.option("--name", default="", help="What people call it.  [default: ID]")
@permissions_option
@data_options
def add(role_id: str, name: str, permissions: Sequence[str], data: DataOptions) -> None:
    """Add a role."""
    with_services(data, lambda s: s.roles.add(local_actor(), role_id, name, permissions))


@role.command("edit")
@click.argument("role_id", metavar="ID")
@click.option("--name", default=None)
@permissions_option
@data_options
def edit(role_id: str, name: str | None, permissions: Sequence[str], data: DataOptions) -> None:
    """Change a role. Permissions that are given take the place of those it has, for everybody who has the role."""
    with_services(data, lambda s: s.roles.edit(local_actor(), role_id, name=name, permissions=permissions or None))


@role.command("remove")
@click.argument("role_id", metavar="ID")
@data_options
def remove(role_id: str, data: DataOptions) -> None:
    """Remove a role that nobody has."""
    with_services(data, lambda s: s.roles.remove(local_actor(), role_id))


@role.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_roles(as_json: bool, data: DataOptions) -> None:
    """List roles: those that are built in, and yours."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.access_views import role_view

        return [role_view(one) for one in await services.roles.all(local_actor())]

    roles = with_services(data, views)
    if as_json:
        return show_json(roles)
    show_table(("ID", "Name", "Built in", "Permissions"), [_row(row) for row in roles])


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["id"], row["name"], row["built_in"], row["permissions"]
