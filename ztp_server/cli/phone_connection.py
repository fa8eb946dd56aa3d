"""ztp phone connection, new-password"""

from __future__ import annotations

from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.cli.phone_fields import show_written
from ztp_server.config import DataOptions

_ROWS = (
    ("server", "Server"),
    ("server_secondary", "Second server"),
    ("port", "Port"),
    ("transport", "Transport"),
    ("outbound_proxy", "Outbound proxy"),
    ("register_expires", "Registration lasts (s)"),
    ("srtp", "Encryption of voice"),
    ("websocket_url", "WebSocket"),
    ("ice_servers", "ICE servers"),
)
_ACCOUNT = (
    ("address", "SIP address"),
    ("user", "User"),
    ("auth_user", "Authentication user"),
    ("password", "Password"),
)


@click.command("connection")
@click.argument("phone", metavar="PHONE")
@click.option("--reveal", is_flag=True, help="Show passwords; needs --reason.")
@click.option("--reason", default="", help="Why they are to be seen: it stands in the audit.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def connection(phone: str, reveal: bool, reason: str, as_json: bool, data: DataOptions) -> None:
    """What to type into a device that is configured elsewhere: SIP server, transport, user, password."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.connection import connection_view

        return connection_view(await services.connections.get(local_actor(), phone, reveal=reveal, reason=reason))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    rows = [(label, found[name]) for name, label in _ROWS if found[name]]
    for number, account in enumerate(found["accounts"], 1):
        rows += [(f"Line {number}: {label}", account[name]) for name, label in _ACCOUNT if account[name]]
    show_table(("What", "Value"), rows)


@click.command("new-password")
@click.argument("phone", metavar="PHONE")
@click.option("--line", default=1, show_default=True, help="Which line, counted from 1.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def new_password(phone: str, line: int, as_json: bool, data: DataOptions) -> None:
    """Make a new password for a line and show it once; the SIP server has to be told of it."""

    async def make(services: Any) -> None:
        await show_written(services, await services.connections.new_password(local_actor(), phone, line), as_json)

    with_services(data, make)
