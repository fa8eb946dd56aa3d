"""ztp site"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    read_changes,
    show_json,
    show_table,
    warn_of_firmware,
    with_services,
)
from ztp_server.config import DataOptions


@click.group()
def site() -> None:
    """Places where phones stand: SIP servers, networks, time zone."""


set_option = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting or field of the site."
)


@site.command("add")
@click.argument("site_id", metavar="ID")
@click.option("--name", default="", help="What people call it.")
@set_option
@data_options
def add(site_id: str, name: str, assignments: Sequence[str], data: DataOptions) -> None:
    """Add a site. Fields beside the settings: networks (CIDRs), proofs, plain_secrets."""
    changes = read_changes(assignments, ())
    with_services(data, lambda services: services.sites.add(local_actor(), site_id, name, changes))


@site.command("edit")
@click.argument("site_id", metavar="ID")
@click.option("--name", default=None)
@set_option
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")
@data_options
def edit(site_id: str, name: str | None, assignments: Sequence[str], unset: Sequence[str], data: DataOptions) -> None:
    """Change a site; every phone there is checked against the change first."""
    changes = read_changes(assignments, unset)

    async def edit_it(services: Any) -> None:
        await services.sites.edit(local_actor(), site_id, name, changes)
        await warn_of_firmware(services, f"site {site_id}", changes)

    with_services(data, edit_it)


@site.command("remove")
@click.argument("site_id", metavar="ID")
@data_options
def remove(site_id: str, data: DataOptions) -> None:
    """Remove a site at which no phone stands."""
    with_services(data, lambda services: services.sites.remove(local_actor(), site_id))


@site.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_sites(as_json: bool, data: DataOptions) -> None:
    """List sites."""
    sites = with_services(data, _views)
    if as_json:
        return show_json(sites)
    show_table(("ID", "Name", "Networks"), [(s["id"], s["name"], s["networks"]) for s in sites])


@site.command("show")
@click.argument("site_id", metavar="ID")
@data_options
def show(site_id: str, data: DataOptions) -> None:
    """Show a site."""

    async def view(services: Any) -> Any:
        from ztp_server.services.views import site_view

        return site_view(await services.sites.get(site_id), services.templates.catalog.settings)

    show_json(with_services(data, view))


async def _views(services: Any) -> list[dict[str, Any]]:
    from ztp_server.services.views import site_view

    table = services.templates.catalog.settings
    return [site_view(site, table) for site in await services.sites.all()]
