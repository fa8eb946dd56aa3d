"""ztp model"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, show_json, show_table, with_services
from ztp_server.config import DataOptions


@click.group()
def model() -> None:
    """What the catalogue knows of phones."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_models(as_json: bool, data: DataOptions) -> None:
    """List models with their facts."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.views import model_view

        catalog = services.templates.catalog
        return [model_view(row, catalog) for row in catalog.models.values()]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("id", "name", "family", "lines", "line_keys", "part")
    show_table(("ID", "Name", "Family", "Lines", "Keys", "Part"), [[row[c] for c in columns] for row in found])
