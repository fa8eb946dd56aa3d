"""ztp phone import"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    show_json,
    warn,
    with_services,
)
from ztp_server.cli.jobs import one_line
from ztp_server.config import DataOptions
from ztp_server.domain.moment import parse_minutes
from ztp_server.errors import BadValue, ImportRefused

_PIECE = 1 << 20


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--mode", type=click.Choice(["create", "update", "upsert"]), default="create", show_default=True)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--partial", is_flag=True, help="Take the good rows of a file that has bad ones.")
@click.option(
    "--open-window", default="", metavar="60m", help="Open a provisioning window for each new phone: 60m, 2h, 1d."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write what became of each row there, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="The counts, problems and warnings.")
@data_options
def import_phones(
    file: Path, mode: str, dry_run: bool, partial: bool, open_window: str, report: Path | None, as_json: bool,
    data: DataOptions,
) -> None:  # fmt: skip
    """Import phones from a CSV file (- is standard input): all of them, or none and every bad row named."""
    from rich.console import Console
    from rich.progress import Progress

    minutes = parse_minutes("--open-window", open_window) if open_window else 0
    source: Any = list(_standard_input()) if str(file) == "-" else file
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Checking rows", total=None)

        def heard(done: int, rows: int) -> None:
            said = "Writing phones" if done == rows and not dry_run else "Checking rows"
            progress.update(task, description=said, completed=done, total=rows)

        try:
            found = with_services(
                data,
                lambda services: services.phone_import.run(
                    local_actor(), source, mode, dry_run=dry_run, partial=partial, open_window=minutes, progress=heard
                ),
            )
        except ImportRefused as error:
            _write_report(report, error.rows)
            raise
    _write_report(report, found.rows)
    if as_json:
        counts = {name: getattr(found, name) for name in ("created", "updated", "unchanged", "refused", "windows")}
        show_json({**counts, "dry_run": dry_run, "problems": found.problems, "warnings": found.warnings})
        return
    warn(map(one_line, found.warnings))
    for problem in found.problems:
        click.echo(one_line(problem), err=True)
    verb = "would be" if dry_run else "were"
    others = ((found.unchanged, "unchanged"), (found.refused, "refused"))
    more = "".join(f", {count} {what}" for count, what in others if count)
    windows = f"; {found.windows} windows {verb} opened for {open_window}" if minutes else ""
    click.echo(f"{found.created} phones {verb} created, {found.updated} updated{more}{windows}")


def _standard_input() -> Iterator[bytes]:
    from ztp_server.services.import_file import LARGEST_FILE

    left = LARGEST_FILE
    while piece := sys.stdin.buffer.read(_PIECE):
        left -= len(piece)
        if left < 0:
            raise BadValue("file", f"standard input is larger than {LARGEST_FILE >> 20} MiB; give the name of the file")
        yield piece


def _write_report(file: Path | None, rows: Any) -> None:
    from ztp_server.services.import_report import report_of

    if file is None:
        return
    try:
        file.write_bytes(report_of(rows))
    except OSError as error:
        raise BadValue("--report", f"{file}: {error.strerror}") from None
