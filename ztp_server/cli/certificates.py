"""ztp certificate"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.cli.edits import reason_option
from ztp_server.config import DataOptions


@click.group()
def certificate() -> None:
    """Factory certificates of phones that prove nothing any more."""


@certificate.command("deny")
@click.argument("which", metavar="SHA256|PHONE")
@click.option("--reason", required=True, help="Why; kept with it.")
@data_options
def deny(which: str, reason: str, data: DataOptions) -> None:
    """Believe a certificate no more: by its SHA-256, or the one that a phone (MAC or id) last proved itself with."""
    by_hash = len(which.replace(":", "")) == 64

    def work(services: Any) -> Any:
        service = services.denied_certificates
        return (service.deny if by_hash else service.deny_phone)(local_actor(), which, reason)

    denied = with_services(data, work)
    click.echo(f"denied {denied.sha256}{f', of phone {denied.subject}' if denied.subject else ''}")


@certificate.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_denied(as_json: bool, data: DataOptions) -> None:
    """List the denied ones."""

    async def every(services: Any) -> list[Any]:
        found: list[Any] = []
        more = True
        while more:
            part, more = await services.denied_certificates.page(local_actor(), found[-1].sha256 if found else "")
            found += part
        return found

    found = with_services(data, every)
    if as_json:
        names = ("sha256", "subject", "reason", "denied_by")
        return show_json([{n: getattr(d, n) for n in names} | {"denied_at": d.denied_at.isoformat()} for d in found])
    rows = [(d.sha256, d.subject, d.reason, d.denied_by, f"{d.denied_at:%Y-%m-%d}") for d in found]
    show_table(("SHA-256", "Phone", "Reason", "Denied by", "On"), rows)


@certificate.command("allow")
@click.argument("sha256", metavar="SHA256")
@reason_option
@data_options
def allow(sha256: str, reason: str, data: DataOptions) -> None:
    """Believe a certificate again."""
    with_services(data, lambda s: s.denied_certificates.allow(local_actor(), sha256, reason=reason))
