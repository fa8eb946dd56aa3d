"""ztp phone add, edit, remove"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    read_changes,
    warn_of_custom,
    warn_of_firmware,
    with_services,
)
from ztp_server.cli.phone_fields import read_key, read_line, record_options
from ztp_server.config import DataOptions
from ztp_server.domain.phone import Phone


@click.command("add")
@click.option("--hardware-id", required=True, help="MAC address in any notation.")
@click.option("--name", default="", help="What people call it.  [default: its MAC]")
@click.option("--model", required=True)
@click.option("--site", required=True)
@click.option("--base-settings", required=True)
@record_options
@data_options
def add(
    hardware_id: str, name: str, model: str, site: str, base_settings: str,
    assignments: Sequence[str], lines: Sequence[str], keys: Sequence[str], data: DataOptions,
) -> None:  # fmt: skip
    """Add a phone. It is configured at its next request."""
    new = Phone(
        name=name or hardware_id,
        hardware_id=hardware_id,
        model=model,
        site=site,
        base_settings=base_settings,
        lines=tuple(map(read_line, lines)),
        line_keys=tuple(map(read_key, keys)),
        settings=read_changes(assignments, ()),
    )

    async def add_it(services: Any) -> Phone:
        added: Phone = await services.phones.add(local_actor(), new)
        warn_of_custom(services, added.model, new.settings)
        await warn_of_firmware(services, f"phone {added.hardware_id}", new.settings)
        return added

    click.echo(with_services(data, add_it).hardware_id)


@click.command("edit")
@click.argument("hardware_id", metavar="MAC")
@click.option("--hardware-id", "new_hardware_id", default=None, help="Another MAC: the phone was replaced.")
@click.option("--name", default=None)
@click.option("--model", default=None)
@click.option("--site", default=None)
@click.option("--base-settings", default=None)
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")
@record_options
@data_options
def edit(
    hardware_id: str, new_hardware_id: str | None, name: str | None, model: str | None, site: str | None,
    base_settings: str | None, assignments: Sequence[str], unset: Sequence[str], lines: Sequence[str],
    keys: Sequence[str], data: DataOptions,
) -> None:  # fmt: skip
    """Change a phone. --line and --key replace all lines and keys."""
    given = {"hardware_id": new_hardware_id, "name": name, "model": model, "site": site, "base_settings": base_settings}
    fields = {field: value for field, value in given.items() if value is not None}
    changes = read_changes(assignments, unset)
    new_lines = tuple(map(read_line, lines)) if lines else None
    new_keys = tuple(map(read_key, keys)) if keys else None

    async def edit_it(services: Any) -> None:
        edited = await services.phones.edit(local_actor(), hardware_id, fields, changes, new_lines, new_keys)
        warn_of_custom(services, edited.model, changes)
        await warn_of_firmware(services, f"phone {edited.hardware_id}", changes)

    with_services(data, edit_it)


@click.command("remove")
@click.argument("hardware_id", metavar="MAC")
@data_options
def remove(hardware_id: str, data: DataOptions) -> None:
    """Remove a phone; from now on it is answered as an unknown one."""
    with_services(data, lambda services: services.phones.remove(local_actor(), hardware_id))
