"""ztp phone export"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_filters, with_services
from ztp_server.cli.output_file import opened_output
from ztp_server.config import DataOptions


@click.command("export")
@click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Which phones, as of `ztp phone list`.")
@click.option("--reveal", is_flag=True, help="With passwords and secret settings; it is written down.")
@click.option("--reason", default="", help="Why they are revealed.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write there, for your eyes only.  [default: standard output]",
)
@data_options
def export(filters: Sequence[str], reveal: bool, reason: str, output: Path | None, data: DataOptions) -> None:
    """Export phones as CSV, in the columns that import reads."""
    wanted = read_filters(filters)

    async def write(services: Any) -> None:
        found = await services.phone_export.export(local_actor(), wanted, reveal=reveal, reason=reason)
        with opened_output(output) as file:
            async for piece in found.pieces:
                file.write(piece)

    with_services(data, write)
