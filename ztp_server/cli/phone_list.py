"""ztp phone list"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_filters, show_table, with_services
from ztp_server.config import DataOptions

_COLUMNS = ("MAC", "Name", "Model", "Site", "Base settings", "Lines", "Files", "Registration")
# Rows that a table is measured by; a longer one goes on below as more of them.
_TABLE = 1000


@click.command("list")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Phones that fit: site=madrid, status=outdated, name='*lobby*', q=1001 … Several must all fit.",
)
@click.option("--sort", default="name", show_default=True, metavar="[-]NAME", help="The order; - turns it round.")
@click.option("--limit", type=click.IntRange(1), default=None, help="So many at most.  [default: all]")
@click.option("--count", is_flag=True, help="Only how many they are.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_phones(
    filters: Sequence[str], sort: str, limit: int | None, count: bool, as_json: bool, data: DataOptions
) -> None:  # fmt: skip
    """List phones. What filters there are: docs/reference/phone-filter.md."""
    wanted = read_filters(filters)

    async def show(services: Any) -> None:
        if count:
            click.echo(await services.phone_list.count(local_actor(), wanted))
            return
        found = services.phone_list.every(local_actor(), wanted, sort=sort, most=limit)
        await (_show_json(found) if as_json else _show_table(found))

    with_services(data, show)


async def _show_json(found: AsyncIterator[dict[str, Any]]) -> None:
    """One array, written as it is read: there may be any number of phones."""
    before = "[\n"
    async for row in found:
        click.echo(before + json.dumps(row, ensure_ascii=False, default=str), nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


async def _show_table(found: AsyncIterator[dict[str, Any]]) -> None:
    rows: list[list[Any]] = []
    shown = False
    async for row in found:
        rows.append(_row(row))
        if len(rows) == _TABLE:
            show_table(_COLUMNS, rows)
            rows, shown = [], True
    if rows or not shown:
        show_table(_COLUMNS, rows)


def _row(row: dict[str, Any]) -> list[Any]:
    lines = [line["user"] for line in row["lines"]]
    columns = (row[name] or "" for name in ("hardware_id", "name", "model", "site", "base_settings"))
    return [*columns, lines, row["status"]["provisioning"], row["status"]["registration"]]
