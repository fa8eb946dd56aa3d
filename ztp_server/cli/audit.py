"""ztp audit"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions


@click.group()
def audit() -> None:
    """Who changed or looked at what."""


@audit.command("list")
@click.option("--subject", default="", help="Of a phone (hardware ID), site:madrid, …")
@click.option("--actor", default="", help="By local:root, account:ana, token:ci.")
@click.option("--action", default="", help="Of a kind, such as phone.changed.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The newest of them.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_audit(subject: str, actor: str, action: str, limit: int, as_json: bool, data: DataOptions) -> None:
    """List changes and reveals, newest first."""
    from ztp_server.services.audit import audit_view

    async def find(services: Any) -> list[dict[str, Any]]:
        chosen = {"subject": subject, "actor": actor, "action": action}
        rows, _ = await services.audit.page(local_actor(), limit=limit, **chosen)
        return list(map(audit_view, rows))

    found = with_services(data, find)
    if as_json:
        return show_json(found)
    columns = ("seq", "at", "actor", "action", "subject")
    rows = [[*(row[column] for column in columns), sorted({*row["before"], *row["after"]})] for row in found]
    show_table(("No", "When", "Who", "What", "Of", "Fields"), rows)


@audit.command("head")
@data_options
def head(data: DataOptions) -> None:
    """Print number and hash of the newest record; note it where nobody here can change it."""
    click.echo(with_services(data, lambda services: services.audit.head(local_actor())))


@audit.command("verify")
@click.option("--head", "noted", default="", help="A head that was noted earlier.")
@data_options
def verify(noted: str, data: DataOptions) -> None:
    """Verify every record; exit code 1 and the first that is not whole."""
    found = with_services(data, lambda services: services.audit.verify(local_actor(), noted))
    if found.broken:
        click.echo(f"ztp: audit: record {found.broken} {found.reason}; {found.records} before it are whole", err=True)
        raise SystemExit(1)
    click.echo(f"{found.records} records are whole; head {found.head}")
