"""ztp ca"""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.cli.edits import reason_option
from ztp_server.cli.lazy import Lazy, LazyGroup
from ztp_server.config import DataOptions

_COMMANDS = {
    "list": Lazy("ca:list_cas", "List CAs, and the makers of whom there is none yet."),
    "show": Lazy("ca:show", "Show a CA."),
    "add": Lazy("ca:add", "Trust a CA for the phones of a vendor."),
    "remove": Lazy("ca:remove", "Trust a CA no more."),
    "learn": Lazy("ca_learn:learn", "See whose CA signed a phone's certificate, and trust it."),
}
_listener = click.option(
    "--listener",
    type=click.Choice(["mtls", "legacy", "expired"]),
    default="mtls",
    show_default=True,
    help="Where its word counts.",
)


@click.group(cls=LazyGroup, table=_COMMANDS)
def ca() -> None:
    """Makers' CAs, by which the factory certificates of phones count."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_cas(as_json: bool, data: DataOptions) -> None:
    """List makers' CAs, and the makers of whom there is none yet."""

    async def found(services: Any) -> tuple[list[dict[str, Any]], list[Any]]:
        from ztp_server.services.device_cas import ca_view

        cas = [ca_view(one) for one in await services.device_cas.all(local_actor())]
        return cas, await services.device_cas.makers(local_actor())

    cas, makers = with_services(data, found)
    if as_json:
        return show_json(cas)
    if cas:
        rows = [
            (
                c["vendor"],
                c["subject"],
                c["sha256"],
                c["not_after"][:10],
                c["listener"],
                c["problem"] or c["remark"],
            )
            for c in cas
        ]
        show_table(("Vendor", "CA", "SHA-256", "Until", "Listener", "Remark"), rows)
    for maker in (maker for maker in makers if not maker.cas):
        where = f", at {maker.published_at}" if maker.published_at else ", from the maker"
        click.echo(
            f"No CA of {maker.name} ({maker.vendor}): it goes by {', '.join(maker.issuers) or 'any name'}{where}."
        )


@click.command("show")
@click.argument("sha256", metavar="SHA256")
@data_options
def show(sha256: str, data: DataOptions) -> None:
    """Show a CA, by its SHA-256 or how that begins, as JSON."""

    async def found(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.device_cas import ca_view

        return [ca_view(one) for one in await services.device_cas.get(local_actor(), sha256)]

    show_json(with_services(data, found))


@click.command("add")
@click.argument("vendor")
@click.argument("file", type=click.File("rb"))
@_listener
@click.option("--any-name", is_flag=True, help="Its name may be another than the maker's CAs are known by.")
@reason_option
@data_options
def add(vendor: str, file: BinaryIO, listener: str, any_name: bool, reason: str, data: DataOptions) -> None:
    """Trust the CAs in FILE (PEM or DER; - is standard input) for the phones of VENDOR.

    Compare the SHA-256 it prints with what the maker says. A running server takes it up within a second.
    """
    from ztp_server.services.device_cas import MOST_BYTES

    content = file.read(MOST_BYTES + 1)
    added = with_services(
        data,
        lambda s: s.device_cas.add(local_actor(), vendor, content, listener=listener, any_name=any_name, reason=reason),
    )
    for one in added:
        click.echo(
            f"{one.subject}\n  SHA-256 {one.sha256}\n  until {one.not_after:%Y-%m-%d}, on the listener {listener}"
        )


@click.command("remove")
@click.argument("sha256", metavar="SHA256")
@reason_option
@data_options
def remove(sha256: str, reason: str, data: DataOptions) -> None:
    """Trust a CA no more: phones whose certificates it signed are refused from their next connection on."""
    with_services(data, lambda s: s.device_cas.remove(local_actor(), sha256, reason=reason))
