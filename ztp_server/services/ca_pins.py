"""Which CAs lay in which file when a server last looked: what changes there, changes who is believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ztp_server.pki.makers import EXPIRED_CERTS, LEGACY_CERTS, authorities_of_files
from ztp_server.store import Store

META = "device CAs"

# The SHA-256 of each certificate, by the file it lies in, named as it is below its folder: a data folder may be moved.
Pins = Mapping[str, Sequence[str]]


async def report_changed_cas(store: Store, folders: Sequence[Path], report: Callable[[str, str, str], None]) -> None:
    """Report each file that holds other CAs than a server found there before, be it that it was running or not: how CAs
    are added is audited, and a file put there by hand is not. The first look of all only notes what there is. Raises
    Misconfigured naming a file that cannot be read, and StoreUnavailable."""
    pins = await asyncio.to_thread(pins_of, folders)
    async with store.read() as session:
        text = await session.meta.get(META)
    before: Pins = pins if text is None else json.loads(text)
    for action, file, reason in changes_of(before, pins):
        report(action, file, reason)
    if text is None or before != pins:
        async with store.write() as session:
            await session.meta.set(META, json.dumps(pins, sort_keys=True))


def pins_of(folders: Sequence[Path]) -> Pins:
    """Which CAs lie in which file now. Raises Misconfigured naming a file that cannot be read."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for below in ("", LEGACY_CERTS, EXPIRED_CERTS):
            for authority in authorities_of_files([folder / below]):
                name = str(Path(authority.file).relative_to(folder))
                found.setdefault(name, []).append(authority.sha256)
    return {file: sorted(hashes) for file, hashes in found.items()}


def changes_of(before: Pins, after: Pins) -> Iterator[tuple[str, str, str]]:
    """What changed: the action of an event, the file, and what is so now."""
    for file in sorted({*before, *after}):
        was, is_now = before.get(file, ()), after.get(file, ())
        if list(was) == list(is_now):
            continue
        if not was:
            yield "ca.found", file, f"trusted from now on: {', '.join(is_now)}"
        elif not is_now:
            yield "ca.gone", file, f"trusted no more: {', '.join(was)}"
        else:
            yield "ca.changed", file, f"holds {', '.join(is_now)}, and held {', '.join(was)} before"
