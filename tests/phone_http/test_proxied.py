"""A proxy that speaks TLS with phones and hands on their certificates."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.conftest import ADMIN, OTHER_VVX, VVX, VVX_UA, World, options
from tests.phone_http.proxies import HEADER, PHONE, Manner, Proxy, RealProxy, free_address
from ztp_server.app import App
from ztp_server.config import ProxiedListener
from ztp_server.errors import ForgeableProxy

HERE = (ip_network("127.0.0.1/32"),)
SETTINGS, OF_ANOTHER = f"{VVX}-settings.cfg", f"{OTHER_VVX}-settings.cfg"
UA = {"User-Agent": VVX_UA}


class Behind:
    """Starts servers behind a proxy on the common data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.address = free_address()
        self.worlds: list[World] = []

    async def start(self, url: str, **changes: Any) -> World:
        listener = ProxiedListener(self.address, HEADER, url)
        app = await App.start(options(self.data, proxied=listener, trusted_proxies=HERE, **changes))

        async def restart() -> None:
            raise NotImplementedError

        self.worlds.append(World(app, self.data, restart))
        return self.worlds[-1]


@pytest.fixture
async def behind(seed: Path, tmp_path: Path) -> AsyncIterator[Behind]:
    shutil.copytree(seed, tmp_path / "data")
    found = Behind(tmp_path / "data")
    yield found
    for world in found.worlds:
        await world.app.stop()


def escaped(device: tuple[Path, Path]) -> str:
    """The certificate as nginx writes it into a header."""
    return quote(device[0].read_text(), safe="")


async def reported(world: World, action: str) -> list[str]:
    await world.app.check_ins.flush()
    events, _ = await world.services.events.page(ADMIN, action=action)
    return [event.subject for _, event in events]


async def test_a_certificate_that_the_proxy_hands_on_proves_its_phone_and_no_other(
    behind: Behind, tmp_path: Path
) -> None:
    proxy = Proxy(behind.address)
    async with proxy.running(tmp_path / "proxy"):
        # It is tried while it starts, so its header counts at once.
        world = await behind.start(proxy.url)
        await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})
        proxy.shown = [escaped(world.device("poly", VVX))]
        assert await proxy.ask(SETTINGS, UA) == 200
        assert await proxy.ask(OF_ANOTHER, UA) == 404
        # What a phone says of itself is replaced.
        assert await proxy.ask(OF_ANOTHER, {**UA, HEADER: escaped(world.device("poly", OTHER_VVX))}) == 404
        # Denied, it is believed no more from the next request on.
        certificate = x509.load_pem_x509_certificate(world.device("poly", VVX)[0].read_bytes())
        denied = certificate.fingerprint(hashes.SHA256()).hex()
        await world.services.denied_certificates.deny(ADMIN, denied, "stolen")
        assert await proxy.ask(SETTINGS, UA) == 404
        await world.services.denied_certificates.allow(ADMIN, denied)
        assert await proxy.ask(SETTINGS, UA) == 200
        proxy.shown = []
        assert await proxy.ask(SETTINGS, UA) == 404


async def test_a_certificate_that_is_nobodys_counts_as_none(behind: Behind, tmp_path: Path) -> None:
    proxy = Proxy(behind.address)
    async with proxy.running(tmp_path / "proxy"):
        world = await behind.start(proxy.url)
        good = escaped(world.device("poly", VVX))
        for shown in (["nonsense"], [good, good]):
            proxy.shown = shown
            await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})
            assert await proxy.ask(SETTINGS, UA) == 404
            await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "network", "networks": "127.0.0.0/8"})
            assert await proxy.ask(SETTINGS, UA) == 200
        assert await reported(world, "proxy.certificate_refused")


@pytest.mark.parametrize("manner", ["passes on", "appends", "passes addresses on"])
async def test_a_proxy_that_lets_a_forged_header_through_ends_the_start(
    behind: Behind, tmp_path: Path, manner: Manner
) -> None:
    proxy = Proxy(behind.address, manner)
    async with proxy.running(tmp_path / "proxy"):
        with pytest.raises(ForgeableProxy, match="came through the proxy"):
            await behind.start(proxy.url)
        # Nothing is left running: the listener can be had again.
        proxy.manner = "replaces"
        await behind.start(proxy.url)


