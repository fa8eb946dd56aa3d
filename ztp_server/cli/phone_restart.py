"""ztp phone restart, resync"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, read_filters, show_json, with_services
from ztp_server.cli.jobs import MOST_NAMED, all_items, one_line, progress_bar, view_of
from ztp_server.config import DataOptions

UNCONFIRMED = 50


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="The job and what became of each phone, as REST shows it."),
        click.option("--dry-run", is_flag=True, help="Show who would be told, and how; tell nobody."),
        click.option("--yes", type=int, metavar="N", help=f"Do not ask (from {UNCONFIRMED + 1} on): it is about N phones, no more, no fewer."),
        click.option("--follow", type=click.IntRange(0, 3600), default=180, show_default=True, help="Seconds to see what became of a phone."),
        click.option("--not-after", default="", metavar="TIME", help="What is left then is refused."),
        click.option("--not-before", default="", metavar="TIME", help="The server does it, from then on."),
        click.option("--rate", type=click.FloatRange(1, 50), default=5.0, show_default=True, help="Phones a second."),
        click.option("--when", type=click.Choice(["now", "idle"]), default="now", show_default=True, help="idle: once its calls have ended."),
        click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Which phones, as of `ztp phone list`; name='*' are all."),
        click.argument("phones", metavar="[MAC]...", nargs=-1),
    ):  # fmt: skip
        command = option(command)
    return data_options(command)


@click.command("restart")
@_options
def restart(**given: Any) -> None:
    """Restart phones, by the way that each has.

    It goes on here until what became of each is known; Ctrl-C stops it."""
    _tell("restart", **given)


@click.command("resync")
@_options
def resync(**given: Any) -> None:
    """Ask phones to look for their files again.

    One that finds them unchanged does nothing. Ctrl-C stops it."""
    _tell("resync", **given)


def _tell(
    action: Any, phones: Sequence[str], filters: Sequence[str], when: Any, rate: float, not_before: str,
    not_after: str, follow: int, yes: int | None, dry_run: bool, as_json: bool, data: DataOptions,
) -> None:  # fmt: skip
    from ztp_server.domain.moment import parse_moment
    from ztp_server.services.phone_selection import parse_selection
    from ztp_server.services.restarts import Telling, preview_view

    if bool(phones) == bool(filters):
        raise click.UsageError("name the phones, or say with --filter which are meant")
    moments = {
        name: parse_moment(name, text) for name, text in (("not_before", not_before), ("not_after", not_after)) if text
    }
    telling = Telling(when, rate, follow, **moments)
    selection = parse_selection(phones or None, None if phones else read_filters(filters))
    if dry_run:
        view = with_services(
            data, lambda s: _async(preview_view, s.restarts.preview(local_actor(), action, selection, telling))
        )
        return show_json(view) if as_json else _show_preview(view)
    count = with_services(data, lambda s: s.restarts.count(local_actor(), selection))
    confirm = _confirmed(action, count, yes)

    async def submit(services: Any) -> Any:
        return await services.restarts.tell_many(
            local_actor(), action, selection, telling, confirm=confirm, run_here=not not_before
        )

    if not_before:
        made = with_services(data, lambda services: _viewed(services, submit(services)))
        return show_json(made) if as_json else click.echo(f"job {made['id']}: the server begins at {not_before}")
    ended, items = with_services(data, lambda services: _run(services, submit))
    if as_json:
        show_json({**ended, "items": items})
    else:
        _show(ended, items)
    if ended["failed"] or ended["state"] != "done":
        raise SystemExit(1)


async def _run(services: Any, submit: Callable[[Any], Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    made = await submit(services)
    try:
        with progress_bar() as heard:
            ended = await services.job_runner.run(made.id, heard)
    except asyncio.CancelledError:
        await services.jobs.stop(local_actor(), made.id)
        click.echo(f"job {made.id} is stopped: ztp job show {made.id} --items, ztp job resume {made.id}", err=True)
        raise
    return view_of(services, ended), await all_items(services, made.id, "")


def _confirmed(action: str, count: int, yes: int | None) -> str:
    """The number of phones that somebody agreed to, as text. What else they are by then is refused."""
    if yes is not None or count <= UNCONFIRMED:
        return str(yes if yes is not None else count)
    if not sys.stdin.isatty():
        raise click.UsageError(f"{count} phones: say --yes {count} to {action} so many")
    typed: str = click.prompt(f"This is about {count} phones. Type their number to {action} them", err=True)
    if typed.strip() != str(count):
        raise click.Abort
    return typed.strip()


def _show_preview(view: dict[str, Any]) -> None:
    if not view["phones"]:
        click.echo("no phone fits")
        return
    click.echo(f"of {view['phones']} phones, {view['planned']} looked at: {view['refused']} refused")
    for way, count in view["ways"].items():
        click.echo(one_line(f"{count} by {way}"))
    for cost in view["costs"]:
        click.echo(one_line(f"what it costs: {cost}"))
    for row in view["refusals"]:
        click.echo(one_line(f"refused: {row['label']}: {row['reason']}"))


def _show(ended: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    """Every phone of few, of many those that something is wrong with."""
    shown = items if len(items) <= MOST_NAMED else [item for item in items if _is_worth_naming(item)]
    for item in shown[:MOST_NAMED]:
        click.echo(one_line(f"{item['label']}: {item['state']}{': ' if item['detail'] else ''}{item['detail']}"))
    if len(shown) > MOST_NAMED:
        click.echo(f"… and {len(shown) - MOST_NAMED} more: ztp job show {ended['id']} --items")
    told = [item["told"] for item in items if item["told"]]
    counts = {
        "sent": sum(one["sent_at"] is not None for one in told),
        "answered": sum(one["answer"] == "answered" for one in told),
        "fetched again": sum(one["fetched"] is not None for one in told),
        "registered again": sum(one["registered"] is not None for one in told),
        "refused": ended["failed"],
        "unchanged": ended["summary"].get("unchanged", 0),
    }
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to do"
    click.echo(
        one_line(f"job {ended['id']} {ended['state']}: {said}{' (' + ended['reason'] + ')' if ended['reason'] else ''}")
    )


def _is_worth_naming(item: dict[str, Any]) -> bool:
    return item["state"] == "refused" or bool(item["told"] and item["told"]["fetched"] is None)


async def _async(shown: Callable[[Any], Any], found: Any) -> Any:
    return shown(await found)


async def _viewed(services: Any, made: Any) -> dict[str, Any]:
    return view_of(services, await made)
