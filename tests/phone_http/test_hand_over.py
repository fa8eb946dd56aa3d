"""From the proof a phone came with to the one it stays with: whole boots, and when nothing can be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HD400, VVX, World
from tests.phone_http.conftest import Start
from tests.phone_http.far_away import SETTINGS, ask, far_world, proofs, put_token, put_window, site
from ztp_server.errors import StoreUnavailable
from ztp_server.simulator.simulation import run_simulation


@pytest.fixture
async def no_certificates(start: Start, copy: Path) -> World:
    """A server that knows no maker's CA, so that phones stay on the listener without; they are in no network."""
    for path in (copy / "certs").glob("*/*"):
        path.unlink()
    world = await start(copy)
    await site(world, networks="10.0.0.0/8")
    return world


@pytest.mark.parametrize(("mac", "model"), [(VVX, "vvx-411"), (HD400, "audiocodes-405hd")])
@pytest.mark.parametrize("first", ["bootstrap", "window"])
async def test_a_phone_boots_with_what_it_has_and_stays_at_its_steady_address(
    no_certificates: World, mac: str, model: str, first: str
) -> None:
    world = no_certificates
    steady = await put_token(world, mac=mac)
    way = "" if first == "window" else f"t/{await put_token(world, 'bootstrap', mac)}/"
    if first == "window":
        await put_window(world, mac)
    url = f"{world.url('https')}{way}"
    report = await run_simulation(world.services.templates.catalog, mac, model, url, ca=world.ca)
    has = await proofs(world, mac)

    assert report.failure == "" and report.registrations
    assert report.stages[-1].folder == f"{world.url('https')}t/{steady}/"
    assert has.bootstrap is None and has.window is None and has.steady.first_used_at


@pytest.fixture
async def far(start: Start, copy: Path) -> World:
    return await far_world(start, copy)


def break_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be written."""

    @asynccontextmanager
    async def write() -> AsyncIterator[Any]:
        raise StoreUnavailable("database: read-only")
        yield

    monkeypatch.setattr(world.services.store, "write", write)


async def test_what_could_not_be_bound_lets_nobody_in(far: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await put_token(far, "bootstrap")
    await put_window(far, HD400)
    break_it(far, monkeypatch)

    assert (await ask(far, f"t/{token}/{SETTINGS}")).status == 503
    assert (await ask(far, f"{HD400}.cfg")).status == 503


async def test_a_phone_with_a_proof_of_its_own_gets_its_file_and_the_rest_ends_later(
    far: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady, bootstrap = await put_token(far), await put_token(far, "bootstrap")
    await ask(far, f"t/{bootstrap}/{SETTINGS}")
    break_it(far, monkeypatch)
    meanwhile = [await ask(far, f"t/{token}/{SETTINGS}") for token in (steady, bootstrap)]
    kept = await proofs(far)
    monkeypatch.undo()
    after = [await ask(far, f"t/{token}/{SETTINGS}") for token in (steady, bootstrap)]

    # What was handed over and not written down is not handed over: no process knows more than another.
    assert [answer.status for answer in meanwhile] == [200, 200] and kept.steady.first_used_at is None
    assert [answer.status for answer in after] == [200, 404]