async def test_until_the_proxy_was_reached_its_certificates_count_for_nothing(behind: Behind, tmp_path: Path) -> None:
    proxy = Proxy(behind.address)
    world = await behind.start(proxy.url)
    await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})
    proxy.shown = [escaped(world.device("poly", VVX))]
    probe = world.app.doors.probe
    assert probe
    async with proxy.running(tmp_path / "proxy"):
        assert await proxy.ask(SETTINGS, UA) == 404
        assert await probe.ask() == ""
        assert await proxy.ask(SETTINGS, UA) == 200
        # Set up anew and wrongly, it is believed no more.
        proxy.manner = "passes on"
        with pytest.raises(ForgeableProxy):
            await probe.ask()
        proxy.manner = "replaces"
        assert await proxy.ask(SETTINGS, UA) == 404
    assert "cannot be reached" in await probe.ask()


async def test_the_header_from_anybody_else_is_refused_and_reported(behind: Behind, tmp_path: Path) -> None:
    world = await behind.start("https://127.0.0.1:9/")
    device, phone = world.device("poly", VVX), {"X-Forwarded-For": PHONE[0]}
    forged = {**phone, HEADER: escaped(device)}

    for listener in ("http", "https", "mtls"):
        shown = device if listener == "mtls" else None
        assert (await world.ask(SETTINGS, listener=listener, device=shown, headers=phone)).status == 200
        assert (await world.ask(SETTINGS, listener=listener, device=shown, headers=forged)).status == 404
    assert (await world.ask("000000000000.cfg", headers=phone)).status == 200
    assert (await world.ask("000000000000.cfg", headers=forged)).status == 404
    assert await reported(world, "proxy.header_forged")


async def test_who_is_no_proxy_is_hung_up_on(behind: Behind) -> None:
    await behind.start("https://127.0.0.1:9/")
    reader, writer = await asyncio.open_connection("127.0.0.1", behind.address.port, local_addr=("127.0.0.2", 0))
    writer.write(f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    try:
        assert await reader.read() == b""
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_real_proxies_with_the_files_of_deploy(behind: Behind, tmp_path: Path, name: str) -> None:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    http, mtls = free_address(), free_address()
    proxy = RealProxy(name, tmp_path / name, {"http": http, "proxied": behind.address, "mtls": mtls})
    async with proxy.running():
        world = await behind.start(proxy.url, phone_mtls=mtls, proxy_protocol=("mtls",))
        await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})
        device = world.device("poly", VVX)
        assert await proxy.ask(proxy.url + SETTINGS, device) == 200
        assert await proxy.ask(proxy.url + OF_ANOTHER, device) == 404
        assert await proxy.ask(proxy.url + SETTINGS) == 404
        if proxy.passes_through:
            assert await proxy.ask(f"https://{proxy.through}/{SETTINGS}", device) == 200
            await world.app.check_ins.flush()
            async with world.services.store.read() as session:
                runs = await session.check_in_log.page(VVX, limit=10)
            assert ("mtls", PHONE[0], 200) in [(run.listener, run.address, run.status) for run in runs]
        await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "network", "networks": "127.0.0.0/8"})
        assert await proxy.ask(proxy.url + SETTINGS) == 200


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
@pytest.mark.parametrize("forgets", [f"header {HEADER} ", "header X-Forwarded-For "])
async def test_a_real_proxy_that_forgets_a_header_is_found_out(
    behind: Behind, tmp_path: Path, name: str, forgets: str
) -> None:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    addresses = {"http": free_address(), "proxied": behind.address, "mtls": free_address()}
    async with RealProxy(name, tmp_path / name, addresses).running(forgets=forgets) as proxy:
        with pytest.raises(ForgeableProxy):
            await behind.start(proxy.url)
