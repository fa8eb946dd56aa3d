"""What each kind of TLS client gets from each listener: a table, tried with OpenSSL's own client."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from datetime import date
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.conftest import LONG, LOOPBACK, VVX, VVX_UA, World, options
from tests.phone_http.client_profiles import LISTENERS, NOT_FOUND, OWN, REFUSED, Makers, Profile, profiles
from ztp_server.app import App
from ztp_server.config import ExpiredListener, LegacyListener

HERE = (ip_network("127.0.0.1/32"),)
LEGACY = LegacyListener(LOOPBACK, HERE, date(9999, 1, 1))
EXPIRED = ExpiredListener(LOOPBACK, HERE)
AT_ONCE = 6
REQUEST = f"GET /{VVX}-settings.cfg HTTP/1.0\r\nUser-Agent: {VVX_UA}\r\n\r\n".encode()
# TLS 1.0 as the oldest stacks speak it: no extension, AES128-SHA alone (RFC 2246, section 7.4.1.2).
OLD_HELLO = bytes.fromhex("160301002d 01000029 0301" + "5a" * 32 + "00 0002 002f 0100")
HANDSHAKE = b"\x16"
SSL3_HELLO = bytes.fromhex("160300002d 01000029 0300" + "5a" * 32 + "00 0002 002f 0100")


@pytest.fixture(scope="session")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Makers:
    return Makers(tmp_path_factory.mktemp("makers") / "made", VVX)


@pytest.fixture
async def all_listeners(makers: Makers, seed: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A server with every listener, and CAs in all three folders."""
    data = tmp_path / "data"
    shutil.copytree(seed, data)
    shutil.rmtree(data / "certs")
    shutil.copytree(makers.folder / "certs", data / "certs")
    app = await App.start(options(data, legacy=LEGACY, expired=EXPIRED))

    async def restart() -> None:
        raise NotImplementedError

    yield World(app, data, restart)
    await app.stop()


def chosen() -> list[Profile]:
    """All of them, or every third, so that each column and kind of refusal is among them."""
    return profiles() if LONG else profiles()[1::3]


async def outcome(world: World, makers: Makers, profile: Profile, listener: str) -> str:
    """What one client got, in the words of the table."""
    port = world.app.listeners[listener].address.port
    client = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-CAfile", str(world.ca),
        *profile.arguments, *makers.arguments(profile.certificate),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    answer, _ = await client.communicate(REQUEST)
    status, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " in status.splitlines()[0] if status else False:
        return OWN if b"auth1001" in body else "somebody else's"
    return NOT_FOUND if status.startswith((b"HTTP/1.0 404", b"HTTP/1.1 404")) else REFUSED


async def test_every_kind_of_client_gets_what_the_table_says(all_listeners: World, makers: Makers) -> None:
    few = asyncio.Semaphore(AT_ONCE)

    async def tried(profile: Profile, listener: str) -> str:
        async with few:
            got = await outcome(all_listeners, makers, profile, listener)
        wanted = profile.expected[listener]
        return "" if got == wanted else f"{profile} on {listener}: {got}, not {wanted}"

    wrong = await asyncio.gather(*(tried(profile, listener) for profile in chosen() for listener in LISTENERS))

    assert [line for line in wrong if line] == []


def test_the_table_has_all_kinds() -> None:
    assert len(set(map(str, profiles()))) == len(profiles()) >= 40
    for few in (profiles(), chosen()):
        assert {profile.expected["legacy"] for profile in few} == {OWN, NOT_FOUND, REFUSED}
        for listener in ("https", "mtls", "expired"):
            assert {OWN, REFUSED} <= {profile.expected[listener] for profile in few}


async def test_a_hello_without_extensions_is_taken_on_the_legacy_listener_alone(all_listeners: World) -> None:
    answers = {kind: await hello(all_listeners, kind, OLD_HELLO) for kind in ("https", "mtls", "legacy", "expired")}

    # ServerHello: a handshake record of TLS 1.0. The others say nothing, or an alert.
    assert answers.pop("legacy")[:3] == bytes.fromhex("160301")
    assert not any(answer.startswith(HANDSHAKE) for answer in answers.values())


async def test_ssl_3_is_refused_on_every_listener(all_listeners: World) -> None:
    for kind in ("https", "mtls", "legacy", "expired"):
        assert not (await hello(all_listeners, kind, SSL3_HELLO)).startswith(HANDSHAKE)


async def test_a_connection_from_elsewhere_is_closed_before_anything_is_said(all_listeners: World) -> None:
    said, now = ssl.MemoryBIO(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        now.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
    today = said.read()

    for kind in ("legacy", "expired"):
        assert (await hello(all_listeners, kind, today)).startswith(HANDSHAKE)
        assert await hello(all_listeners, kind, today, source="127.0.0.2") == b""
    assert (await hello(all_listeners, "https", today, source="127.0.0.2")).startswith(HANDSHAKE)


async def hello(world: World, listener: str, sent: bytes, source: str = "127.0.0.1") -> bytes:
    """The first that a listener says to these bytes; nothing when it hangs up."""
    port = world.app.listeners[listener].address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(sent)
        return await reader.read(4096)
    except ConnectionError:
        return b""
    finally:
        writer.close()
