"""The first knock over plain HTTP, and what a phone learns by it: where to come back, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from xml.etree import ElementTree

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, VVX, VVX_UA, Response, World, sample_phone

UNKNOWN_VVX, UNKNOWN_HD400 = "0004f2999999", "00908f999999"


def told(answer: Response) -> tuple[int, bytes, Mapping[str, str]]:
    """All of an answer but its date."""
    return answer.status, answer.body, {k: v for k, v in answer.headers.items() if k != "Date"}


async def close_the_network(world: World) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})


@pytest.mark.parametrize("name", [f"{UNKNOWN_VVX}.cfg", f"{UNKNOWN_VVX}-settings.cfg", f"{UNKNOWN_VVX}-directory.xml"])
async def test_a_phone_that_asks_for_the_name_for_everybody_next_gets_404_for_its_own(world: World, name: str) -> None:
    assert (await world.ask(name)).status == 404


async def test_the_name_for_everybody_gives_a_first_phone_where_to_come_back_and_no_secret(world: World) -> None:
    answer = await world.ask("000000000000.cfg")
    parameters = {k: v for e in ElementTree.fromstring(answer.body).iter() for k, v in e.attrib.items()}

    assert answer.status == 200
    assert parameters["device.prov.serverName"] == world.url("mtls")
    assert parameters["device.sec.TLS.customCaCert1"].strip() == world.ca.read_text().strip()
    assert not any(name.startswith(("reg.", "device.auth")) for name in parameters)


@pytest.mark.parametrize("name", [f"{UNKNOWN_HD400}.cfg", f"{UNKNOWN_HD400.upper()}.cfg", "bootstrap.cfg"])
async def test_a_phone_that_asks_for_its_own_name_only_gets_the_bootstrap_file_under_it(
    world: World, name: str
) -> None:
    answer = await world.ask(name, user_agent=HD400_UA)
    lines = dict(line.split("=", 1) for line in answer.text.splitlines())

    assert answer.status == 200
    assert lines["provisioning/configuration/url"] == world.url("mtls") + "<MAC>.cfg"
    assert lines["security/ca_certificate/0/uri"] == world.url("http") + "ca.pem"
    assert not any(name.startswith(("voip/", "system/password")) for name in lines)


async def test_without_a_telling_user_agent_the_block_of_the_address_says_whose_phone_it_is(world: World) -> None:
    assert (await world.ask(f"{UNKNOWN_HD400}.cfg", user_agent="")).status == 200
    assert (await world.ask("0004f2999999.cfg", user_agent="")).status == 404
    assert (await world.ask("021111111111.cfg", user_agent="")).status == 404
    # A block that is not the maker's does not hide who asks.
    assert (await world.ask("021111111111.cfg", user_agent=HD400_UA)).status == 200


@pytest.mark.parametrize("user_agent", [VVX_UA, HD400_UA, "", "curl/8"])
async def test_a_known_phone_without_proof_is_answered_as_an_unknown_one(world: World, user_agent: str) -> None:
    await close_the_network(world)
    names = (".cfg", "-settings.cfg", "-directory.xml", "-ca.pem", "-app.log", "-nothing.cfg", "")
    for rest, listener, method in product(names, ("http", "https"), ("GET", "HEAD", "PUT")):
        body = b"x" if method == "PUT" else None
        for known, unknown in ((VVX, UNKNOWN_VVX), (HD400, UNKNOWN_HD400)):
            one, other = [
                await world.ask(f"{mac}{rest}", listener=listener, method=method, user_agent=user_agent, body=body)
                for mac in (known, unknown)
            ]
            assert told(one) == told(other), (rest, listener, method)


@pytest.mark.parametrize("listener", ["https", "mtls"])
async def test_a_configured_phone_is_not_emptied_by_the_bootstrap_file(world: World, listener: str) -> None:
    await close_the_network(world)
    device = world.device("poly", "0004f2999998") if listener == "mtls" else None
    for name in ("000000000000.cfg", "bootstrap.cfg", f"{UNKNOWN_HD400}.cfg", f"{HD400}.cfg"):
        answer = await world.ask(name, listener=listener, device=device, user_agent=HD400_UA)
        assert (answer.status, answer.body) == (404, b"")


async def test_the_ca_is_given_to_anybody(world: World) -> None:
    await close_the_network(world)

    for listener in ("http", "https"):
        assert (await world.ask("ca.pem", listener=listener)).text.strip() == world.ca.read_text().strip()


async def test_the_redirect_is_the_same_for_every_phone(world: World) -> None:
    macs = (HD400, UNKNOWN_HD400, VVX.upper(), "02:11:11:11:11:11")
    first = [await world.ask(mac, user_agent=HD400_UA) for mac in macs]
    later = [await world.ask(mac, listener="https", user_agent=HD400_UA) for mac in macs]

    assert {answer.status for answer in first + later} == {302}
    # One that may not trust us yet goes to where the bootstrap file is, one that does to where it belongs.
    assert {answer.headers["Location"] for answer in first} == {world.url("http")}
    assert {answer.headers["Location"] for answer in later} == {world.url("mtls")}
    assert (await world.ask("000000000000", user_agent=HD400_UA)).status == 404


async def test_a_phone_added_after_its_first_knock_is_configured_at_its_next_request(world: World) -> None:
    assert (await world.ask(f"{UNKNOWN_VVX}.cfg")).status == 404
    await world.services.phones.add(ADMIN, sample_phone(UNKNOWN_VVX))

    assert (await world.ask(f"{UNKNOWN_VVX}.cfg")).status == 200
    assert b'reg.1.address="1001"' in (await world.ask(f"{UNKNOWN_VVX}-settings.cfg")).body


async def test_the_other_maker_too_is_configured_once_it_is_added(world: World) -> None:
    first = await world.ask(f"{UNKNOWN_HD400}.cfg", user_agent=HD400_UA)
    known = await world.services.phones.get(ADMIN, HD400)
    await world.services.phones.add(ADMIN, replace(known, hardware_id=UNKNOWN_HD400))
    second = await world.ask(f"{UNKNOWN_HD400}.cfg", user_agent=HD400_UA)

    assert b"voip/line/0/id" not in first.body and b"voip/line/0/id=2001" in second.body


async def test_the_phone_record_decides_what_a_shared_name_means(world: World) -> None:
    """Both makers have `<mac>.cfg`: the record goes before the User-Agent, and the User-Agent before the address."""
    assert (await world.ask(f"{HD400}.cfg", user_agent=VVX_UA)).body.startswith(b"system/type=405HD")
    assert b"APP_FILE_PATH" in (await world.ask(f"{VVX}.cfg", user_agent=HD400_UA)).body


async def test_a_phone_that_proves_itself_gets_everything_from_its_steady_address(world: World) -> None:
    await close_the_network(world)
    device = world.device("audiocodes", HD400)
    url = dict(line.split("=", 1) for line in (await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)).text.splitlines())[
        "provisioning/configuration/url"
    ]

    assert url.startswith(world.url("mtls"))
    name = url.removeprefix(world.url("mtls")).replace("<MAC>", HD400.upper())
    assert b"voip/line/0/id=2001" in (await world.ask(name, listener="mtls", device=device)).body


async def test_a_ca_file_without_a_ca_is_no_file(world: World) -> None:
    """tls_ca is empty here, and nothing names this file; a phone could make nothing of an empty one."""
    assert (await world.ask(f"{HD400}-ca.pem", user_agent=HD400_UA)).status == 404
