"""ztp phone import"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    warn,
    with_services,
)
from ztp_server.config import DataOptions


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mode", type=click.Choice(["create", "update", "upsert"]), default="create", show_default=True)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@data_options
def import_phones(file: Path, mode: str, dry_run: bool, data: DataOptions) -> None:
    """Import phones from a CSV file: all of them, or none and every bad row named."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Checking rows", total=None)
        report = with_services(
            data,
            lambda services: services.phone_import.run(
                local_actor(),
                file,
                mode,
                dry_run=dry_run,
                progress=lambda done, rows: progress.update(task, completed=done, total=rows),
            ),
        )
    warn(report.warnings)
    verb = "would be" if dry_run else "were"
    click.echo(f"{report.created} phones {verb} created, {report.updated} updated")
