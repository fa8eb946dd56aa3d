"""ztp base-settings"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    read_changes,
    show_json,
    show_table,
    warn_of_custom,
    warn_of_firmware,
    with_services,
)
from ztp_server.config import DataOptions


@click.group("base-settings")
def base_settings() -> None:
    """Profiles for the phones of one family."""


set_option = click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting.")


@base_settings.command("add")
@click.argument("base_id", metavar="ID")
@click.option("--model", required=True, help="The model whose family it is for.")
@click.option("--name", default="", help="What people call it.")
@set_option
@data_options
def add(base_id: str, model: str, name: str, assignments: Sequence[str], data: DataOptions) -> None:
    """Add base settings."""
    changes = read_changes(assignments, ())

    async def add_it(services: Any) -> None:
        await services.base_settings.add(local_actor(), base_id, name, model, changes)
        warn_of_custom(services, model, changes)
        await warn_of_firmware(services, f"base settings {base_id}", changes)

    with_services(data, add_it)


@base_settings.command("edit")
@click.argument("base_id", metavar="ID")
@click.option("--name", default=None)
@set_option
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")
@data_options
def edit(base_id: str, name: str | None, assignments: Sequence[str], unset: Sequence[str], data: DataOptions) -> None:
    """Change base settings: a new revision, which every phone on them gets at its next poll."""
    changes = read_changes(assignments, unset)

    async def edit_it(services: Any) -> Any:
        edited = await services.base_settings.edit(local_actor(), base_id, name, changes)
        warn_of_custom(services, edited.model, changes)
        await warn_of_firmware(services, f"base settings {base_id}", changes)
        return edited

    click.echo(f"revision {with_services(data, edit_it).revision}")


@base_settings.command("remove")
@click.argument("base_id", metavar="ID")
@data_options
def remove(base_id: str, data: DataOptions) -> None:
    """Remove base settings that no phone uses."""
    with_services(data, lambda services: services.base_settings.remove(local_actor(), base_id))


@base_settings.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_base_settings(as_json: bool, data: DataOptions) -> None:
    """List base settings."""

    async def views(services: Any) -> list[dict[str, Any]]:
        return [_view(services, base) for base in await services.base_settings.all()]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    show_table(("ID", "Name", "Model", "Revision"), [(b["id"], b["name"], b["model"], b["revision"]) for b in found])


@base_settings.command("show")
@click.argument("base_id", metavar="ID")
@click.option("--revision", type=int, default=None, help="An older one.")
@data_options
def show(base_id: str, revision: int | None, data: DataOptions) -> None:
    """Show base settings."""

    async def view(services: Any) -> dict[str, Any]:
        return _view(services, await services.base_settings.get(base_id, revision))

    show_json(with_services(data, view))


@base_settings.command("diff")
@click.argument("base_id", metavar="ID")
@click.argument("before", type=int)
@click.argument("after", type=int)
@data_options
def diff(base_id: str, before: int, after: int, data: DataOptions) -> None:
    """What changed between two revisions."""
    changes = with_services(data, lambda services: services.base_settings.diff(base_id, before, after))
    for name, old, new in changes:
        click.echo(f"{name}: {_shown(old)} → {_shown(new)}{' (another one)' if old == new else ''}")


def _shown(value: Any) -> Any:
    return "inherited" if value is None else value


def _view(services: Any, base: Any) -> dict[str, Any]:
    from ztp_server.services.views import base_settings_view

    return base_settings_view(base, services.templates.catalog.settings)
