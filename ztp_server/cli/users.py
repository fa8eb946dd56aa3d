"""ztp user"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.access import whole_list
from ztp_server.cli.common import data_options, local_actor, read_fields, show_json, show_table, with_services
from ztp_server.config import DataOptions
from ztp_server.domain.phone import LineChange
from ztp_server.domain.text import switch

_FIELDS = ("user", "auth_user", "password", "display_name", "label", "shared")


@click.group()
def user() -> None:
    """People: whose phones they are."""


lines_option = click.option(
    "--line", "lines", multiple=True, metavar="FIELDS", help="A line of theirs, in order: user=1001,password=@FILE"
)


@user.command("add")
@click.argument("user_id", metavar="ID")
@click.option("--name", default="", help="What people call them.  [default: ID]")
@click.option("--extension", default="", help="The number by which colleagues call them.")
@lines_option
@data_options
def add(user_id: str, name: str, extension: str, lines: Sequence[str], data: DataOptions) -> None:
    """Add a user."""
    given = [_line(text) for text in lines]
    with_services(data, lambda s: s.users.add(local_actor(), user_id, name, extension, given))


@user.command("edit")
@click.argument("user_id", metavar="ID")
@click.option("--name", default=None)
@click.option("--extension", default=None, help="The browser phones of the user follow it.")
@lines_option
@click.option("--no-lines", is_flag=True, help="Take away those they have.")
@data_options
def edit(
    user_id: str, name: str | None, extension: str | None, lines: Sequence[str], no_lines: bool, data: DataOptions
) -> None:
    """Change a user. Lines that are given take the place of those they have; one without a password keeps that of the
    line with the same SIP user."""
    if lines and no_lines:
        raise click.UsageError("--line or --no-lines, not both")
    given = [_line(text) for text in lines] if lines or no_lines else None
    with_services(data, lambda s: s.users.edit(local_actor(), user_id, name=name, extension=extension, lines=given))


@user.command("remove")
@click.argument("user_id", metavar="ID")
@data_options
def remove(user_id: str, data: DataOptions) -> None:
    """Remove a user to whom no phone belongs."""
    with_services(data, lambda s: s.users.remove(local_actor(), user_id))


@user.command("list")
@click.option("--q", default="", metavar="TEXT", help="Part of an id, a name or an extension; * stands for any text.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_users(q: str, as_json: bool, data: DataOptions) -> None:
    """List users."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.access_views import user_view

        return [user_view(one) for one in await whole_list(services.users, q)]

    users = with_services(data, views)
    if as_json:
        return show_json(users)
    show_table(("ID", "Name", "Extension", "Lines"), [_row(row) for row in users])


@user.command("show")
@click.argument("user_id", metavar="ID")
@data_options
def show(user_id: str, data: DataOptions) -> None:
    """Show a user, with the phones that belong to them."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.access_views import user_with_phones

        who = local_actor()
        return user_with_phones(await services.users.get(who, user_id), await services.users.phones(who, user_id))

    show_json(with_services(data, view))


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["id"], row["name"], row["extension"], [line["user"] for line in row["lines"]]


def _line(text: str) -> LineChange:
    fields = {"user": "", **read_fields("--line", text, _FIELDS)}
    shared = switch("--line shared", fields.pop("shared", "off"))
    return LineChange(**fields, shared=shared)
