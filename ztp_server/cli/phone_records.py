"""ztp phone add, edit, remove, removed, restore"""

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
    with_services,
)
from ztp_server.cli.phone_fields import read_key, read_line, record_options, show_written
from ztp_server.config import DataOptions
from ztp_server.domain.phone import PHONE_CATEGORIES, Phone
from ztp_server.domain.proof import read_proofs

_PHONE = "PHONE"
_json_option = click.option("--json", "as_json", is_flag=True)


@click.command("add")
@click.option("--category", type=click.Choice(PHONE_CATEGORIES), default="managed", show_default=True,
              help="Who configures it: managed: this server.")  # fmt: skip
@click.option(
    "--hardware-id", default="", help="MAC address in any notation; an unmanaged phone may have a host name, or none."
)
@click.option("--name", default="", help="What people call it.  [default: its hardware ID, user or address]")
@click.option("--model", default="")
@click.option("--site", required=True)
@click.option("--base-settings", default="")
@record_options
@_json_option
@data_options
def add(
    category: str, hardware_id: str, name: str, model: str, site: str, base_settings: str, user: str | None,
    proofs: str | None, remote_address: str | None, assignments: Sequence[str], lines: Sequence[str],
    keys: Sequence[str], as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    """Add a phone. A managed one needs --hardware-id, --model and --base-settings, and is configured at its next
    request. Passwords that are made for an unmanaged or webrtc phone are shown once."""
    new = Phone(
        name=name or hardware_id or user or remote_address or "",
        hardware_id=hardware_id,
        category=category,
        model=model,
        site=site,
        base_settings=base_settings,
        lines=tuple(read_line(text).onto(None) for text in lines),
        line_keys=tuple(map(read_key, keys)),
        settings=read_changes(assignments, ()),
        user=user or "",
        remote_address=remote_address or "",
        proofs=read_proofs(proofs) if proofs is not None else None,
    )

    async def add_it(services: Any) -> None:
        written = await services.phones.add(local_actor(), new)
        if not as_json:
            click.echo(written.phone.hardware_id or written.phone.id)
        await show_written(services, written, as_json)

    with_services(data, add_it)


@click.command("edit")
@click.argument("phone", metavar=_PHONE)
@click.option("--hardware-id", default=None, help="Another MAC: the phone was replaced.")
@click.option("--name", default=None)
@click.option("--model", default=None)
@click.option("--site", default=None)
@click.option("--base-settings", default=None)
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")
@record_options
@_json_option
@data_options
def edit(
    phone: str, hardware_id: str | None, name: str | None, model: str | None, site: str | None,
    base_settings: str | None, user: str | None, proofs: str | None, remote_address: str | None,
    assignments: Sequence[str], unset: Sequence[str], lines: Sequence[str], keys: Sequence[str], as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    """Change a phone. --line and --key replace all lines and keys; a line without password= keeps that of its user.
    For one line or key: ztp phone line, ztp phone key. --user "" takes the phone from its user."""
    given = {
        "hardware_id": hardware_id, "name": name, "model": model, "site": site, "base_settings": base_settings,
        "user": user, "remote_address": remote_address,
    }  # fmt: skip
    fields: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if proofs is not None:
        fields["proofs"] = read_proofs(proofs)
    changes = read_changes(assignments, unset)
    new_lines = tuple(map(read_line, lines)) if lines else None
    new_keys = tuple(map(read_key, keys)) if keys else None

    async def edit_it(services: Any) -> None:
        written = await services.phones.edit(local_actor(), phone, fields, changes, new_lines, new_keys)
        await show_written(services, written, as_json)

    with_services(data, edit_it)


@click.command("remove")
@click.argument("phone", metavar=_PHONE)
@data_options
def remove(phone: str, data: DataOptions) -> None:
    """Remove a phone; from now on it is answered as an unknown one. For 30 days ztp phone restore brings it back."""
    with_services(data, lambda services: services.phones.remove(local_actor(), phone))


@click.command("removed")
@_json_option
@data_options
def removed(as_json: bool, data: DataOptions) -> None:
    """List the phones that can be brought back, the last one removed first."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.phone_views import removed_phone_view

        return [removed_phone_view(row) async for row in services.removed_phones.all(local_actor())]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("id", "hardware_id", "name", "category", "site", "removed_by", "removed_at")
    rows = [[row[c] or "" for c in columns] for row in found]
    show_table(("ID", "MAC", "Name", "Category", "Site", "Removed by", "Removed at"), rows)


@click.command("restore")
@click.argument("phone", metavar=_PHONE)
@data_options
def restore(phone: str, data: DataOptions) -> None:
    """Bring a removed phone back with its lines and passwords: by its id, or the last one that had this MAC."""

    async def restore_it(services: Any) -> Phone:
        back: Phone = await services.removed_phones.restore(local_actor(), phone)
        return back

    back = with_services(data, restore_it)
    click.echo(back.hardware_id or back.id)
