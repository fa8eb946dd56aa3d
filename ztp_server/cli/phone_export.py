"""ztp phone export"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from ztp_server.cli.common import data_options, local_actor, read_filters, with_services
from ztp_server.config import DataOptions
from ztp_server.errors import BadValue


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
        with _opened(output) as file:
            async for piece in found.pieces:
                file.write(piece)

    with_services(data, write)


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there when it is whole, and that nobody else can read: it may hold
    passwords. Raises BadValue."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise BadValue("--output", f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
