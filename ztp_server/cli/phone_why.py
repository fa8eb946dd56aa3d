"""ztp phone why"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, show_json, with_services
from ztp_server.config import DataOptions
from ztp_server.errors import BadValue

_MARKS = {True: "+", False: "-", None: " "}


@click.command("why")
@click.argument("phone", metavar="MAC|ID")
@click.option("--from", "address", default="", metavar="ADDRESS", help="Where it asks from.  [default: as last time]")
@click.option("--file", default="", metavar="NAME", help="One file.  [default: its own]")
@click.option("--cert", type=click.Path(path_type=Path), help="Its client certificate (PEM), to see what that proves.")
@click.option("--user-agent", default="", help="How it calls itself.")
@click.option("--json", "as_json", is_flag=True)
@data_options
def why(
    phone: str, address: str, file: str, cert: Path | None, user_agent: str, as_json: bool, data: DataOptions
) -> None:
    """What a phone would be given now, and why; and how its last attempts ended."""

    async def explain(services: Any) -> dict[str, Any]:
        from ztp_server.services.why_views import why_view

        shown = services.why.read_certificate(_read(cert)) if cert else None
        found = await services.why.explain(
            local_actor(), phone, address=address, file=file, shown=shown, user_agent=user_agent
        )
        return why_view(found)

    found = with_services(data, explain)
    if as_json:
        return show_json(found)
    for line in _lines(found):
        click.echo("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadValue("--cert", f"{file}: {error.strerror}") from None


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield from (f"{_MARKS[finding['ok']]} {finding['text']}" for finding in found["findings"])
    yield ""
    yield f"Asked from {found['from'] or 'nowhere'} ({found['from_is']}), it would get:"
    yield from (f"  {a['listener']:5} {a['file']}: {a['status']}, {a['text']}" for a in found["answers"])
    if not found["answers"]:
        yield "  nothing: no maker is known that would ask; name one with --file"
    yield ""
    yield "Last attempts:" if found["attempts"] else "No attempts so far."
    yield from (f"  {_attempt(attempt)}" for attempt in found["attempts"])
    if found["advice"]:
        yield ""
        yield "To do:"
        yield from (f"  {advice}" for advice in found["advice"])


def _attempt(attempt: dict[str, Any]) -> str:
    times = f" ({attempt['count']} times since {attempt['first_at']:%Y-%m-%d %H:%M:%S})" if attempt["count"] > 1 else ""
    why = f", {attempt['reason']}" if attempt["reason"] else ""
    proof = f", proven by {attempt['proof']}" if attempt["proof"] else ""
    at = f"{attempt['last_at']:%Y-%m-%d %H:%M:%S}"
    where = f"from {attempt['address'] or 'a hidden address'} over {attempt['listener']}"
    return f"{at}{times} {where}: {attempt['file']} {attempt['status']}{why}{proof}"
