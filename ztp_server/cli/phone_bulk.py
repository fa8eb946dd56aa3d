"""ztp phone edit-many, migrate, remove-many"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_changes, show_json, with_services
from ztp_server.cli.jobs import one_line, run_job
from ztp_server.config import DataOptions

# More phones than these are changed only after somebody said that they are meant.
UNASKED = 50


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--yes", is_flag=True, help=f"Do not ask, however many phones it is (else from {UNASKED + 1} on)."),
        click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Which phones, as of `ztp phone list`; name='*' are all."),
        click.argument("phones", metavar="[MAC]...", nargs=-1),
    ):  # fmt: skip
        command = option(command)
    return command


dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="With --dry-run: all phones, as REST shows them.")


@click.command("edit-many")
@selection_options
@click.option("--site", default=None, help="Move them there.")
@click.option("--base-settings", default=None, help="Put them on these.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of these phones.")
@click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again, where it is set.")
@dry_run_option
@json_option
@data_options
def edit_many(
    phones: Sequence[str], filters: Sequence[str], yes: bool, site: str | None, base_settings: str | None,
    assignments: Sequence[str], unset: Sequence[str], dry_run: bool, as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    """Change many phones at once: one job, which can be undone."""
    fields = {"site": site, "base_settings": base_settings}
    change: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    settings = read_changes(assignments, unset)
    if settings:
        change["settings"] = settings
    selected = _selected(phones, filters)
    if dry_run:
        return _preview(
            data, as_json, lambda services, **page: services.phone_bulk.preview_edit(
                local_actor(), selected(), change, **page)
        )  # fmt: skip
    expected = _confirmed(data, selected, "phones:edit", "Change", yes)
    run_job(data, lambda s: s.phone_bulk.edit(local_actor(), selected(expected), change, run_here=True))


@click.command("migrate")
@selection_options
@click.option("--to", required=True, metavar="ID", help="The base settings, of the same family.")
@click.option(
    "--overrides",
    type=click.Choice(["keep", "drop", "drop-same"]),
    default="keep",
    show_default=True,
    help="The phones' own settings: keep them, drop them, or drop those that they would inherit anyway.",
)
@dry_run_option
@json_option
@data_options
def migrate(
    phones: Sequence[str], filters: Sequence[str], yes: bool, to: str, overrides: str, dry_run: bool, as_json: bool,
    data: DataOptions,
) -> None:  # fmt: skip
    """Move phones to other base settings: one job, which can be undone."""
    selected = _selected(phones, filters)
    if dry_run:
        return _preview(
            data, as_json, lambda services, **page: services.phone_bulk.preview_migration(
                local_actor(), selected(), to, overrides, **page)
        )  # fmt: skip
    expected = _confirmed(data, selected, "phones:edit", "Migrate", yes)
    run_job(data, lambda s: s.phone_bulk.migrate(local_actor(), selected(expected), to, overrides, run_here=True))


@click.command("remove-many")
@selection_options
@dry_run_option
@data_options
def remove_many(phones: Sequence[str], filters: Sequence[str], yes: bool, dry_run: bool, data: DataOptions) -> None:
    """Remove many phones at once: one job; `ztp job undo` brings them back."""
    selected = _selected(phones, filters)
    if dry_run:
        click.echo(f"{_count(data, selected, 'phones:delete')} phones would be removed")
        return
    expected = _confirmed(data, selected, "phones:delete", "Remove", yes)
    run_job(data, lambda s: s.phone_bulk.remove(local_actor(), selected(expected), run_here=True))


def open_many(
    phones: Sequence[str], filters: Sequence[str], yes: bool, minutes: int, reason: str, data: DataOptions
) -> None:
    """Open a provisioning window for many phones: one job."""
    selected = _selected(phones, filters)
    expected = _confirmed(data, selected, "phones:approve", "Open a window for", yes)
    run_job(
        data, lambda s: s.phone_bulk.open_windows(local_actor(), selected(expected), minutes, reason, run_here=True)
    )


def log_out_many(phones: Sequence[str], filters: Sequence[str], yes: bool, reason: str, data: DataOptions) -> None:
    """Take the users off many phones: one job, which can be undone."""
    selected = _selected(phones, filters)
    expected = _confirmed(data, selected, "phones:restart", "Log out of", yes)
    run_job(data, lambda s: s.logged_in.log_out_many(local_actor(), selected(expected), reason, run_here=True))


def _selected(phones: Sequence[str], filters: Sequence[str]) -> Callable[..., Any]:
    """Makes the selection, once it is known how many phones are expected."""
    if bool(phones) == bool(filters):
        raise click.UsageError("name the phones, or say with --filter which are meant")
    named: dict[str, list[str]] = {}
    for text in filters:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not name=value", param_hint="--filter")
        named.setdefault(name.strip().replace("-", "_"), []).append(value)

    def selection(expected: int | None = None) -> Any:
        from ztp_server.services.phone_selection import parse_selection

        return parse_selection(phones or None, None if phones else named, expected)

    return selection


def _count(data: DataOptions, selected: Callable[..., Any], permission: str) -> int:
    found: int = with_services(data, lambda s: s.phone_bulk.count(local_actor(), selected(), permission))
    return found


def _confirmed(data: DataOptions, selected: Callable[..., Any], permission: str, verb: str, yes: bool) -> int | None:
    """How many phones somebody agreed to; None when nobody has to be asked how many there are."""
    if yes:
        return None
    count = _count(data, selected, permission)
    if count > UNASKED:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{count} phones: say --yes to {verb.lower()} so many")
        click.confirm(f"{verb} {count} phones?", abort=True, err=True)
    return count


def _preview(data: DataOptions, as_json: bool, look: Callable[..., Any]) -> None:
    """All of a preview as JSON; or its counts, what is refused, and what becomes of the first phones."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.job_views import preview_view

        if as_json:
            return preview_view(await look(services, most=None, limit=sys.maxsize))
        return preview_view(await look(services, most=None, limit=5))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    verdict = ", ".join(f"{found[name]} {name}" for name in ("changed", "unchanged", "refused"))
    click.echo(f"of {found['phones']} phones: {verdict}")
    for row in found["refusals"]:
        click.echo(one_line(f"refused: {row['label']}: {row['reason']}"))
    for row in found["items"]:
        if row["state"] == "changed":
            _show_phone(row)


def _show_phone(row: Mapping[str, Any]) -> None:
    click.echo("\n" + one_line(row["label"]))
    for name, pair in row["fields"].items():
        click.echo(one_line(f"  {name}: {pair['before'] or 'none'} → {pair['after'] or 'none'}"))
    for change in row["settings"]:
        sides = [f"{change[side]} ({change[f'{side}_source'] or 'nowhere'})" for side in ("before", "after")]
        click.echo(one_line(f"  {change['name']}: {' → '.join(sides)}"))
    for diff in (row["files"] or {}).values():
        for line in diff.splitlines():
            click.echo(one_line(f"  {line}"))
