"""ztp approval-rule"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.access import whole_list
from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.cli.edits import json_option, reason_option
from ztp_server.config import DataOptions
from ztp_server.domain.approval_rule import RULE_PROOFS
from ztp_server.domain.moment import parse_moment


@click.group()
def approval_rule() -> None:
    """Rules by which unknown phones become phones without anybody looking."""


_NETWORKS = "A CIDR from which they ask; once for each.  [default: those of the site]"
_PROOF = "certificate: only phones that show their factory certificate as well."
_until = click.option("--until", default=None, metavar="TIME", help="When it ends: 2026-11-20T18:00.")


@approval_rule.command("add")
@click.argument("rule_id", metavar="ID")
@click.option("--site", required=True, help="Where they become phones.")
@click.option("--base-settings", required=True, help="What they get; of its family they must be.")
@click.option("--most", type=int, required=True, help="How many it may approve in all.")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help=_NETWORKS)
@click.option("--proof", type=click.Choice(RULE_PROOFS), default="network", show_default=True, help=_PROOF)
@_until
@reason_option
@json_option
@data_options
def add(
    rule_id: str, site: str, base_settings: str, most: int, networks: Sequence[str], proof: str, until: str | None,
    reason: str, as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    """Approve unknown phones of a family from some networks, so many at most."""
    changes = {"site": site, "base_settings": base_settings, "most": most, "networks": networks, "proof": proof}
    changes |= _end(until, no_end=False)
    _save(data, lambda s: s.approval_rules.add(local_actor(), rule_id, changes, reason=reason), as_json)


@approval_rule.command("edit")
@click.argument("rule_id", metavar="ID")
@click.option("--site", default=None)
@click.option("--base-settings", default=None)
@click.option("--most", type=int, default=None)
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="Instead of those it has; once for each.")
@click.option("--site-networks", is_flag=True, help="The networks of the site instead of those it has.")
@click.option("--proof", type=click.Choice(RULE_PROOFS), default=None, help=_PROOF)
@_until
@click.option("--no-end", is_flag=True, help="It ends no more.")
@reason_option
@json_option
@data_options
def edit(
    rule_id: str, site: str | None, base_settings: str | None, most: int | None, networks: Sequence[str],
    site_networks: bool, proof: str | None, until: str | None, no_end: bool, reason: str, as_json: bool,
    data: DataOptions,
) -> None:  # fmt: skip
    """Change a rule. How many it has approved stays; a greater --most lets it go on."""
    if (networks and site_networks) or (until and no_end):
        raise click.UsageError("--network or --site-networks, and --until or --no-end, not both")
    given = {"site": site, "base_settings": base_settings, "most": most, "proof": proof}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes |= {"networks": networks} if networks or site_networks else {}
    changes |= _end(until, no_end=no_end)
    _save(data, lambda s: s.approval_rules.edit(local_actor(), rule_id, changes, reason=reason), as_json)


@approval_rule.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_rules(as_json: bool, data: DataOptions) -> None:
    """List them, with how many phones each has approved."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.unknown_phone_views import approval_rule_view

        return [approval_rule_view(rule) for rule in await whole_list(services.approval_rules)]

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    rows = [
        (r["id"], r["site"], r["base_settings"], r["networks"] or "the site's", r["proof"],
         f"{r['approved']} of {r['most']}", r["until"] or "never")
        for r in found
    ]  # fmt: skip
    show_table(("ID", "Site", "Base settings", "Networks", "Proof", "Approved", "Ends"), rows)


@approval_rule.command("remove")
@click.argument("rule_id", metavar="ID")
@reason_option
@data_options
def remove(rule_id: str, reason: str, data: DataOptions) -> None:
    """Remove a rule. The phones that it approved stay."""
    with_services(data, lambda s: s.approval_rules.remove(local_actor(), rule_id, reason=reason))


def _end(until: str | None, *, no_end: bool) -> dict[str, Any]:
    if until:
        return {"until": parse_moment("until", until)}
    return {"until": None} if no_end else {}


def _save(data: DataOptions, work: Any, as_json: bool) -> None:
    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.unknown_phone_views import approval_rule_view

        return approval_rule_view(await work(services))

    saved = with_services(data, view)
    if as_json:
        show_json(saved)
