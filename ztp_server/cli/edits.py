"""What an edit of a site or of base settings did, or would do, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ztp_server.cli.common import show_json, warn

json_option = click.option("--json", "as_json", is_flag=True, help="What it did, as JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what it would do, to phones and their files.")
reason_option = click.option("--reason", default="", help="Why; kept with the change.")
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting; @FILE or @- reads the value there."
)
unset_option = click.option("--unset", multiple=True, metavar="NAME", help="Inherit a setting again.")


def show_edited(edited: Mapping[str, Any], *, dry_run: bool, as_json: bool) -> None:
    """The record and its edit (`edited_view`): in short when it is saved, whole when it is not."""
    if as_json:
        return show_json(edited)
    warn(edited["warnings"])
    if not edited["changes"]:
        return click.echo("nothing changes")
    if dry_run:
        show_changes(edited["changes"])
    else:
        click.echo(f"revision {edited['revision']}")
    show_affected(edited["affected"])
    for sample in edited["samples"]:
        show_sample(sample)


def show_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    """Settings without their prefix, as they are written on the command line."""
    for change in changes:
        is_setting = change["name"].startswith("settings.")
        before, after = (_shown(change[side], is_setting) for side in ("before", "after"))
        click.echo(f"{change['name'].removeprefix('settings.')}: {before} → {after}")


def show_affected(affected: Mapping[str, Any]) -> None:
    """`3 phones: 2 acme-10, 1 acme-20; at 2 madrid, 1 paris`"""
    count = affected["phones"]
    parts = [f"{count} {'phone' if count == 1 else 'phones'}"]
    if affected["models"]:
        parts.append(": " + _counted(affected["models"]))
    if len(affected["sites"]) > 1:
        parts.append("; at " + _counted(affected["sites"]))
    if len(affected["base_settings"]) > 1:
        parts.append("; with " + _counted(affected["base_settings"]))
    click.echo("".join(parts))


def show_sample(sample: Mapping[str, Any]) -> None:
    if not sample["files"]:
        click.echo(f"\n{sample['phone']} ({sample['model']}): its files stay as they are")
    for diff in sample["files"].values():
        click.echo(f"\n{sample['phone']} ({sample['model']})\n{_printable(diff)}", nl=False)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _shown(value: Any, is_setting: bool) -> str:
    if value is None:
        return "inherited" if is_setting else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "none"
    return _printable(str(value)).replace("\n", "\\n")


def _printable(text: str) -> str:
    """Text for a terminal: what could move its cursor is escaped."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
