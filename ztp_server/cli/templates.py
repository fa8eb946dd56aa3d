"""ztp templates"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, with_services
from ztp_server.config import DataOptions


@click.group()
def templates() -> None:
    """Templates and vendor.toml files."""


@templates.command("check")
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings as well.")
@click.option("--json", "as_json", is_flag=True)
@click.argument("vendors", metavar="[VENDOR]...", nargs=-1)
@data_options
def check(strict: bool, as_json: bool, vendors: tuple[str, ...], data: DataOptions) -> None:
    """Render every file for every model with 0, 1 and all lines and every setting at its extremes, and say what is
    wrong where. Warns of parameters that the firmware is not known to have, in templates and in what is stored. With
    the name of a vendor's folder, for its models alone."""
    found, models = with_services(data, lambda services: _found(services, vendors))
    errors = [problem for problem in found if problem.severity == "error"]
    if as_json:
        show_json([asdict(problem) for problem in found])
    else:
        for problem in found:
            place = f"{problem.file}:{problem.line}" if problem.line else problem.file
            click.echo(f"{'' if problem in errors else 'warning: '}{place}: {problem.reason}", err=True)
        if not errors:
            click.echo("1 model renders" if models == 1 else f"{models} models render")
    raise SystemExit(1 if errors or (strict and found) else 0)


async def _found(services: Any, vendors: Collection[str]) -> tuple[list[Any], int]:
    """Everything to be said of these vendors, or of all, and how many models they have."""
    from ztp_server.services.custom_parameters import stored_warnings
    from ztp_server.services.template_trial import Problem

    outdated = "the shipped file has changed since you copied it; see: ztp templates diff"
    catalog = services.templates.catalog
    models = {m.id for m in catalog.models.values() if not vendors or catalog.vendor_of(m).id in vendors}
    bases = [base for base in await services.base_settings.all(local_actor()) if base.model in models]
    phones = [phone for phone in await services.phones.all(local_actor()) if phone.model in models]
    covered = [n for n in services.templates.snapshot.outdated if not vendors or n.split("/")[0] in vendors]
    found = [
        *services.templates.problems(vendors),
        *(Problem(name, 0, outdated, "warning") for name in covered),
        *(Problem(who, 0, complaint, "warning") for who, complaint in stored_warnings(catalog, bases, phones)),
    ]
    return found, len(models)


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
