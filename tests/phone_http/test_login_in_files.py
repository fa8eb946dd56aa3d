"""A phone that logs in is told by its own files as whom, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.conftest import ADMIN, VVX, World
from tests.phone_http.conftest import Start
from tests.phone_http.far_away import SETTINGS, ask, far_world, proofs, put_digest, put_token, site
from ztp_server.services.address import last_address
from ztp_server.services.annotations import Origin
from ztp_server.services.known_phones import KnownPhones
from ztp_server.simulator.flash import Flash
from ztp_server.simulator.simulation import run_simulation

PASSWORD = "p\"a<s>s&'w%41ord"
INSIDE = "192.168.1.1"
_PROOFS = "token,window,digest,network"


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    """A server where one logs in below /d/ over HTTPS, and whose phones do not come with certificates."""
    world = await far_world(start, copy, digest=("https:/d/",))
    await site(world, proofs=_PROOFS)
    return world


async def told(world: World, name: str = SETTINGS) -> dict[str, str]:
    """The device.prov parameters in the file of a phone that its address proves."""
    answer = await ask(world, name, INSIDE)
    assert answer.status == 200
    found = etree.fromstring(answer.body).xpath("//@*[starts-with(name(), 'device.prov.')]")
    return {str(value.attrname).removeprefix("device.prov."): str(value) for value in found}


async def test_a_phone_without_a_login_is_told_none(world: World) -> None:
    before = await told(world)

    assert "user" not in before and "password" not in before and not before["serverName"].endswith("/d/")


async def test_the_files_tell_user_password_and_the_place_where_they_count(world: World) -> None:
    await put_digest(world, password=PASSWORD)
    found = await told(world)

    assert (found["user"], found["user.set"]) == ("desk", "1")
    assert (found["password"], found["password.set"]) == (PASSWORD, "1")
    assert found["serverName"] == f"{world.url('https')}d/"
    await put_digest(world, user="lobby", password="another-one")
    assert ((await told(world))["user"], (await told(world))["password"]) == ("lobby", "another-one")
    await world.services.phone_proofs.remove_digest(ADMIN, VVX)
    assert "user" not in await told(world)


async def test_no_password_goes_where_nobody_asks_for_it(world: World) -> None:
    await put_digest(world, password=PASSWORD)
    # Another server; this one, where no login counts; a token, which does not go through the place of logins.
    for url in ("https://phones.example.org/d/", world.url("https"), world.url("http"), f"{world.url('https')}x/"):
        await site(world, provisioning_url=url)
        assert "user" not in await told(world)
    await site(world, provisioning_url=f"{world.url('https').upper().replace('HTTPS', 'https')}d/")
    assert (await told(world))["user"] == "desk"
    await site(world, provisioning_url="")
    await put_token(world)
    assert "user" not in await told(world)
    await world.services.phone_proofs.remove_token(ADMIN, VVX, "steady")
    await site(world, proofs="token,network")
    assert "user" not in await told(world)


async def test_where_all_of_the_listener_asks_the_address_is_as_ever(start: Start, copy: Path) -> None:
    world = await far_world(start, copy, digest=("https",))
    await site(world, proofs=_PROOFS)
    await put_digest(world, password=PASSWORD)
    found = await told(world)

    assert (found["user"], found["serverName"]) == ("desk", world.url("https"))
    # With a token the phone holds both, and either lets it in.
    token = await put_token(world)
    found = await told(world)
    assert (found["user"], found["serverName"]) == ("desk", f"{world.url('https')}t/{token}/")


async def test_what_is_shown_of_the_files_has_no_password(world: World) -> None:
    await put_digest(world, password=PASSWORD)
    services = world.services
    shown = await KnownPhones(services.store, services.templates, services.address).to_show(ADMIN, VVX, None, False, "")
    login = shown[0].login
    files = await services.annotations.annotate(ADMIN, VVX, None, False, "")
    (line,) = (line for lines in files.values() for line in lines if "device.prov.user=" in line.text)
    text = json.dumps([[line.text for line in lines] for lines in files.values()])

    assert Origin("server.user", "phone") in (*line.settings, *line.because)
    assert login and (login.user, login.password) == ("desk", "***")
    assert 'device.prov.password=\\"***\\"' in text and "a<s>s" not in text and "&lt;s&gt;" not in text


async def test_another_password_makes_the_files_outdated(world: World) -> None:
    async def revision() -> int:
        async with world.services.store.read() as session:
            return (await session.phones.get(VVX)).revision

    before = await revision()
    made = await world.services.phone_proofs.set_digest(ADMIN, VVX)
    assert await revision() == before + 1 and made.warnings == []
    again = await world.services.phone_proofs.set_digest(ADMIN, VVX)
    assert await revision() == before + 2 and "no proof any more" in again.warnings[0]
    await world.services.phone_proofs.remove_digest(ADMIN, VVX)
    assert await revision() == before + 3


async def test_tools_beside_the_server_know_where_one_logs_in(world: World) -> None:
    assert (await last_address(world.services.store)).logins == {"https": ["d/"]}


async def test_a_simulated_phone_logs_in_with_what_it_was_told(start: Start, copy: Path) -> None:
    world = await start(copy, digest=("https:/d/",))
    await site(world, proofs=_PROOFS)
    made = await world.services.phone_proofs.set_digest(ADMIN, VVX)
    # Its network lets it in once, over plain HTTP; where it is sent nothing but the login counts.
    first = await run_simulation(world.services.templates.catalog, VVX, "vvx-411", world.url("http"))
    assert first.failure == "" and first.stages[-1].folder == f"{world.url('https')}d/"
    assert first.flash.held["device.prov.password"] == made.password
    await site(world, proofs="digest")

    again = await simulated(world, first.flash)
    assert again.failure == "" and again.registrations
    assert {(await proofs(world)).digest.password} == {made.password}
    # One that was told before that of today is out, and says so.
    await world.services.phone_proofs.set_digest(ADMIN, VVX)
    assert "401" in (await simulated(world, first.flash)).failure


async def simulated(world: World, flash: Flash) -> Any:
    catalog = world.services.templates.catalog
    place = f"{world.url('https')}d/"
    return await run_simulation(catalog, VVX, "vvx-411", place, ca=world.ca, flash=flash)
