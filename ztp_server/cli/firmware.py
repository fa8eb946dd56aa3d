"""ztp firmware"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, warn, with_services
from ztp_server.config import DataOptions
from ztp_server.domain.firmware import Firmware


@click.group()
def firmware() -> None:
    """Images that phones run."""


@firmware.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, required=True, help="A model it is for; may be repeated.")
@click.option("--version", required=True, help="As base settings name it.")
@click.option("--default", "is_default", is_flag=True, help="Give it to phones of the model whose settings name none.")
@data_options
def add(file: Path, models: Sequence[str], version: str, is_default: bool, data: DataOptions) -> None:
    """Add an image; it is kept under its SHA-256."""

    async def add_it(services: Any) -> list[Firmware]:
        added: list[Firmware] = await services.firmware.add(local_actor(), file, models, version, is_default)
        for image in added:
            warn(await services.firmware.warnings_of_image(local_actor(), image))
        return added

    for image in with_services(data, add_it):
        click.echo(f"{image.model}\t{image.version}\t{image.sha256}")


@firmware.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_firmware(as_json: bool, data: DataOptions) -> None:
    """List images."""
    images = [asdict(image) for image in with_services(data, lambda services: services.firmware.all(local_actor()))]
    if as_json:
        return show_json(images)
    columns = ("model", "version", "is_default", "size", "sha256", "file_name")
    show_table(("Model", "Version", "Default", "Bytes", "SHA-256", "File"), [[i[c] for c in columns] for i in images])


@firmware.command("remove")
@click.option("--model", required=True)
@click.option("--version", required=True)
@data_options
def remove(model: str, version: str, data: DataOptions) -> None:
    """Remove an image of a model."""

    async def remove_it(services: Any) -> None:
        image = await services.firmware.remove(local_actor(), model, version)
        warn(await services.firmware.warnings_of_image(local_actor(), image))

    with_services(data, remove_it)
