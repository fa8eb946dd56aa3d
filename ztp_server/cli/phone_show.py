"""ztp phone show, explain, clear-overrides"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    show_json,
    show_table,
    spelled,
    with_services,
)
from ztp_server.config import DataOptions


@click.command("show")
@click.argument("phone", metavar="PHONE")
@data_options
def show(phone: str, data: DataOptions) -> None:
    """Show a phone; of a managed one also its status, its firmware, what its user changed on it, and its last check-ins."""

    async def view(services: Any) -> dict[str, Any]:
        who = local_actor()
        found = await services.phones.view(await services.phones.get(who, phone))
        return {**found, **(await _seen(services, found["id"]) if found["category"] == "managed" else {})}

    show_json(with_services(data, view))


async def _seen(services: Any, phone_id: str) -> dict[str, Any]:
    """What is known of a phone that asks for files."""
    from ztp_server.services.history_views import status_view
    from ztp_server.services.views import firmware_view

    who = local_actor()
    status = status_view(await services.phone_status.get(who, phone_id))
    firmware = firmware_view(*await services.phones.firmware(who, phone_id))
    seen = await services.phones.check_ins(who, phone_id)
    columns = ("file", "at", "status", "etag", "address", "proof", "firmware")
    check_ins = [{c: getattr(row, c) for c in columns} for row in seen]
    overrides = await services.overrides.of_phone(who, phone_id)
    return {"status": status, "firmware": firmware, "user_overrides": overrides, "check_ins": check_ins}


@click.command("clear-overrides")
@click.argument("phone", metavar="PHONE")
@data_options
def clear_overrides(phone: str, data: DataOptions) -> None:
    """Undo what a user changed on a phone or its web page, at its next boot."""
    with_services(data, lambda services: services.overrides.clear(local_actor(), phone))


@click.command("explain")
@click.argument("phone", metavar="PHONE")
@click.option("--json", "as_json", is_flag=True)
@data_options
def explain(phone: str, as_json: bool, data: DataOptions) -> None:
    """Every setting of a phone, where its value comes from, and what it becomes."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.phone_views import explained_view

        return [explained_view(row) for row in await services.phones.explain(local_actor(), phone)]

    rows = with_services(data, views)
    if as_json:
        return show_json(rows)
    shown = [(row["name"], spelled(row["value"]), row["source"], row["rendered"]) for row in rows]
    show_table(("Setting", "Value", "From", "Becomes"), shown)
