"""ztp base-settings add, clone, edit, revert, remove"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_changes, show_json, warn, with_services
from ztp_server.cli.edits import dry_run_option, json_option, reason_option, set_option, show_edited, unset_option
from ztp_server.config import DataOptions


@click.command("add")
@click.argument("base_id", metavar="ID")
@click.option("--model", required=True, help="The model whose family it is for.")
@click.option("--name", default="", help="What people call it.")
@set_option
@reason_option
@json_option
@data_options
def add(
    base_id: str, model: str, name: str, assignments: Sequence[str], reason: str, as_json: bool, data: DataOptions
) -> None:
    """Add base settings. What is not set is inherited from the site, the model, its family and its maker; see them with
    `ztp base-settings template MODEL`."""
    changes = read_changes(assignments, ())
    _added(data, as_json, lambda s: s.base_settings.add(local_actor(), base_id, name, model, changes, reason=reason))


@click.command("clone")
@click.argument("base_id", metavar="ID")
@click.argument("new_id", metavar="NEW")
@click.option("--name", default="", help="What people call it.")
@set_option
@unset_option
@reason_option
@json_option
@data_options
def clone(
    base_id: str,
    new_id: str,
    name: str,
    assignments: Sequence[str],
    unset: Sequence[str],
    reason: str,
    as_json: bool,
    data: DataOptions,
) -> None:
    """Add base settings that begin as others are, secrets too; from then on each goes its own way."""
    changes = read_changes(assignments, unset)
    _added(data, as_json, lambda s: s.base_settings.clone(local_actor(), base_id, new_id, name, changes, reason=reason))


@click.command("edit")
@click.argument("base_id", metavar="ID")
@click.option("--name", default=None)
@set_option
@unset_option
@reason_option
@dry_run_option
@json_option
@data_options
def edit(
    base_id: str,
    name: str | None,
    assignments: Sequence[str],
    unset: Sequence[str],
    reason: str,
    dry_run: bool,
    as_json: bool,
    data: DataOptions,
) -> None:
    """Change base settings: a new revision, which every phone on them gets at its next poll."""
    changes = read_changes(assignments, unset)
    _edited(
        *(data, dry_run, as_json),
        lambda s: s.base_settings.edit(local_actor(), base_id, name, changes, reason=reason, dry_run=dry_run),
    )


@click.command("revert")
@click.argument("base_id", metavar="ID")
@click.argument("revision", type=click.IntRange(min=1, max=2**31 - 1))
@reason_option
@dry_run_option
@json_option
@data_options
def revert(base_id: str, revision: int, reason: str, dry_run: bool, as_json: bool, data: DataOptions) -> None:
    """Return to the settings of an earlier revision: a new revision that has them again, if they suit today's
    phones."""
    _edited(
        *(data, dry_run, as_json),
        lambda s: s.base_settings.revert(local_actor(), base_id, revision, reason=reason, dry_run=dry_run),
    )


@click.command("remove")
@click.argument("base_id", metavar="ID")
@reason_option
@data_options
def remove(base_id: str, reason: str, data: DataOptions) -> None:
    """Remove base settings that no phone uses, with their revisions."""
    with_services(data, lambda services: services.base_settings.remove(local_actor(), base_id, reason=reason))


def _added(data: DataOptions, as_json: bool, work: Callable[[Any], Awaitable[Any]]) -> None:
    """Done in silence, as every `add` is, but for what there is to warn of."""
    added = with_services(data, lambda services: _view(services, work))
    if as_json:
        return show_json(added)
    warn(added["warnings"])


def _edited(data: DataOptions, dry_run: bool, as_json: bool, work: Callable[[Any], Awaitable[Any]]) -> None:
    show_edited(with_services(data, lambda services: _view(services, work)), dry_run=dry_run, as_json=as_json)


async def _view(services: Any, work: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
    from ztp_server.services.edit_views import edited_view
    from ztp_server.services.views import base_settings_view

    edited = await work(services)
    return edited_view(edited, base_settings_view(edited.record, services.templates.catalog.settings))
