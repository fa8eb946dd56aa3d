"""ztp phone status, watch"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions

_LINE = ("user", "server", "state", "contact", "transport", "user_agent", "expires_at", "reason")


@click.command("status")
@click.argument("phone", metavar="PHONE")
@click.option("--json", "as_json", is_flag=True)
@data_options
def status(phone: str, as_json: bool, data: DataOptions) -> None:
    """How far a phone came with its files, whether it is registered, and each of its lines."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.history_views import status_view

        return status_view(await services.phone_status.get(local_actor(), phone))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    rows = [["all", found["state"], found["since"], found["reason"]]]
    for name in ("provisioning", "registration"):
        rows.append([name, found[name], found[f"{name}_since"], found[f"{name}_reason"]])
    show_table(("Status", "Is", "Since", "Why"), [[_text(cell) for cell in row] for row in rows])
    lines = found["lines"]
    if lines:
        click.echo()
        titles = ("Line", "Server", "Is", "Contact", "Transport", "Phone says it is", "Expires", "Why not known")
        show_table(titles, [[_text(line[name]) for name in _LINE] for line in lines])


@click.command("watch")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each phone.")
@data_options
def watch(as_json: bool, data: DataOptions) -> None:
    """Show each change of the status of phones, until it is stopped with Ctrl-C.

    It follows the database, and works beside a running server; without one nobody hears who is registered."""

    async def follow(services: Any) -> None:
        after = ""
        while True:
            async for news in await services.status_feed.follow(local_actor(), after):
                if news:
                    after = str(news.position)
                    _show(news, as_json)

    with_services(data, follow)


def _show(news: Any, as_json: bool) -> None:
    if news.refresh:
        click.echo(f"many may have changed: {news.refresh}; see ztp phone list", err=True)
    for phone in news.phones:
        click.echo(json.dumps(phone, ensure_ascii=False, default=str) if as_json else _line(phone))


def _line(phone: Mapping[str, Any]) -> str:
    status = phone["status"]
    words = [phone["hardware_id"] or phone["id"], status["state"], f"(files {status['provisioning']},"]
    said = f"; {status['registration_reason']}" if status["registration_reason"] else ""
    return f"{' '.join(words)} registration {status['registration']}{said}) {phone['name']} at {phone['site']}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
