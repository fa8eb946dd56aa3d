"""ztp doctor"""

from __future__ import annotations

import asyncio
from typing import Any

import click

from ztp_server.cli.common import data_options, show_json
from ztp_server.config import DataOptions, shipped_folder

_MARKS = {"ok": "ok", "advice": "advice", "warning": "WARNING", "failure": "FAILURE"}
_COLOURS = {"ok": "green", "advice": "cyan", "warning": "yellow", "failure": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True)
@data_options
def doctor(as_json: bool, data: DataOptions) -> None:
    """Look over this installation and say what to do. Exit code 1 when something must be mended."""
    found = asyncio.run(_examined(data))
    if as_json:
        show_json(found)
    else:
        for check in found["checks"]:
            _show(check)
        _show_skipped(found["checks"])
        counts = found["counts"]
        click.echo(f"\n{counts['failure']} failures, {counts['warning']} warnings, {counts['advice']} pieces of advice")
    if found["level"] == "failure":
        raise SystemExit(1)


async def _examined(data: DataOptions) -> Any:
    from ztp_server.services.doctor import diagnosis, diagnosis_view, open_patient
    from ztp_server.services.opening import installation_of

    installation = installation_of(data.data, data.database_url, data.own_templates, data.makers, data.secret_key)
    async with open_patient(installation, data.database_url, shipped_folder("templates")) as patient:
        return diagnosis_view(await diagnosis(patient))


def _show(check: dict[str, Any]) -> None:
    """A line for each finding, and what to do below it."""
    for finding in check["findings"]:
        mark = click.style(f"{_MARKS[finding['level']]:<8}", fg=_COLOURS[finding["level"]])
        click.echo(f"{mark} {check['about']}: {_plain(finding['what'])}")
        if finding["advice"]:
            click.echo(f"{'':9}→ {_plain(finding['advice'])}")


def _show_skipped(checks: list[dict[str, Any]]) -> None:
    """What could not be looked at, once for each reason."""
    for reason in dict.fromkeys(check["skipped"] for check in checks if check["skipped"]):
        skipped = ", ".join(check["about"] for check in checks if check["skipped"] == reason)
        click.echo(f"{'skipped':<8} {skipped}: {_plain(reason)}")


def _plain(text: str) -> str:
    """Without what could move a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
