"""ztp base-settings list, show, template, revisions, diff"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, spelled, with_services
from ztp_server.cli.edits import show_changes, show_sample
from ztp_server.config import DataOptions

_json = click.option("--json", "as_json", is_flag=True)
_NUMBER = click.IntRange(min=1, max=2**31 - 1)
# As many revisions as one reads at once; the table says when there are more.
_MOST = 1000


@click.command("list")
@_json
@data_options
def list_base_settings(as_json: bool, data: DataOptions) -> None:
    """List base settings."""

    async def views(services: Any) -> list[dict[str, Any]]:
        return [_view(services, base) for base in await services.base_settings.all(local_actor())]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    show_table(("ID", "Name", "Model", "Revision"), [(b["id"], b["name"], b["model"], b["revision"]) for b in found])


@click.command("show")
@click.argument("base_id", metavar="ID")
@click.option("--revision", type=_NUMBER, default=None, help="An older one.")
@click.option("--reveal", is_flag=True, help="Show the secrets of the current one; that goes into the audit.")
@click.option("--reason", default="", help="With --reveal: why.")
@data_options
def show(base_id: str, revision: int | None, reveal: bool, reason: str, data: DataOptions) -> None:
    """Show base settings."""
    if reveal and revision is not None:
        raise click.UsageError("--reveal shows the current revision only")

    async def view(services: Any) -> dict[str, Any]:
        shown = _view(services, await services.base_settings.get(local_actor(), base_id, revision))
        if reveal:
            shown["settings"] |= await services.base_settings.reveal(local_actor(), base_id, reason)
        return shown

    show_json(with_services(data, view))


@click.command("template")
@click.argument("model", metavar="MODEL")
@_json
@data_options
def template(model: str, as_json: bool, data: DataOptions) -> None:
    """Every setting as it is for a model by itself, and who says so: what base settings for it begin with."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.edit_views import default_view

        found = await services.base_settings_revisions.template(local_actor(), model)
        return [default_view(name, default) for name, default in found.items()]

    rows = with_services(data, views)
    if as_json:
        return show_json(rows)
    shown = [(row["name"], spelled(row["value"]), row["source"], row["support"]) for row in rows]
    show_table(("Setting", "Value", "From", "Here"), shown)


@click.command("revisions")
@click.argument("base_id", metavar="ID")
@click.option("--before", type=_NUMBER, default=None, metavar="N", help="Those before this one.")
@_json
@data_options
def revisions(base_id: str, before: int | None, as_json: bool, data: DataOptions) -> None:
    """Who changed base settings, when and why; the newest first."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.edit_views import revision_view

        found = await services.base_settings_revisions.page(local_actor(), base_id, before, _MOST)
        return [revision_view(revision) for revision in found]

    rows = with_services(data, views)
    if as_json:
        return show_json(rows)
    columns = ("revision", "at", "author", "reason")
    show_table([c.capitalize() for c in columns], [[row[c] for c in columns] for row in rows])
    if len(rows) == _MOST:
        click.echo(f"older ones: --before {rows[-1]['revision']}", err=True)


@click.command("diff")
@click.argument("base_id", metavar="ID")
@click.argument("before", metavar="OLD", type=_NUMBER)
@click.argument("after", metavar="[NEW]", type=_NUMBER, required=False)
@click.option("--files", is_flag=True, help="Also what it makes of the files of a phone that has these base settings.")
@click.option("--phone", default=None, metavar="MAC", help="With the files of this phone.")
@_json
@data_options
def diff(
    base_id: str,
    before: int,
    after: int | None,
    files: bool,
    phone: str | None,
    as_json: bool,
    data: DataOptions,
) -> None:
    """What changed between two revisions, or since one."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.edit_views import revision_diff_view

        diff = services.base_settings_revisions.diff
        return revision_diff_view(await diff(local_actor(), base_id, before, after, files=files, phone=phone))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    show_changes(found["changes"])
    if found["sample"]:
        show_sample(found["sample"])
    elif files:
        click.echo("no phone has these base settings, so there are no files to compare", err=True)


def _view(services: Any, base: Any) -> dict[str, Any]:
    from ztp_server.services.views import base_settings_view

    return base_settings_view(base, services.templates.catalog.settings)
