"""ztp templates"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ztp_server.cli.common import data_options, show_json, with_services
from ztp_server.config import DataOptions


@click.group()
def templates() -> None:
    """Templates and vendor.toml files."""


@templates.command("check")
@click.option("--json", "as_json", is_flag=True)
@data_options
def check(as_json: bool, data: DataOptions) -> None:
    """Render every file for every model with 0, 1 and all lines, and say what is wrong where."""

    async def found(services: Any) -> Any:
        return (
            services.templates.problems(),
            services.templates.snapshot.outdated,
            len(services.templates.catalog.models),
        )

    problems, outdated, models = with_services(data, found)
    if as_json:
        show_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            place = f"{problem.file}:{problem.line}" if problem.line else problem.file
            click.echo(f"{place}: {problem.reason}", err=True)
        for name in outdated:
            click.echo(
                f"warning: {name}: the shipped file has changed since you copied it; see: ztp templates diff", err=True
            )
        if not problems:
            click.echo(f"{models} models render")
    raise SystemExit(1 if problems else 0)


@templates.command("diff")
@data_options
def diff(data: DataOptions) -> None:
    """How your own files differ from the shipped ones they cover."""

    async def overrides(services: Any) -> Any:
        return services.templates.overrides()

    for name, text, outdated in with_services(data, overrides):
        if outdated:
            click.echo(f"warning: {name}: the shipped file has changed since you copied it", err=True)
        click.echo(text or f"{name}: the same as the shipped file")
