"""ztp job"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions

_PAGE = 1000
# Of what was refused: named on stderr at the end of a job.
MOST_NAMED = 20


@click.group("job")
def job() -> None:
    """Work on many phones: what it did to each of them."""


@job.command("list")
@click.option("--state", default="", help="Only those: queued, running, done, stopped, failed.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_jobs(state: str, as_json: bool, data: DataOptions) -> None:
    """List jobs, the newest first."""

    async def views(services: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        below = ""
        while page := await services.jobs.page(local_actor(), below=below, limit=_PAGE, state=state):
            found += [view_of(services, each) for each in page]
            below = page[-1].id
        return found

    found = with_services(data, views)
    if as_json:
        return show_json(found)
    columns = ("id", "kind", "state", "done", "total", "failed", "actor", "created_at")
    headers = ("ID", "Kind", "State", "Done", "Of", "Refused", "Who", "When")
    show_table(headers, [[row[column] for column in columns] for row in found])


@job.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--items", "with_items", is_flag=True, help="What became of each phone.")
@click.option(
    "--state", default="", help="With --items, only these: pending, under_way, done, unchanged, refused, undone."
)
@data_options
def show(job_id: str, with_items: bool, state: str, data: DataOptions) -> None:
    """Show a job, with --items what became of each phone."""

    async def view(services: Any) -> dict[str, Any]:
        found = view_of(services, await services.jobs.get(local_actor(), job_id))
        return {**found, "items": await all_items(services, job_id, state)} if with_items or state else found

    show_json(with_services(data, view))


@job.command("stop")
@click.argument("job_id", metavar="ID")
@data_options
def stop(job_id: str, data: DataOptions) -> None:
    """Stop a job. What it did stays done; it can be resumed or undone."""
    with_services(data, lambda services: services.jobs.stop(local_actor(), job_id))


@job.command("resume")
@click.argument("job_id", metavar="ID")
@data_options
def resume(job_id: str, data: DataOptions) -> None:
    """Go on with a job that was stopped, failed, or was left by a process that is gone."""
    run_job(data, lambda services: services.jobs.resume(local_actor(), job_id, run_here=True))


@job.command("undo")
@click.argument("job_id", metavar="ID")
@data_options
def undo(job_id: str, data: DataOptions) -> None:
    """Take back what a job did, but to phones that were changed since."""
    run_job(data, lambda services: services.jobs.undo(local_actor(), job_id, run_here=True))


def run_job(data: DataOptions, submit: Callable[[Any], Awaitable[Any]]) -> None:
    """Make a job and run it here, with a bar on stderr; exit code 1 unless everything was done."""

    async def run(services: Any) -> tuple[Any, list[dict[str, Any]]]:
        made = await submit(services)
        with progress_bar() as heard:
            ended = await services.job_runner.run(made.id, heard)
        return ended, await all_items(services, made.id, "refused", MOST_NAMED) if ended.failed else []

    ended, refused = with_services(data, run)
    for item in refused:
        click.echo(one_line(f"{item['label']}: {item['detail']}".removeprefix(": ")), err=True)
    if ended.failed > len(refused):
        click.echo(f"… and {ended.failed - len(refused)} more: ztp job show {ended.id} --state refused", err=True)
    counts = ", ".join(f"{count} {state}" for state, count in ended.summary.items()) or "nothing to do"
    click.echo(f"job {ended.id} {ended.state}: {counts}{one_line(f' ({ended.reason})') if ended.reason else ''}")
    if ended.failed or ended.state != "done":
        raise SystemExit(1)


@contextmanager
def progress_bar() -> Iterator[Callable[[Any], object]]:
    """A bar on stderr, to be told of the job as it goes on. What was sent and is followed counts as done there."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Phones", total=None)
        yield lambda job: progress.update(
            task, completed=job.done + job.summary.get("under_way", 0), total=job.total or None
        )


async def all_items(services: Any, job_id: str, state: str, most: int | None = None) -> list[dict[str, Any]]:
    """What became of the things of a job: of all, or of the first."""
    from ztp_server.services.job_views import item_view

    found: list[dict[str, Any]] = []
    after = 0
    while most is None or len(found) < most:
        limit = _PAGE if most is None else most - len(found)
        page = await services.jobs.items(local_actor(), job_id, after=after, limit=limit, state=state)
        if not page:
            break
        found += map(item_view, page)
        after = page[-1].position
    return found


def view_of(services: Any, found: Any) -> dict[str, Any]:
    from ztp_server.services.job_views import job_view

    return job_view(found, services.jobs.shown_order(found), undoable=services.jobs.is_undoable(found))


def one_line(text: str) -> str:
    """One line for a terminal, whatever a name holds."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
