"""ztp key"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, warn, with_services
from ztp_server.config import DataOptions

# Places of damaged values that are named; the audit has how many there are.
_NAMED = 20


@click.group()
def key() -> None:
    """The keys of secrets at rest."""


@key.command("show")
@click.option("--json", "as_json", is_flag=True)
@data_options
def show(as_json: bool, data: DataOptions) -> None:
    """Show which data keys there are and how many values each seals; never a key."""
    from ztp_server.services.keys import key_view

    found = [key_view(one) for one in with_services(data, lambda services: services.keys.show(local_actor()))]
    if as_json:
        return show_json(found)
    columns = ("id", "created_at", "values", "newest")
    show_table(("Key", "Made", "Values", "Seals new ones"), [[row[column] for column in columns] for row in found])


@key.command("rotate")
@click.option("--wrapping", is_flag=True, help="Make a new secret.key instead, which wraps the data keys.")
@data_options
def rotate(wrapping: bool, data: DataOptions) -> None:
    """Make a new data key and seal every secret anew under it, while servers run. Cut off, run it again: it goes on."""
    if wrapping:
        file = with_services(data, lambda services: services.keys.rotate_wrapping(local_actor()))
        click.echo(
            f"{file} is a new key. Put a copy of it where your backups cannot be reached, and destroy the old one."
        )
        return

    def heard(name: str, rows: int) -> None:
        if rows:
            click.echo(f"{name}: {rows}", err=True)

    async def work(services: Any) -> Any:
        return await services.keys.rotate(local_actor(), heard)

    done = with_services(data, work)
    warn(done.damaged[:_NAMED])
    earlier = " (an earlier rotation went on)" if done.resumed else ""
    click.echo(f"{done.rows} rows are sealed anew under data key {done.key}{earlier}")
    if done.damaged:
        click.echo(f"ztp: {len(done.damaged)} values do not open and stayed as they are; set them anew", err=True)
        raise SystemExit(1)
