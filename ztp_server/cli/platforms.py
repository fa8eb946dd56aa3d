"""ztp platform"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from ztp_server.cli.access import whole_list
from ztp_server.cli.common import data_options, from_file, local_actor, show_json, show_table, with_services
from ztp_server.cli.edits import json_option, reason_option
from ztp_server.config import DataOptions
from ztp_server.domain.platform import SOURCE_KINDS


@click.group()
def platform() -> None:
    """SIP platforms that phones register with: where requests to phones go, who tells of registrations."""


def _fields(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields of a platform. What is not given is None."""
    for option in (
        click.option("--source-password", default=None, help="Its password; @FILE or @- reads it there."),
        click.option("--source-user", default=None, help="Its login."),
        click.option("--source-address", default=None, metavar="PLACE", help="Its door: a URL (kamailio_rpc), or tcp:HOST:PORT, tls:…"),
        click.option("--source", type=click.Choice(SOURCE_KINDS), default=None, help="Who tells which lines are registered."),
        click.option("--direct/--no-direct", default=None, help="Whether requests may go straight to a phone."),
        click.option("--ca", default=None, metavar="@FILE", help="PEM of the CA that signs for it.  [default: the system's]"),
        click.option("--password", default=None, help="Its password; @FILE or @- reads it there."),
        click.option("--user", default=None, help="The login it asks of who sends requests."),
        click.option("--address", default=None, metavar="PLACE", help="Where requests to phones go: udp:HOST:PORT, tcp:…, tls:…"),
        click.option("--domain", "domains", multiple=True, metavar="HOST", help="A SIP server, as sip_server of phones has it; once for each."),
        click.option("--name", default=None, help="What people call it."),
    ):  # fmt: skip
        command = option(command)
    return command


@platform.command("add")
@click.argument("platform_id", metavar="ID")
@_fields
@reason_option
@json_option
@data_options
def add(platform_id: str, name: str | None, reason: str, as_json: bool, data: DataOptions, **fields: Any) -> None:
    """Add a platform; its domains have to be said."""
    changes = _changes(fields)
    work = with_services(
        data, lambda s: _viewed(s.platforms.add(local_actor(), platform_id, name or "", changes, reason=reason))
    )
    if as_json:
        show_json(work)


@platform.command("edit")
@click.argument("platform_id", metavar="ID")
@_fields
@reason_option
@json_option
@data_options
def edit(platform_id: str, name: str | None, reason: str, as_json: bool, data: DataOptions, **fields: Any) -> None:
    """Change a platform: what is given; "" empties a field. With another address its password is given again."""
    changes = _changes(fields)
    edited = with_services(
        data, lambda s: _viewed(s.platforms.edit(local_actor(), platform_id, name, changes, reason=reason))
    )
    if as_json:
        return show_json(edited)
    click.echo(f"revision {edited['revision']}")


@platform.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_platforms(as_json: bool, data: DataOptions) -> None:
    """List platforms."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.platform_views import platform_view

        return [platform_view(one) for one in await whole_list(services.platforms)]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    rows = [(p["id"], p["name"], p["domains"], p["address"] or "none", p["source"]) for p in found]
    show_table(("ID", "Name", "Domains", "Address", "Source"), rows)


@platform.command("show")
@click.argument("platform_id", metavar="ID")
@data_options
def show(platform_id: str, data: DataOptions) -> None:
    """Show a platform, without its passwords."""
    show_json(with_services(data, lambda services: _viewed(services.platforms.get(local_actor(), platform_id))))


@platform.command("remove")
@click.argument("platform_id", metavar="ID")
@reason_option
@data_options
def remove(platform_id: str, reason: str, data: DataOptions) -> None:
    """Remove a platform, with what is known of who is registered there."""
    with_services(data, lambda services: services.platforms.remove(local_actor(), platform_id, reason=reason))


@platform.command("check")
@click.argument("platform_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True)
@data_options
def check(platform_id: str, as_json: bool, data: DataOptions) -> None:
    """Ask a platform whether it is there, and its source whether it tells who is registered. Exits with 1 when
    something failed."""
    found = with_services(data, lambda services: services.platform_check.check(local_actor(), platform_id))
    if as_json:
        show_json(found)
    else:
        for row in found["findings"]:
            click.echo(f"{row['part']}: {row['level']}: {row['what']}")
            if row["advice"]:
                click.echo(f"    {row['advice']}")
    if found["level"] == "failure":
        raise SystemExit(1)


async def _viewed(work: Any) -> dict[str, Any]:
    from ztp_server.services.platform_views import platform_view

    return platform_view(await work)


def _changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What was given; passwords and the CA out of a file where one is named."""
    changes = {name: value for name, value in fields.items() if value not in (None, ())}
    for name in ("password", "source_password", "ca"):
        if name in changes:
            changes[name] = from_file(changes[name])
    return changes
