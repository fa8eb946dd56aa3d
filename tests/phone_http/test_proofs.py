"""Who gets a phone's own files, and by what proof."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, World, start_filled
from tests.phone_http.conftest import Start
from ztp_server.pki.authority import make_device_authority, make_device_certificate

SETTINGS = f"{VVX}-settings.cfg"
OUTSIDE = "203.0.113.9"
PROXY = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/24"))


async def site(world: World, **fields: str) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, fields)


def forwarded(*hops: str) -> Mapping[str, str]:
    return {"X-Forwarded-For": ", ".join(hops)}


# ---- the network of the site


@pytest.mark.parametrize("listener", ["http", "https"])
async def test_a_phone_in_the_network_of_its_site_gets_its_file(world: World, listener: str) -> None:
    assert (await world.ask(SETTINGS, listener=listener)).status == 200


@pytest.mark.parametrize("listener", ["http", "https"])
async def test_an_address_outside_the_network_of_the_site_proves_nothing(world: World, listener: str) -> None:
    await site(world, networks="10.0.0.0/8")

    assert (await world.ask(SETTINGS, listener=listener)).status == 404


async def test_the_network_of_another_site_proves_nothing(world: World) -> None:
    await world.services.sites.add(ADMIN, "paris", "Paris", {"networks": "127.0.0.0/8"})
    await site(world, networks="10.0.0.0/8")

    assert (await world.ask(SETTINGS)).status == 404


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
async def test_a_request_through_a_proxy_that_is_not_ours_has_no_address(world: World, name: str) -> None:
    value = "for=127.0.0.1" if name == "Forwarded" else "127.0.0.1"

    assert (await world.ask(SETTINGS, headers={name: value})).status == 404


# ---- a proxy of ours


@pytest.fixture
async def behind_proxy(start: Start, copy: Path) -> World:
    """A server that believes the addresses 127.0.0.0/8 and 10.0.0.0/24 as proxies, with phones in 192.168.0.0/16."""
    world = await start(copy, trusted_proxies=PROXY)
    await site(world, networks="192.168.0.0/16")
    return world


async def test_a_proxy_of_ours_tells_the_address_of_the_phone(behind_proxy: World) -> None:
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded("192.168.1.5"))).status == 200
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded(OUTSIDE))).status == 404


async def test_only_the_last_address_that_is_no_proxy_of_ours_counts(behind_proxy: World) -> None:
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded(OUTSIDE, "192.168.1.5", "10.0.0.7"))).status == 200
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded("192.168.1.5", OUTSIDE, "10.0.0.7"))).status == 404
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded("192.168.1.5", OUTSIDE))).status == 404


@pytest.mark.parametrize(
    "hops",
    ["", ",", "unknown", "192.168.1.5, unknown", "192.168.1.5:4711", "192.168.1.5, _hidden", "10.0.0.7", "192.168.1"],
)
async def test_a_header_that_tells_no_address_proves_nothing(behind_proxy: World, hops: str) -> None:
    assert (await behind_proxy.ask(SETTINGS, headers={"X-Forwarded-For": hops})).status == 404


async def test_several_headers_are_read_as_one_list(behind_proxy: World) -> None:
    lines = b"X-Forwarded-For: 192.168.1.5\r\nX-Forwarded-For: " + OUTSIDE.encode() + b"\r\n"
    request = f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\n".encode() + lines + b"Connection: close\r\n\r\n"

    assert (await behind_proxy.raw(request)).startswith(b"HTTP/1.1 404")


async def test_an_ipv4_address_in_ipv6_clothes_counts_as_ipv4(behind_proxy: World) -> None:
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded("::ffff:192.168.1.5"))).status == 200

    # That of a proxy, as a proxy before it tells that takes both: it is no phone's, though it lies in the site.
    await site(behind_proxy, networks="10.0.0.0/8,192.168.0.0/16")
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded(OUTSIDE, "::ffff:10.0.0.7"))).status == 404
    assert (await behind_proxy.ask(SETTINGS, headers=forwarded("192.168.1.5", "::ffff:10.0.0.7"))).status == 200


async def test_headers_that_contradict_one_another_prove_nothing(behind_proxy: World) -> None:
    both = {**forwarded("192.168.1.5"), "Forwarded": "for=203.0.113.9"}

    assert (await behind_proxy.ask(SETTINGS, headers=both)).status == 404


async def test_a_proxy_that_names_nobody_stands_for_itself_alone(behind_proxy: World) -> None:
    assert (await behind_proxy.ask(SETTINGS)).status == 404


# ---- the factory certificate


async def test_a_factory_certificate_gives_a_phone_its_own_file(world: World) -> None:
    await site(world, networks="10.0.0.0/8")
    vvx = await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))
    hd400 = await world.ask(f"{HD400}.cfg", listener="mtls", device=world.device("audiocodes", HD400))

    assert vvx.status == hd400.status == 200


async def test_a_factory_certificate_does_not_give_the_file_of_another_phone(world: World) -> None:
    own = world.device("poly", VVX)

    assert (await world.ask(f"{OTHER_VVX}-settings.cfg", listener="mtls", device=own)).status == 404
    assert (await world.ask(f"{HD400}.cfg", listener="mtls", device=own)).status == 404


async def test_on_the_listener_with_certificates_the_network_proves_nothing(world: World) -> None:
    # The connection comes from inside the network of the site, and shows the certificate of a phone we do not know.
    stranger = world.device("poly", "0004f2999999")

    assert (await world.ask(SETTINGS, listener="mtls", device=stranger)).status == 404


async def test_a_connection_without_a_certificate_fails_in_the_handshake(world: World) -> None:
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await world.ask(SETTINGS, listener="mtls")


async def test_a_certificate_of_an_unknown_ca_fails_in_the_handshake(world: World, tmp_path: Path) -> None:
    authority = make_device_authority(tmp_path / "elsewhere", "unknown")
    forged = make_device_certificate(*authority, tmp_path / "elsewhere", "forged", {"CN": VVX.upper()})

    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await world.ask(SETTINGS, listener="mtls", device=forged)


async def test_a_certificate_of_the_other_maker_with_the_same_mac_is_refused(world: World) -> None:
    for subject in (VVX.upper(), f"Client_{VVX.upper()}"):
        device = make_device_certificate(
            *make_device_authority(world.data / "certs" / "audiocodes", "test-audiocodes"),
            *(world.data / "devices", f"other-{subject}", {"CN": subject}),
        )
        assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 404


@pytest.mark.parametrize(
    "subject", [f"{VVX.upper()} ", f"x{VVX.upper()}", f"Client_{VVX.upper()}", "0004F2-AABBCC", "*"]
)
async def test_a_subject_that_is_not_exactly_a_mac_of_the_maker_is_refused(world: World, subject: str) -> None:
    device = world.device("poly", VVX[:-1] + "e", subject)

    assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 404


async def test_a_client_certificate_means_nothing_on_the_other_https_listener(world: World) -> None:
    await site(world, networks="10.0.0.0/8")

    assert (await world.ask(SETTINGS, listener="https", device=world.device("poly", VVX))).status == 404


# ---- which proofs count at a site


async def test_where_only_certificates_count_the_network_proves_nothing(world: World) -> None:
    await site(world, proofs="certificate")

    for listener in ("http", "https"):
        assert (await world.ask(SETTINGS, listener=listener)).status == 404
    assert (await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 200


async def test_where_only_the_network_counts_a_certificate_proves_nothing(world: World) -> None:
    await site(world, proofs="network")

    assert (await world.ask(SETTINGS)).status == 200
    assert (await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 404


async def test_a_phone_is_sent_to_a_listener_where_a_proof_of_its_site_counts(world: World) -> None:
    """Otherwise its first whole configuration would be its last."""
    await site(world, proofs="network")
    document = ElementTree.fromstring((await world.ask(SETTINGS)).body)
    [steady] = [e.attrib["device.prov.serverName"] for e in document.iter() if "device.prov.serverName" in e.attrib]
    listener = next(kind for kind in ("mtls", "https", "http") if steady == world.url(kind))
    device = world.device("poly", VVX) if listener == "mtls" else None

    assert (await world.ask(SETTINGS, listener=listener, device=device)).status == 200


async def test_without_plain_secrets_http_gives_nothing_but_the_bootstrap_file(world: World) -> None:
    await site(world, plain_secrets="off")
    hd400 = await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)

    for name in (f"{VVX}.cfg", SETTINGS, f"{VVX}-directory.xml", f"{VVX}-boot.log", f"{HD400}-ca.pem"):
        assert (await world.ask(name)).status == 404
    assert (await world.ask(f"{VVX}-boot.log", method="PUT", body=b"x")).status == 404
    assert (await world.ask("000000000000.cfg")).status == 200
    assert hd400.status == 200 and b"password" not in hd400.body and b"voip/line" not in hd400.body


async def test_without_plain_secrets_https_gives_whole_files(world: World) -> None:
    await site(world, plain_secrets="off")

    assert (await world.ask(SETTINGS, listener="https")).status == 200
    assert (await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 200


# ---- demonstration


async def test_a_demonstration_phone_is_believed_in_a_demonstration_only(start: Start, tmp_path: Path) -> None:
    world = await start(tmp_path / "demo", demo=True)
    device = tuple(world.data / "demo" / "devices" / f"{VVX}.{kind}" for kind in ("pem", "key"))
    during = await world.ask(SETTINGS, listener="mtls", device=device)
    await world.app.stop()
    after = await start(world.data)

    assert during.status == 200
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await after.ask(SETTINGS, listener="mtls", device=device)


async def test_a_demonstration_trusts_this_machine_alone(start: Start, tmp_path: Path) -> None:
    world = await start(tmp_path / "demo", demo=True)
    [demo] = await world.services.sites.all(ADMIN)

    assert set(demo.networks) == {"127.0.0.0/8", "::1/128"}


async def test_a_proxy_that_does_not_say_for_whom_it_asks_proves_no_phone(
    start: Start,
) -> None:
    world = await start_filled(start, trusted_proxies=(ipaddress.ip_network("127.0.0.1/32"),))

    assert (await world.ask(f"{VVX}.cfg")).status == 404
    assert (await world.ask(f"{VVX}.cfg", headers={"X-Forwarded-For": "127.0.0.2"})).status == 200
