"""ztp phone preview"""

from __future__ import annotations

import sys
from typing import Any

import click

from ztp_server.cli.annotated import show_annotated
from ztp_server.cli.common import (
    data_options,
    local_actor,
    with_services,
)
from ztp_server.config import DataOptions


@click.command("preview")
@click.argument("hardware_id", metavar="MAC")
@click.argument("file", required=False)
@click.option("--reveal", is_flag=True, help="Show passwords.")
@click.option("--reason", default="", help="Why they are to be seen: it stands in the audit.")
@click.option("--annotate", is_flag=True, help="Say of each line which templates and values made it.")
@click.option("--json", "as_json", is_flag=True, help="With --annotate: the lines as one list.")
@data_options
def preview(
    hardware_id: str, file: str | None, reveal: bool, reason: str, annotate: bool, as_json: bool, data: DataOptions
) -> None:
    """The bytes a phone would get: one file, or all of them. Passwords are hidden unless revealed."""
    if as_json and not annotate:
        raise click.UsageError("--json goes with --annotate")
    if annotate:
        lines = with_services(data, lambda s: s.annotations.annotate(local_actor(), hardware_id, file, reveal, reason))
        return show_annotated(lines, as_json)

    async def files(services: Any) -> dict[str, bytes]:
        found: dict[str, bytes] = await services.phones.preview(local_actor(), hardware_id, file, reveal, reason)
        return found

    found = with_services(data, files)
    for name, body in found.items():
        if len(found) > 1:
            click.echo(f"--- {name}")
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
