"""ztp site"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_changes, show_json, show_table, warn, with_services
from ztp_server.cli.edits import dry_run_option, json_option, reason_option, show_edited
from ztp_server.cli.phone_fields import line_fields
from ztp_server.config import DataOptions
from ztp_server.domain.phone import LineChange


@click.group()
def site() -> None:
    """Places where phones stand: SIP servers, networks, time zone, address."""


_set = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE",
    help="A setting, or a field: networks, proofs, plain_secrets, webrtc_url, ice_servers, civic.ELEMENT, "
    "logged_out.SETTING.",
)  # fmt: skip
_line = click.option(
    "--logged-out-line", default=None, metavar="FIELDS",
    help="The line of phones on which nobody is logged in: user=999,password=@FILE; '' takes it away.",
)  # fmt: skip
_unset = click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again, or empty a field.")


@site.command("add")
@click.argument("site_id", metavar="ID")
@click.option("--name", default="", help="What people call it.")
@_set
@_line
@reason_option
@json_option
@data_options
def add(
    site_id: str,
    name: str,
    assignments: Sequence[str],
    logged_out_line: str | None,
    reason: str,
    as_json: bool,
    data: DataOptions,
) -> None:
    """Add a site. Beside settings it has networks (CIDRs), proofs, plain_secrets, webrtc_url (wss://…), ice_servers, its
    civic address (civic.country=ES, civic.A3=Madrid, …), and what phones get on which nobody is logged in."""
    changes = {**read_changes(assignments, ()), **_profile_line(logged_out_line)}
    added = _done(data, lambda s: s.sites.add(local_actor(), site_id, name, changes, reason=reason))
    if as_json:
        return show_json(added)
    warn(added["warnings"])


@site.command("edit")
@click.argument("site_id", metavar="ID")
@click.option("--name", default=None)
@_set
@_unset
@_line
@reason_option
@dry_run_option
@json_option
@data_options
def edit(
    site_id: str,
    name: str | None,
    assignments: Sequence[str],
    unset: Sequence[str],
    logged_out_line: str | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
    data: DataOptions,
) -> None:
    """Change a site; every phone there is checked against the change first."""
    changes = {**read_changes(assignments, unset), **_profile_line(logged_out_line)}
    edited = _done(data, lambda s: s.sites.edit(local_actor(), site_id, name, changes, reason=reason, dry_run=dry_run))
    show_edited(edited, dry_run=dry_run, as_json=as_json)


@site.command("remove")
@click.argument("site_id", metavar="ID")
@reason_option
@data_options
def remove(site_id: str, reason: str, data: DataOptions) -> None:
    """Remove a site at which no phone stands."""
    with_services(data, lambda services: services.sites.remove(local_actor(), site_id, reason=reason))


@site.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_sites(as_json: bool, data: DataOptions) -> None:
    """List sites."""

    async def views(services: Any) -> list[dict[str, Any]]:
        return [_view(services, site) for site in await services.sites.all(local_actor())]

    sites = with_services(data, views)
    if as_json:
        return show_json(sites)
    show_table(("ID", "Name", "Networks"), [(s["id"], s["name"], s["networks"]) for s in sites])


@site.command("show")
@click.argument("site_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show its secrets; that goes into the audit.")
@click.option("--reason", default="", help="With --reveal: why.")
@data_options
def show(site_id: str, reveal: bool, reason: str, data: DataOptions) -> None:
    """Show a site."""

    async def view(services: Any) -> dict[str, Any]:
        shown = _view(services, await services.sites.get(local_actor(), site_id))
        if reveal:
            shown["settings"] |= await services.sites.reveal(local_actor(), site_id, reason)
        return shown

    show_json(with_services(data, view))


def _profile_line(text: str | None) -> dict[str, Any]:
    """What an option says of the line of phones on which nobody is logged in."""
    if text is None:
        return {}
    return {"logged_out.line": LineChange(**{"user": "", **line_fields("--logged-out-line", text)}) if text else None}


def _done(data: DataOptions, work: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
    """The view of an edit, done or only tried."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.edit_views import edited_view

        edited = await work(services)
        return edited_view(edited, _view(services, edited.record))

    return with_services(data, view)


def _view(services: Any, site: Any) -> dict[str, Any]:
    from ztp_server.services.views import site_view

    return site_view(site, services.templates.catalog.settings)
