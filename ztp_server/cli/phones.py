"""ztp phone"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    local_actor,
    read_changes,
    read_fields,
    show_json,
    show_table,
    warn,
    warn_of_custom,
    warn_of_firmware,
    with_services,
)
from ztp_server.config import DataOptions
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.text import switch
from ztp_server.errors import BadValue

_LINE_FIELDS = ("user", "auth_user", "password", "display_name", "label", "shared")
_KEY_FIELDS = ("type", "value", "label", "line")


@click.group()
def phone() -> None:
    """Phones and what they are given."""


def _record_options(command: Any) -> Any:
    for option in (
        click.option("--key", "keys", multiple=True, metavar="FIELDS", help="A line key, in order: type=blf,value=1002,label=Sales"),
        click.option("--line", "lines", multiple=True, metavar="FIELDS", help="A line, in order: user=1001,password=@FILE,label=1001"),
        click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of this phone alone."),
    ):  # fmt: skip
        command = option(command)
    return command


@phone.command("add")
@click.option("--hardware-id", required=True, help="MAC address in any notation.")
@click.option("--name", default="", help="What people call it.  [default: its MAC]")
@click.option("--model", required=True)
@click.option("--site", required=True)
@click.option("--base-settings", required=True)
@_record_options
@data_options
def add(
    hardware_id: str, name: str, model: str, site: str, base_settings: str,
    assignments: Sequence[str], lines: Sequence[str], keys: Sequence[str], data: DataOptions,
) -> None:  # fmt: skip
    """Add a phone. It is configured at its next request."""
    new = Phone(
        name=name or hardware_id,
        hardware_id=hardware_id,
        model=model,
        site=site,
        base_settings=base_settings,
        lines=tuple(map(_line, lines)),
        line_keys=tuple(map(_key, keys)),
        settings=read_changes(assignments, ()),
    )

    async def add_it(services: Any) -> Phone:
        added: Phone = await services.phones.add(local_actor(), new)
        warn_of_custom(services, added.model, new.settings)
        await warn_of_firmware(services, f"phone {added.hardware_id}", new.settings)
        return added

    click.echo(with_services(data, add_it).hardware_id)


@phone.command("edit")
@click.argument("hardware_id", metavar="MAC")
@click.option("--hardware-id", "new_hardware_id", default=None, help="Another MAC: the phone was replaced.")
@click.option("--name", default=None)
@click.option("--model", default=None)
@click.option("--site", default=None)
@click.option("--base-settings", default=None)
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")
@_record_options
@data_options
def edit(
    hardware_id: str, new_hardware_id: str | None, name: str | None, model: str | None, site: str | None,
    base_settings: str | None, assignments: Sequence[str], unset: Sequence[str], lines: Sequence[str],
    keys: Sequence[str], data: DataOptions,
) -> None:  # fmt: skip
    """Change a phone. --line and --key replace all lines and keys."""
    given = {"hardware_id": new_hardware_id, "name": name, "model": model, "site": site, "base_settings": base_settings}
    fields = {field: value for field, value in given.items() if value is not None}
    changes = read_changes(assignments, unset)
    new_lines = tuple(map(_line, lines)) if lines else None
    new_keys = tuple(map(_key, keys)) if keys else None

    async def edit_it(services: Any) -> None:
        edited = await services.phones.edit(local_actor(), hardware_id, fields, changes, new_lines, new_keys)
        warn_of_custom(services, edited.model, changes)
        await warn_of_firmware(services, f"phone {edited.hardware_id}", changes)

    with_services(data, edit_it)


@phone.command("remove")
@click.argument("hardware_id", metavar="MAC")
@data_options
def remove(hardware_id: str, data: DataOptions) -> None:
    """Remove a phone; from now on it is answered as an unknown one."""
    with_services(data, lambda services: services.phones.remove(local_actor(), hardware_id))


@phone.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_phones(as_json: bool, data: DataOptions) -> None:
    """List phones."""

    async def views(services: Any) -> list[dict[str, Any]]:
        return [_view(services, found) for found in await services.phones.all()]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("hardware_id", "name", "model", "site", "base_settings")
    rows = [[*(row[c] for c in columns), [line["user"] for line in row["lines"]]] for row in found]
    show_table(("MAC", "Name", "Model", "Site", "Base settings", "Lines"), rows)


@phone.command("show")
@click.argument("hardware_id", metavar="MAC")
@data_options
def show(hardware_id: str, data: DataOptions) -> None:
    """Show a phone, its firmware, what its user changed on it, and its last check-ins."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.views import firmware_view

        found = _view(services, await services.phones.get(hardware_id))
        firmware = firmware_view(*await services.phones.firmware(hardware_id))
        seen = await services.phones.check_ins(hardware_id)
        columns = ("file", "at", "status", "etag", "address", "proof", "firmware")
        overrides = await services.overrides.of_phone(hardware_id)
        check_ins = [{c: getattr(row, c) for c in columns} for row in seen]
        return {**found, "firmware": firmware, "user_overrides": overrides, "check_ins": check_ins}

    show_json(with_services(data, view))


