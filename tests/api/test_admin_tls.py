"""TLS on the admin listener: when there is any, which, and with whose certificate."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from cryptography import x509

from tests.conftest import ADMIN, World, options
from tests.phone_http.conftest import eventually
from tests.services.opened import new_data
from ztp_server.api import doorway
from ztp_server.app import App
from ztp_server.cli import serve as serve_command
from ztp_server.config import Address, AdminOptions, ServeOptions
from ztp_server.domain.account import EVERYTHING
from ztp_server.errors import Misconfigured
from ztp_server.pki.issuing import SERVER, certificates_pem, issue, key_pem, new_authority, new_key

PASSWORD = "correct horse battery staple"
ANYWHERE = Address("0.0.0.0", 0)


def trusting(ca: Path, **limits: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    for name, value in limits.items():
        setattr(context, name, value)
    return context


async def ask(
    world: World, path: str, context: ssl.SSLContext, method: str = "GET", **more: Any
) -> tuple[int, Any, Any]:
    """Status, headers and JSON, over TLS on a connection of its own."""
    address = world.app.admin_address
    assert address
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    url = f"https://127.0.0.1:{address.port}{path}"
    async with aiohttp.ClientSession(connector=connector) as session, session.request(method, url, **more) as answer:
        body = await answer.read()
        return answer.status, answer.headers, json.loads(body) if body else None


def pair_of(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """A certificate of a CA elsewhere for 127.0.0.1, its key, and that CA."""
    authority = new_authority(name)
    key = new_key()
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    leaf = issue(authority, key, x509.Name.from_rfc4514_string(f"CN={name}"), SERVER, names)
    files = folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}-ca.pem"
    files[0].write_bytes(certificates_pem(leaf))
    files[1].touch(0o600)
    files[1].write_bytes(key_pem(key))
    files[2].write_bytes(certificates_pem(authority.certificate))
    return files


async def test_a_listener_that_leaves_this_machine_speaks_tls_with_the_servers_own_certificate(
    start: Callable[..., Awaitable[World]],
) -> None:
    world = await start(admin=ANYWHERE, admin_door=AdminOptions(names=("ops.example.net",)))
    await world.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    assert world.app.admin_url.startswith("https://127.0.0.1:")

    context = trusting(world.ca)
    status, headers, _ = await ask(world, "/healthz", context, headers={"Host": "ops.example.net"})
    assert status == 200 and headers["Strict-Transport-Security"] == "max-age=31536000"
    # Other programs of this machine speak plain HTTP as localhost.
    _, headers, _ = await ask(world, "/healthz", context, headers={"Host": "localhost"})
    assert "Strict-Transport-Security" not in headers
    assert (await ask(world, "/healthz", context, headers={"Host": "evil.example"}))[0] == 421

    # A browser logs in, and changes something.
    origin = {"Host": "ops.example.net:8000", "Origin": "https://ops.example.net:8000"}
    login = {"account": "ana", "password": PASSWORD}
    status, headers, shown = await ask(world, "/api/v1/session", context, "POST", json=login, headers=origin)
    assert status == 201
    cookie = {"Cookie": f"__Host-ztp={SimpleCookie(headers['Set-Cookie'])['__Host-ztp'].value}", **origin}
    site = {"id": "lisbon", "name": "Lisbon"}
    assert (await ask(world, "/api/v1/sites", context, "POST", json=site, headers=cookie))[0] == 403
    cookie["X-CSRF-Token"] = shown["csrf_token"]
    plain = {**cookie, "Origin": "http://ops.example.net:8000"}
    assert (await ask(world, "/api/v1/sites", context, "POST", json=site, headers=plain))[0] == 403
    assert (await ask(world, "/api/v1/sites", context, "POST", json=site, headers=cookie))[0] == 201

    # Plain HTTP is not answered, nor is TLS of yesterday.
    address = world.app.admin_address
    assert address
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{address.port}/healthz"):
            pass
    with pytest.warns(DeprecationWarning):
        old = trusting(world.ca, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await ask(world, "/healthz", old)


async def test_a_certificate_is_taken_into_service_without_a_restart_and_a_wrong_one_never(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    first, second = pair_of(tmp_path, "first"), pair_of(tmp_path, "second")
    for source, target in zip(first, ("admin.pem", "admin.key"), strict=False):
        shutil.copy2(source, tmp_path / target)
    door = AdminOptions("on", certificate=tmp_path / "admin.pem", key=tmp_path / "admin.key")
    world = await start(admin_door=door)
    admin = world.app._admin
    assert admin and (await ask(world, "/healthz", trusting(first[2])))[0] == 200

    # Half of a pair: the one before stays in service.
    shutil.copy2(second[0], tmp_path / "admin.pem")
    with pytest.raises(Misconfigured, match="do not belong together"):
        await admin.refresh()
    assert (await ask(world, "/healthz", trusting(first[2])))[0] == 200

    connector = aiohttp.TCPConnector(ssl=trusting(first[2]))
    async with aiohttp.ClientSession(connector=connector, base_url=world.app.admin_url) as open_already:
        async with open_already.get("/healthz") as answer:
            assert answer.status == 200
        shutil.copy2(second[1], tmp_path / "admin.key")
        await asyncio.gather(*(admin.refresh() for _ in range(3)))
        assert (await ask(world, "/healthz", trusting(second[2])))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await ask(world, "/healthz", trusting(first[2]))
        async with open_already.get("/healthz") as answer:
            assert answer.status == 200


async def test_who_holds_connections_open_gets_so_many_and_hinders_nobody_elsewhere(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "MOST_OF_ONE", 3)
    monkeypatch.setattr(doorway, "MOST", 5)
    world = await start(admin=ANYWHERE)
    address, context = world.app.admin_address, trusting(world.ca)
    assert address

    async def silent(source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", address.port, local_addr=(source, 0))

    async def is_served(source: str) -> bool:
        connector = aiohttp.TCPConnector(ssl=context, force_close=True, local_addr=(source, 0))
        url = f"https://127.0.0.1:{address.port}/healthz"
        try:
            async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    held = [await silent("127.0.0.1") for _ in range(4)]
    assert await held[3][0].read() == b""
    assert await is_served("127.0.0.2") and not await is_served("127.0.0.1")
    held += [await silent(f"127.0.0.{number}") for number in (2, 3, 4)]
    assert await held[6][0].read() == b""

    # One that leaves makes room.
    for _, writer in held:
        writer.close()
    await eventually(lambda: is_served("127.0.0.1"))


def given(admin: str, **door: Any) -> ServeOptions:
    return options(Path("nowhere"), admin=Address.parse("--admin", admin), admin_door=AdminOptions(**door))


@pytest.mark.parametrize(
    ("admin", "door", "tls"),
    [
        ("127.0.0.1:8000", {}, False),
        ("localhost:8000", {}, False),
        ("[::1]:8000", {}, False),
        ("127.9.9.9:8000", {"tls": "off"}, False),
        ("127.0.0.1:8000", {"tls": "on"}, True),
        ("0.0.0.0:8000", {}, True),
        ("[::]:8000", {}, True),
        ("192.0.2.7:8000", {}, True),
        ("ops.example.net:8000", {}, True),
        ("0.0.0.0:8000", {"insecure": True}, False),
        ("0.0.0.0:8000", {"insecure": True, "tls": "off"}, False),
        ("0.0.0.0:8000", {"insecure": True, "tls": "on"}, True),
        ("off", {"tls": "on"}, False),
        ("off", {"tls": "off"}, False),
    ],
)
def test_tls_is_on_where_the_listener_leaves_this_machine(admin: str, door: dict[str, Any], tls: bool) -> None:
    assert given(admin, **door).admin_uses_tls is tls


@pytest.mark.parametrize("admin", ["0.0.0.0:8000", "[::]:8000", "192.0.2.7:8000", "ops.example.net:8000"])
def test_passwords_in_the_clear_are_refused_at_the_start(admin: str) -> None:
    with pytest.raises(Misconfigured, match="--admin-tls off"):
        given(admin, tls="off")


def test_the_command_says_which_option_is_wrong(tmp_path: Path) -> None:
    started: list[ServeOptions] = []

    async def run(given: ServeOptions, _say: object) -> None:
        started.append(given)

    def said(*words: str) -> str:
        call = ["--data", str(tmp_path), "--public-name", "ztp.example.net", *words]
        return CliRunner().invoke(serve_command.serve, call, obj=run).stderr

    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    assert "--admin-tls off" in said("--admin", "0.0.0.0:0", "--admin-tls", "off")
    assert "--admin-key" in said("--admin-certificate", "a.pem")
    assert "--oidc-client-id" in said("--oidc-issuer", "https://idp.example.net")
    assert "--oidc-issuer" in said("--oidc-auto-role", "viewer")
    assert "--oidc-client-secret-file" in said("--oidc-client-secret-file", str(tmp_path / "none"))
    assert started == []

    oidc = ("--oidc-issuer", "https://idp.example.net", "--oidc-client-id", "ztp", "--oidc-client-secret-file")
    said("--admin-names", "ops.example.net, 192.0.2.7", *oidc, str(secret))
    (found,) = started
    assert found.admin_door.names == ("ops.example.net", "192.0.2.7") and found.admin_door.tls == "auto"
    assert found.admin_door.oidc.client_secret == "s3cret" and "s3cret" not in repr(found)


async def test_a_certificate_that_cannot_be_used_stops_the_start_and_leaves_nothing_running(tmp_path: Path) -> None:
    files = pair_of(tmp_path, "first")
    files[1].chmod(0o644)
    data = new_data(tmp_path / "data")
    for certificate, reason in ((files[0], "other users"), (tmp_path / "none.pem", "missing")):
        door = AdminOptions("on", certificate=certificate, key=files[1])
        with pytest.raises(Misconfigured, match=reason):
            await App.start(options(data, admin_door=door))
    world = await App.start(options(data))
    await world.stop()
