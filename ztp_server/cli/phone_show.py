"""ztp phone show, explain, clear-overrides"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    show_json,
    show_table,
    with_services,
)
from ztp_server.cli.phone_fields import view_of
from ztp_server.config import DataOptions


@click.command("show")
@click.argument("hardware_id", metavar="MAC")
@data_options
def show(hardware_id: str, data: DataOptions) -> None:
    """Show a phone, its firmware, what its user changed on it, and its last check-ins."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.views import firmware_view

        found = view_of(services, await services.phones.get(hardware_id))
        firmware = firmware_view(*await services.phones.firmware(hardware_id))
        seen = await services.phones.check_ins(hardware_id)
        columns = ("file", "at", "status", "etag", "address", "proof", "firmware")
        overrides = await services.overrides.of_phone(hardware_id)
        check_ins = [{c: getattr(row, c) for c in columns} for row in seen]
        return {**found, "firmware": firmware, "user_overrides": overrides, "check_ins": check_ins}

    show_json(with_services(data, view))


@click.command("clear-overrides")
@click.argument("hardware_id", metavar="MAC")
@data_options
def clear_overrides(hardware_id: str, data: DataOptions) -> None:
    """Undo what a user changed on a phone or its web page, at its next boot."""
    with_services(data, lambda services: services.overrides.clear(local_actor(), hardware_id))


@click.command("explain")
@click.argument("hardware_id", metavar="MAC")
@click.option("--json", "as_json", is_flag=True)
@data_options
def explain(hardware_id: str, as_json: bool, data: DataOptions) -> None:
    """Every setting of a phone, where its value comes from, and what it becomes."""
    rows = with_services(data, lambda services: services.phones.explain(hardware_id))
    if as_json:
        return show_json([_explained(row) for row in rows])
    show_table(
        ("Setting", "Value", "From", "Becomes"), [(r.name, _spelled(r.value), r.source, r.rendered) for r in rows]
    )


def _spelled(value: Any) -> Any:
    """A switch as `--set` takes it."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _explained(row: Any) -> dict[str, Any]:
    underneath = [{"value": v.value, "source": v.source} for v in row.underneath]
    return {
        "name": row.name,
        "value": row.value,
        "source": row.source,
        "rendered": row.rendered,
        "underneath": underneath,
    }