@phone.command("clear-overrides")
@click.argument("hardware_id", metavar="MAC")
@data_options
def clear_overrides(hardware_id: str, data: DataOptions) -> None:
    """Undo what a user changed on a phone or its web page, at its next boot."""
    with_services(data, lambda services: services.overrides.clear(local_actor(), hardware_id))


@phone.command("explain")
@click.argument("hardware_id", metavar="MAC")
@click.option("--json", "as_json", is_flag=True)
@data_options
def explain(hardware_id: str, as_json: bool, data: DataOptions) -> None:
    """Every setting of a phone, where its value comes from, and what it becomes."""
    rows = with_services(data, lambda services: services.phones.explain(hardware_id))
    if as_json:
        return show_json([_explained(row) for row in rows])
    show_table(
        ("Setting", "Value", "From", "Becomes"), [(r.name, _spelled(r.value), r.source, r.rendered) for r in rows]
    )


@phone.command("preview")
@click.argument("hardware_id", metavar="MAC")
@click.argument("file", required=False)
@click.option("--reveal", is_flag=True, help="Show passwords.")
@data_options
def preview(hardware_id: str, file: str | None, reveal: bool, data: DataOptions) -> None:
    """The bytes a phone would get: one file, or all of them. Passwords are hidden unless revealed."""

    async def files(services: Any) -> dict[str, bytes]:
        found: dict[str, bytes] = await services.phones.preview(local_actor(), hardware_id, file, reveal)
        return found

    found = with_services(data, files)
    for name, body in found.items():
        if len(found) > 1:
            click.echo(f"--- {name}")
        sys.stdout.buffer.write(body)
        sys.stdout.flush()


@phone.command("import")
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


def _line(text: str) -> Line:
    fields = {"user": "", **read_fields("--line", text, _LINE_FIELDS)}
    shared = switch("--line shared", fields.pop("shared", "off"))
    return Line(**fields, shared=shared)


def _key(text: str) -> LineKey:
    fields: dict[str, Any] = {"type": "", **read_fields("--key", text, _KEY_FIELDS)}
    if fields["type"] == "line":
        if fields.get("value"):
            raise BadValue("--key value", "a line key has none; its line is given as line=2")
        number = fields.get("line", "1")
        if not re.fullmatch("[0-9]{1,3}", str(number)):
            raise BadValue("--key line", "must be the number of a line, counted from 1")
        fields["line"] = int(number)
    elif "line" in fields:
        raise BadValue("--key line", "only a key of type line has one")
    elif fields["type"] == "none" and fields.get("value"):
        raise BadValue("--key value", "a key of type none has none")
    return LineKey(**fields)


def _spelled(value: Any) -> Any:
    """A switch as `--set` takes it."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _explained(row: Any) -> dict[str, Any]:
    underneath = [{"value": v.value, "source": v.source} for v in row.underneath]
    return {
        "name": row.name,
        "value": row.value,
        "source": row.source,
        "rendered": row.rendered,
        "underneath": underneath,
    }


def _view(services: Any, found: Phone) -> dict[str, Any]:
    from ztp_server.services.views import phone_view

    return phone_view(found, services.templates.catalog.settings)
