"""ztp phone list"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    show_json,
    show_table,
    with_services,
)
from ztp_server.cli.phone_fields import view_of
from ztp_server.config import DataOptions


@click.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_phones(as_json: bool, data: DataOptions) -> None:
    """List phones."""

    async def views(services: Any) -> list[dict[str, Any]]:
        return [view_of(services, found) for found in await services.phones.all()]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("hardware_id", "name", "model", "site", "base_settings")
    rows = [[*(row[c] for c in columns), [line["user"] for line in row["lines"]]] for row in found]
    show_table(("MAC", "Name", "Model", "Site", "Base settings", "Lines"), rows)
