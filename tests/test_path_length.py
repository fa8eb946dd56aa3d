"""The one request that matters is short to read: seven steps (ARCHITECTURE), in few files, in this order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.conftest import HD400, VVX, World, start_filled

OURS = str(Path(__file__).parents[1] / "ztp_server") + "/"

# A request of a phone that is known to the process: HTTP, the rules, the name, the phone in memory, its file in memory,
# and the log and check-in after it.
CACHED = [
    ("phone_http/routes.py", "serve"),
    ("phone_http/identity.py", "requested_path"),
    ("services/provisioning.py", "answer"),
    ("services/fleet.py", "catch_up"),
    ("domain/catalog.py", "match"),
    ("services/fleet.py", "find"),
    ("services/proving.py", "prove"),
    ("services/provisioning.py", "render"),
    ("services/check_ins.py", "note"),
]
# The seven steps, for a phone the process has not met, the first of its site and base settings.
UNCACHED = [
    ("phone_http/routes.py", "serve"),  # 1
    ("services/provisioning.py", "answer"),  # 2
    ("domain/catalog.py", "match"),  # 3
    ("store/phones.py", "find_running"),  # 4
    ("domain/settings.py", "resolve"),  # 5
    ("render.py", "render"),  # 6
    ("services/check_ins.py", "note"),  # 7
]
# What a connection goes through before its first request: who may come, how many, how slowly. It is a path of its own.
CONNECTION = {
    f"phone_http/{name}.py"
    for name in (
        *("bounds", "doorstep", "doors", "file_limit", "gate", "listeners"),
        *("protocol", "proxy_header", "seats", "slow_readers", "sources", "turns"),
    )
} | {"domain/source.py"}
# A reader of the cached path opens routes, identity, digest and forwarded (has it a login, or a proxy's certificate?),
# request, provisioning, fleet, own_files (what counts for the phone), proving, proof, site, catalog, hardware_id,
# templates, address, changes, database, log, metrics, check_ins, knocks and attempt. The uncached path adds the store
# (four files), the layers and their table, the clock, what firmware is offered (two), the context and its filters, the
# renderer, and what is kept of it: the history (inputs, needed files, served bytes) and the last good files; and whose
# lines it has (three): its own, a user's who is logged in, those of its site for nobody.
FILES_CACHED = 22
FILES_UNCACHED = 50


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]]) -> World:
    """A server that does nothing but answer: what it does at its start and besides is over."""
    world = await start_filled(start)
    await world.services.store.database.rest()
    for task in world.app._tasks:
        task.cancel()
    await asyncio.gather(*world.app._tasks, return_exceptions=True)
    return world


async def test_a_cached_file_goes_a_short_way(world: World) -> None:
    await world.ask(f"{VVX}-settings.cfg")
    with entered() as calls:
        assert (await world.ask(f"{VVX}-settings.cfg")).status == 200

    assert in_order(CACHED, calls)
    assert "render.py" not in files(calls) and "store/phones.py" not in files(calls)
    assert len(files(calls)) <= FILES_CACHED, "\n".join(sorted(files(calls)))


async def test_a_file_made_for_the_first_time_goes_the_seven_steps(world: World) -> None:
    await world.ask(f"{VVX}-settings.cfg")
    with entered() as calls:
        assert (await world.ask(f"{HD400}.cfg")).status == 200

    assert in_order(UNCACHED, calls)
    assert len(files(calls)) <= FILES_UNCACHED, "\n".join(sorted(files(calls)))


async def test_a_refusal_touches_neither_template_nor_disk(world: World) -> None:
    await world.ask("nothing")
    with entered() as calls:
        assert (await world.ask("nothing-again")).status == 404

    assert files(calls) & {"render.py", "store/phones.py", "services/firmware_files.py"} == set()
    assert len(files(calls)) <= FILES_CACHED, "\n".join(sorted(files(calls)))


@contextmanager
def entered() -> Iterator[list[tuple[str, str]]]:
    """Our functions (file, name) in the order in which they are entered in this thread."""
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(OURS) and not code.co_name.startswith("<"):
            calls.append((code.co_filename.removeprefix(OURS), code.co_name))

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def files(calls: list[tuple[str, str]]) -> set[str]:
    """Which files were entered, but for what happens beside the request: the connection, the watcher, the writers of
    batches, and the stores that a session has and this request does not ask."""
    return {file for file, name in calls if file != "app.py" and name != "__init__"} - CONNECTION


def in_order(wanted: list[tuple[str, str]], calls: list[tuple[str, str]]) -> bool:
    """Whether `wanted` is a subsequence of `calls`."""
    rest = iter(calls)
    missing = [step for step in wanted if step not in rest]
    assert not missing, f"not in this order: {missing[0]}; entered were {list(dict.fromkeys(calls))}"
    return True
