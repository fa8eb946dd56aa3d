"""ztp simulate"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.catalog import Catalog
from ztp_server.errors import NotFound
from ztp_server.simulator.client import Exchange
from ztp_server.simulator.failure import shown
from ztp_server.simulator.flash import Flash
from ztp_server.simulator.simulation import SimulationReport, Stage, run_simulation
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("mac")
@click.option(
    "--model", default="", help="What phone it is (`ztp model list`).  [default: as the data folder knows it]"
)
@click.option(
    "--url", default="", help="Where DHCP sends the phone.  [default: plain HTTP of the server of the data folder]"
)
@click.option(
    "--factory",
    is_flag=True,
    help="A phone out of its box: it does not know the server's CA yet, and its flash is empty.",
)
@click.option("--ca", type=_FILE, help="CA that a configured phone trusts.  [default: DATA/tls/ca.pem if it is there]")
@click.option("--roots", type=_FILE, help="CAs that the phone trusts from its factory.")
@click.option("--cert", type=_FILE, help="The phone's factory certificate, with its key or without.")
@click.option("--key", type=_FILE, help="The key of --cert, when it is a file of its own.")
@click.option("--whole-firmware", is_flag=True, help="Download firmware to its end, not only its header.")
@click.option("--json", "as_json", is_flag=True)
@data_options
@click.pass_context
def simulate(
    ctx: click.Context, data: DataOptions, mac: str, model: str, url: str, factory: bool, ca: Path | None,
    roots: Path | None, cert: Path | None, key: Path | None, whole_firmware: bool, as_json: bool,
) -> None:  # fmt: skip
    """Boot a phone that is not there, and say what it would do.

    The server takes it for the phone itself: check-ins and a small log are kept as the phone's. Exit code 1 when no
    line would register.
    """
    if factory and ca:
        raise click.UsageError("--factory and --ca exclude each other: a phone out of its box was given no CA")
    if key and not cert:
        raise click.UsageError("--key needs --cert")
    known_model, known_url = _from_data(data, mac) if not (model and url) else ("", "")
    model, url = model or known_model, url or known_url or "http://127.0.0.1:8080/"
    if not model:
        raise click.UsageError(f"--model: no phone {mac} in {data.data}, so say what it is (ztp model list)")
    trusted = None if factory else ca or _own_ca(data)
    report = asyncio.run(
        run_simulation(
            catalog_for(data), mac, model, url,
            ca=trusted, cert=cert, key=key, roots=roots, whole_firmware=whole_firmware,
            flash=Flash({}) if factory else None,
        )
    )  # fmt: skip
    show_json(_as_json(report)) if as_json else _show(report)
    ctx.exit(1 if report.failure else 0)


def catalog_for(data: DataOptions) -> Catalog:
    """The vendors that a server with this data would know. Raises TemplateError."""
    return load_catalog(read_folder(shipped_folder("templates"), data.own_templates))


def _from_data(data: DataOptions, mac: str) -> tuple[str, str]:
    """The phone's model and the server's plain HTTP address, as far as the data folder knows them."""
    if not (data.database or (data.data / "ztp.db").exists()):
        return "", ""

    async def look(services: Any) -> tuple[str, str]:
        try:
            model = (await services.phones.get(local_actor(), mac)).model
        except NotFound:
            model = ""
        return model, services.address.server.urls.get("http", "")

    return with_services(data, look)


def _own_ca(data: DataOptions) -> Path | None:
    path = data.data / "tls" / "ca.pem"
    return path if path.is_file() else None


def _show(report: SimulationReport) -> None:
    reason = ""
    for number, stage in enumerate(report.stages, 1):
        because = f": rebooted because {reason}" if reason else ""
        click.echo(f"Boot {number} at {shown(stage.folder)}{because}")
        reason = stage.reason
        rows = [_row(exchange, stage) for exchange in stage.boot.exchanges]
        show_table(("Method", "File", "Status", "Bytes", "ms", "Note"), rows)
        click.echo(f"{stage.outcome}\n" if stage.outcome else "")
    if report.failure:
        click.echo(f"ztp: {report.failure}", err=True)
        return
    click.echo("Would register:")
    rows = [[r.line, r.user, r.server, r.transport] for r in report.registrations]
    show_table(("Line", "User", "Server", "Transport"), rows)


def _row(exchange: Exchange, stage: Stage) -> list[Any]:
    file = exchange.url.removeprefix(shown(stage.folder))
    milliseconds = f"{exchange.seconds * 1000:.0f}"
    return [exchange.method, file, exchange.status or "-", exchange.bytes, milliseconds, exchange.note]


def _as_json(report: SimulationReport) -> dict[str, Any]:
    """Without the parameters: passwords are among them."""
    return {
        "hardware_id": report.mac,
        "would_register": not report.failure,
        "reason": report.failure,
        "registrations": [asdict(registration) for registration in report.registrations],
        "boots": [
            {
                "url": shown(stage.folder),
                "exchanges": [asdict(exchange) for exchange in stage.boot.exchanges],
                "comes_back_to": shown(stage.comes_back_to) or None,
                "ca_installed": stage.ca_installed,
                "changed_in_flash": [
                    {"name": c.name, "before": c.shown(c.before), "after": c.shown(c.after)} for c in stage.changes
                ],
            }
            for stage in report.stages
        ],
    }
