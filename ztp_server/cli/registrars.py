"""ztp registrar"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_filters, with_services
from ztp_server.cli.output_file import opened_output
from ztp_server.config import DataOptions


@click.group("registrar")
def registrar() -> None:
    """SIP registrars: the accounts of the phones, as each of them reads them."""


@registrar.command("list")
@data_options
def list_registrars(data: DataOptions) -> None:
    """List the registrars there are templates for."""
    for name in with_services(data, lambda services: services.registrar_export.names(local_actor())):
        click.echo(name)


@registrar.command("export")
@click.argument("name")
@click.option("--site", "sites", multiple=True, help="Phones of this site alone.")
@click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Which phones, as of `ztp phone list`.")
@click.option(
    "--passwords",
    type=click.Choice(["ha1", "plain"]),
    default="ha1",
    help="As hashes that fit one user and realm, or as they are.  [default: ha1]",
)
@click.option("--reason", default="", help="Why the secrets are given; it is written down.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write there, for your eyes only.  [default: standard output]",
)
@data_options
def export(
    name: str,
    sites: Sequence[str],
    filters: Sequence[str],
    passwords: Any,
    reason: str,
    output: Path | None,
    data: DataOptions,
) -> None:
    """Export the SIP accounts of all lines for a registrar, by its templates."""
    wanted = read_filters([*filters, *(f"site={site}" for site in sites)])

    async def write(services: Any) -> Any:
        found = await services.registrar_export.export(local_actor(), name, wanted, passwords=passwords, reason=reason)
        with opened_output(output) as file:
            async for piece in found.pieces:
                file.write(piece)
        return found

    made = with_services(data, write)
    if output:
        click.echo(f"accounts: {made.accounts}, forwarding targets: {made.targets}")
