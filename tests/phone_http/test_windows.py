"""A window lets the first in who asks in a phone's name, once, from one address, for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, World
from tests.phone_http.conftest import Start
from tests.phone_http.far_away import (
    CAFE,
    HOME,
    SETTINGS,
    ask,
    events,
    far_world,
    proofs,
    put_token,
    put_window,
    site,
    statements,
)
from ztp_server.domain.request import PhoneRequest


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    return await far_world(start, copy)


async def test_an_open_window_lets_in_the_first_address_and_no_other(world: World) -> None:
    before = await ask(world, SETTINGS)
    await put_window(world)
    first = await ask(world, SETTINGS)
    thieves = [await ask(world, name, CAFE) for name in (SETTINGS, f"{VVX}.cfg", SETTINGS)]
    again = await ask(world, SETTINGS, listener="http")
    [used], [refused] = await events(world, "window.used"), await events(world, "proof.refused")

    assert before.status == 404 and first.status == again.status == 200 and first.body == again.body
    assert {answer.status for answer in thieves} == {404}
    assert used.subject == VVX and HOME in used.detail["reason"] and CAFE in refused.detail["reason"]
    assert (await proofs(world)).window.address == HOME


async def test_a_window_is_for_one_phone(world: World) -> None:
    await put_window(world)

    assert (await ask(world, f"{OTHER_VVX}-settings.cfg")).status == 404
    assert (await ask(world, "0004f2999999-settings.cfg")).status == 404
    assert (await proofs(world)).window.address == ""


async def test_of_two_who_come_through_a_window_at_once_one_is_too_late(world: World) -> None:
    await put_window(world)
    hosts = [f"203.0.113.{number}" for number in range(1, 9)]
    answers = await asyncio.gather(*(ask(world, SETTINGS, host) for host in hosts))

    [winner] = [host for host, answer in zip(hosts, answers, strict=True) if answer.status == 200]
    assert (await proofs(world)).window.address == winner


async def test_a_window_that_is_over_lets_nobody_in(world: World) -> None:
    await put_window(world, minutes=-1)
    late = await ask(world, SETTINGS)
    await put_window(world)

    assert late.status == 404 and (await ask(world, SETTINGS)).status == 200


async def test_a_window_counts_for_no_address_that_is_not_known(world: World) -> None:
    await put_window(world)

    assert (await world.ask(SETTINGS, listener="https", headers={"X-Real-IP": HOME})).status == 404
    assert (await proofs(world)).window.first_used_at is None


async def test_where_windows_are_no_proof_one_opens_nothing(world: World) -> None:
    await put_window(world)
    await site(world, proofs="certificate,token,digest,network")

    assert (await ask(world, SETTINGS)).status == 404


@pytest.mark.parametrize("listener", ["http", "mtls"])
async def test_a_window_opens_no_listener_that_gives_nothing(world: World, listener: str) -> None:
    await put_window(world)
    await site(world, plain_secrets="off")
    device = world.device("poly", OTHER_VVX) if listener == "mtls" else None

    assert (await ask(world, SETTINGS, listener=listener, device=device)).status == 404
    assert (await proofs(world)).window.first_used_at is None


@pytest.mark.parametrize("proof", ["certificate", "token", "network"])
async def test_a_window_closes_in_all_processes_when_the_phone_uses_a_proof_of_its_own(
    world: World, start: Start, proof: str
) -> None:
    other = await start(world.data, trusted_proxies=world.app.options.trusted_proxies)
    # A phone without a factory certificate that is trusted: its network is then all that it has.
    mac, model = (HD400, HD400_UA) if proof == "network" else (VVX, "")
    if proof == "network":
        for path in (world.data / "certs" / "audiocodes").iterdir():
            path.unlink()
        for one in (world, other):
            await one.app._load_certificates()
    name = {VVX: SETTINGS, HD400: f"{HD400}.cfg"}[mac]
    await put_window(world, mac)
    let_in = [await ask(one, name, user_agent=model) for one in (world, other)]
    if proof == "certificate":
        own = await ask(other, name, CAFE, "mtls", device=world.device("poly", VVX))
    elif proof == "token":
        own = await ask(other, f"t/{await put_token(world)}/{name}", CAFE)
    else:
        own = await ask(other, name, "192.168.7.7", user_agent=model)
    late = [await ask(one, name, user_agent=model) for one in (world, other)]

    assert {answer.status for answer in (*let_in, own)} == {200}
    assert {answer.status for answer in late} == {404}
    assert (await proofs(world, mac)).window is None and len(await events(other, "window.closed")) == 1


async def test_a_phone_that_has_more_than_its_network_keeps_its_window_there(world: World) -> None:
    await put_token(world, mac=HD400)
    await put_window(world, HD400)

    assert (await ask(world, f"{HD400}.cfg", "192.168.7.7")).status == 200
    assert (await proofs(world, HD400)).window is not None
    assert (await ask(world, f"{HD400}.cfg", HOME)).status == 200


async def test_a_phone_that_came_through_its_window_goes_on_with_the_token_in_its_file(world: World) -> None:
    token = await put_token(world)
    await put_window(world)
    first = await ask(world, SETTINGS)
    steady = await ask(world, f"t/{token}/{SETTINGS}", CAFE)

    assert f"t/{token}/" in first.text and steady.body == first.body
    assert (await proofs(world)).window is None
    assert (await ask(world, SETTINGS)).status == 404


async def test_a_window_that_an_administrator_closes_is_closed_for_who_was_let_in(world: World) -> None:
    await put_window(world)
    first = await ask(world, SETTINGS)
    async with world.services.store.write() as session:
        await session.phone_proofs.close_window((await session.phones.get(VVX)).id)

    assert first.status == 200 and (await ask(world, SETTINGS)).status == 404


async def test_who_only_asks_what_a_phone_would_get_uses_up_nothing(world: World) -> None:
    await put_window(world)
    explained = await world.services.why.explain(ADMIN, VVX, address=CAFE)

    assert any(answer.status == 200 for answer in explained.answers)
    assert (await proofs(world)).window.first_used_at is None
    assert (await ask(world, SETTINGS)).status == 200


async def test_strangers_cost_no_query_however_many_windows_open_and_close(world: World) -> None:
    stranger = PhoneRequest(f"{OTHER_VVX}-settings.cfg", address=CAFE, listener="https")
    await world.app.provisioning.answer(stranger)
    with statements(world) as asked:
        await world.app.provisioning.answer(stranger)
    await put_window(world)
    with statements(world) as after:
        await world.app.provisioning.answer(stranger)
        await world.app.provisioning.answer(stranger)

    assert asked == []
    # One question of what was changed, the same for whoever asks first.
    assert sum("provisioning_windows" in statement for statement in after) == 1
    assert not any("lines" in statement for statement in after)
