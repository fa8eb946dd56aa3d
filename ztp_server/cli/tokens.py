"""ztp token"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.access import given_roles, role_options, shown_roles, whole_list
from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions


@click.group()
def token() -> None:
    """What programs show instead of a login."""


@token.command("create")
@click.option("--name", required=True, help="Whose it is; the audit calls it so.")
@role_options
@click.option(
    "--expires", default="1y", show_default=True, metavar="90d|never", help="How long it is good: h, d, w, y."
)
@data_options
def create(name: str, roles: Sequence[str], sites: Sequence[str], expires: str, data: DataOptions) -> None:
    """Make a token and print it, this once."""
    given = given_roles(roles, sites)

    async def make(services: Any) -> str:
        from ztp_server.services.tokens import parse_expiry

        text, _ = await services.tokens.create(local_actor(), name, given, parse_expiry(expires))
        return str(text)

    click.echo(with_services(data, make))


@token.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_tokens(as_json: bool, data: DataOptions) -> None:
    """List tokens, with who made them and when they were last used (noted once a minute)."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.access_views import token_view

        return [token_view(one) for one in await whole_list(services.tokens)]

    tokens = with_services(data, views)
    if as_json:
        return show_json(tokens)
    show_table(
        ("Name", "ID", "Roles", "Expires", "Last used", "Made by"),
        [
            (
                t["name"],
                t["id"],
                shown_roles(t),
                t["expires_at"] or "never",
                t["last_used_at"] or "never",
                t["created_by"],
            )
            for t in tokens
        ],
    )


@token.command("revoke")
@click.argument("token_id", metavar="NAME|ID")
@data_options
def revoke(token_id: str, data: DataOptions) -> None:
    """End a token: its next request is refused."""
    with_services(data, lambda s: s.tokens.revoke(local_actor(), token_id))
