"""ztp unknown"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, from_file, local_actor, show_json, show_table, warn, with_services
from ztp_server.cli.phone_fields import read_line, show_written
from ztp_server.config import DataOptions
from ztp_server.domain.moment import parse_minutes
from ztp_server.errors import BadValue

_PART = 1000


@click.group()
def unknown() -> None:
    """Phones that asked for their files and are none of ours."""


_reason = click.option("--reason", default="", help="Why; it goes into the audit.")


@unknown.command("list")
@click.option("--state", type=click.Choice(("waiting", "denied")), default="waiting", show_default=True)
@click.option("--vendor", default="", metavar="ID")
@click.option("--model", default="", metavar="ID")
@click.option("--network", default="", metavar="CIDR", help="Those that asked from there.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_unknown(state: str, vendor: str, model: str, network: str, as_json: bool, data: DataOptions) -> None:
    """List them, the one that came last first. Nothing of what they say of themselves is proven."""
    filters = {"state": state, "vendor": vendor, "model": model, "network": network}

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.unknown_phone_views import unknown_phone_view

        return [unknown_phone_view(phone) for phone in await _all(services, filters)]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("firmware", "address", "last_at", "count", "why")
    rows = [[row["mac"], row["model"] or row["vendor"] or "", *(row[c] or "" for c in columns)] for row in found]
    show_table(("MAC", "Model", "Firmware", "Address", "Last asked", "Requests", "Why"), rows)


@unknown.command("show")
@click.argument("mac")
@click.option("--json", "as_json", is_flag=True)
@data_options
def show(mac: str, as_json: bool, data: DataOptions) -> None:
    """Show all that is known of one, waiting or denied. Nothing of what it says of itself is proven."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.unknown_phone_views import unknown_phone_view

        return unknown_phone_view(await services.unknown_phones.get(local_actor(), mac))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    shown, columns = found["certificate"], ("state", "vendor", "model", "firmware", "address")
    rows = [("MAC", found["mac"]), *((name.capitalize(), found[name] or "") for name in columns)]
    if shown:
        whose = "its own" if shown["is_its_own"] else f"of {shown['mac']}"
        rows.append(("Certificate", f"{whose}, SHA-256 {shown['sha256']}"))
    rows += [("Asked for", ", ".join(found["files"])), ("Requests", found["count"])]
    rows += [("First asked", found["first_at"]), ("Last asked", found["last_at"])]
    rows += [("Denied by", found["denied_by"])] if found["denied_by"] else []
    rows += [("Why", found["why"])] if found["why"] else []
    show_table(("What", ""), rows)


@unknown.command("approve")
@click.argument("macs", metavar="MAC...", nargs=-1, required=True)
@click.option("--site", required=True)
@click.option("--base-settings", required=True)
@click.option("--model", default="", help="Needed when the phone did not say which it is.")
@click.option("--name", default="", help="What people call it; of one phone.  [default: its MAC]")
@click.option("--line", "lines", multiple=True, metavar="FIELDS", help="A line, in order, of one phone: user=1001,…")
@click.option("--open-window", default="60m", show_default=True, metavar="60m|0",
              help="How long it may come without a proof, if it has none of its own.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
@data_options
def approve(
    macs: Sequence[str], site: str, base_settings: str, model: str, name: str, lines: Sequence[str], open_window: str,
    as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    """Make them phones; each is configured when it asks again. @FILE instead of a MAC reads as many as stand there; of
    several, each is approved or refused by itself."""
    minutes = parse_minutes("--open-window", open_window)
    wanted = [mac for text in macs for mac in from_file(text).split()]
    place = {"model": model, "open_window": minutes}
    if not wanted:
        raise BadValue("MAC", "there is none")
    if len(wanted) > 1 and (name or lines):
        raise click.UsageError("--name and --line are of one phone")
    given = [read_line(text) for text in lines]

    async def approve_one(services: Any) -> None:
        written = await services.unknown_phones.approve(
            local_actor(), wanted[0], site, base_settings, name=name, lines=given, **place
        )
        if not as_json:
            click.echo(written.phone.hardware_id)
        await show_written(services, written, as_json)

    async def approve_them(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.unknown_phone_views import approval_view
        from ztp_server.services.unknown_phones import MOST_AT_ONCE

        found = []
        for start in range(0, len(wanted), MOST_AT_ONCE):
            part = wanted[start : start + MOST_AT_ONCE]
            found += await services.unknown_phones.approve_many(local_actor(), part, site, base_settings, **place)
        return [approval_view(approval) for approval in found]

    if len(wanted) == 1:
        return with_services(data, approve_one)
    _show_approvals(with_services(data, approve_them), as_json)


@unknown.command("deny")
@click.argument("mac")
@_reason
@data_options
def deny(mac: str, reason: str, data: DataOptions) -> None:
    """Keep it quiet: it is no longer listed as waiting, and no rule approves it."""
    with_services(data, lambda s: s.unknown_phones.deny(local_actor(), mac, reason))


@unknown.command("forget")
@click.argument("mac")
@_reason
@data_options
def forget(mac: str, reason: str, data: DataOptions) -> None:
    """Take it off the list, also one that was denied; it comes back when it asks again."""
    with_services(data, lambda s: s.unknown_phones.forget(local_actor(), mac, reason))


async def _all(services: Any, filters: dict[str, str]) -> list[Any]:
    found: list[Any] = []
    more = True
    while more:
        after = (found[-1].first_at, found[-1].mac) if found else None
        part, more = await services.unknown_phones.page(local_actor(), after=after, limit=_PART, **filters)
        found += part
    return found


def _show_approvals(approvals: list[dict[str, Any]], as_json: bool) -> None:
    """What became of each; exit code 1 when one was refused."""
    if as_json:
        show_json(approvals)
    else:
        warn(f"{a['mac']}: {warning}" for a in approvals for warning in a["warnings"])
        show_table(("MAC", "Result"), [(a["mac"], a["problem"] or "approved") for a in approvals])
    if any(approval["problem"] for approval in approvals):
        raise SystemExit(1)
