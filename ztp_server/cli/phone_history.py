"""ztp phone history"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions
from ztp_server.domain.moment import parse_moment


@click.command("history")
@click.argument("phone", metavar="PHONE")
@click.option("--file", "name", default="", help="Only this file.")
@click.option("--at", default="", metavar="TIME", help="What the phone had been given by then: with --file its bytes.")
@click.option("--diff", nargs=2, metavar="TIME TIME", help="What differs in --file between these two times.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many, the newest first.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def history(
    phone: str, name: str, at: str, diff: tuple[str, str] | None, limit: int, as_json: bool, data: DataOptions
) -> None:
    """What a phone asked for and was given: requests alike as one row. Removed phones are found by their MAC.

    A TIME is such as 2026-11-20T10:00, in UTC unless an offset stands behind it. Secrets are shown as ***."""
    who = local_actor()
    if diff:
        if not name or at:
            raise click.UsageError("--diff goes with --file, and without --at")
        earlier, later = (parse_moment("--diff", text) for text in diff)
        return _write(with_services(data, lambda s: s.history.diff(who, phone, name, earlier, later)).encode())
    if at and name:
        moment = parse_moment("--at", at)
        return _write(with_services(data, lambda s: s.history.file(who, phone, name, moment)).body)
    if at:
        return _show_given(data, phone, parse_moment("--at", at), as_json)
    _show_runs(data, phone, name, limit, as_json)


def _write(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.flush()


def _show_given(data: DataOptions, phone: str, at: datetime, as_json: bool) -> None:
    from ztp_server.services.history_views import given_view

    found = with_services(data, lambda services: services.history.given(local_actor(), phone, at))
    views = [given_view(given) for given in found]
    if as_json:
        return show_json(views)
    rows = [[v["file"], _moment(v["at"]), "not kept" if v["size"] is None else v["size"], v["etag"]] for v in views]
    show_table(("File", "Given", "Bytes", "Tag"), rows)


def _show_runs(data: DataOptions, phone: str, name: str, limit: int, as_json: bool) -> None:
    from ztp_server.services.history_views import attempt_view

    found = with_services(data, lambda services: services.history.attempts(local_actor(), phone, limit, file=name))
    views: list[dict[str, Any]] = [attempt_view(run) for run in found]
    if as_json:
        return show_json(views)
    titles = ("Last", "Times", "File", "Status", "Proof", "Over", "Address", "Firmware", "Base settings", "Why")
    show_table(titles, [_row(view) for view in views])


def _row(view: dict[str, Any]) -> list[Any]:
    made_of = view["made_of"]
    base = f"{made_of['base_settings']}@{made_of['base_settings_revision']}" if made_of else ""
    columns = [view[name] for name in ("count", "file", "status", "proof", "listener", "address", "firmware")]
    return [_moment(view["last_at"]), *columns, base, view["reason"]]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
