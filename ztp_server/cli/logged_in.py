"""ztp phone log-out, log-in"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, with_services
from ztp_server.cli.phone_bulk import log_out_many, selection_options
from ztp_server.cli.phone_fields import show_written
from ztp_server.config import DataOptions

_reason = click.option("--reason", default="", help="Why; it goes into the audit.")
_json = click.option("--json", "as_json", is_flag=True, help="The phone, as REST shows it.")


@click.command("log-out")
@selection_options
@_reason
@_json
@data_options
def log_out(
    phones: Sequence[str], filters: Sequence[str], yes: bool, reason: str, as_json: bool, data: DataOptions
) -> None:
    """Take users off phones: each gets what its site has for phones on which nobody is logged in. Several phones, or
    those of a --filter, are one job, which can be undone."""
    if len(phones) == 1 and not filters:
        return _one(data, lambda s: s.logged_in.log_out(local_actor(), phones[0], reason), as_json)
    if as_json:
        raise click.UsageError("--json is for one phone")
    log_out_many(phones, filters, yes, reason, data)


@click.command("log-in")
@click.argument("phone", metavar="PHONE")
@click.option("--user", default="", help="Who, on a phone without lines of its own.  [default: the one it belongs to]")
@_reason
@_json
@data_options
def log_in(phone: str, user: str, reason: str, as_json: bool, data: DataOptions) -> None:
    """Put a user on a phone: its own again, or (where it has no lines of its own) the one who sits there. Where else
    they are logged in they are logged out."""
    _one(data, lambda s: s.logged_in.log_in(local_actor(), phone, user, reason), as_json)


def _one(data: DataOptions, work: Any, as_json: bool) -> None:
    async def do_it(services: Any) -> None:
        await show_written(services, await work(services), as_json)

    with_services(data, do_it)
