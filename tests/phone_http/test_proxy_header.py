"""A proxy that passes a connection through says whose it is, and nobody else can."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import ADMIN, LOOPBACK, VVX, VVX_UA, World, start_filled
from tests.phone_http.test_gate import ASK, hello, is_closed, opened
from ztp_server.cli.listener_options import read_listeners
from ztp_server.config import DataOptions, ServeOptions
from ztp_server.errors import Misconfigured
from ztp_server.phone_http.bounds import Bounds
from ztp_server.phone_http.proxy_header import ProxyHeader

PROXY, DIRECT = "127.0.0.1", "127.9.9.9"
PROXIES = (ip_network(f"{PROXY}/32"),)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SETTINGS = f"{VVX}-settings.cfg"
GET = f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\nUser-Agent: {VVX_UA}\r\nConnection: close\r\n\r\n".encode()


def v1(client: str) -> bytes:
    kind = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {kind} {client} {'::1' if ':' in client else '127.0.0.1'} 51234 8444\r\n".encode()


def v2(client: str, *, command: int = 0x21, family: int | None = None, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(client)
    family = family if family is not None else (0x11 if address.version == 4 else 0x21)
    rest = address.packed * 2 + struct.pack(">HH", 51234, 8444) + more
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2) + rest


HEADERS = {
    v1("192.0.2.7"): "192.0.2.7",
    v1("2001:db8::7"): "2001:db8::7",
    v1("2001:0db8:0:0::0007"): "2001:db8::7",
    b"PROXY UNKNOWN\r\n": "",
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": "",
    v2("192.0.2.7"): "192.0.2.7",
    v2("2001:db8::7"): "2001:db8::7",
    # With what HAProxy adds of TLS, and a checksum.
    v2("192.0.2.7", more=b"\x20\x00\x0f" + bytes(15) + b"\x03\x00\x04abcd"): "192.0.2.7",
    # The proxy asks for itself whether we live; a socket of a file system; UDP.
    v2("192.0.2.7", command=0x20): "",
    v2("192.0.2.7", family=0x31): "",
    v2("192.0.2.7", family=0x12): "",
    SIGNATURE + b"\x21\x00\x00\x00": "",
}
NO_HEADERS = [
    ASK,
    hello(),
    b"PROXX TCP4 192.0.2.7",
    b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n",
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.07 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 a' OR 1=1 1 2\r\n",
    b"PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    b"PROXY \r\n",
    v2("192.0.2.7", command=0x11),
    v2("192.0.2.7", command=0x22),
    v2("192.0.2.7", family=0x21),
    SIGNATURE + b"\x21\x11\xff\xff" + bytes(100),
    SIGNATURE + b"\x21\x11\x00\x04\xc0\x00\x02\x07",
    b"\r\n\r\nGET / HTTP/1.1\r\n",
]


def read(pieces: list[bytes]) -> tuple[str | None, bytes]:
    """What a header says that comes in these pieces, and what is left in the socket."""
    near, far = socket.socketpair()
    with closing(near), closing(far):
        near.setblocking(False)
        header, client = ProxyHeader(), None
        for piece in pieces:
            far.sendall(piece)
            client = client if client is not None else header.take(near)
        far.shutdown(socket.SHUT_WR)
        left = b""
        with suppress(BlockingIOError):
            while part := near.recv(65536):
                left += part
        return client, left


@pytest.mark.parametrize(("header", "client"), HEADERS.items(), ids=range(len(HEADERS)))
def test_a_header_is_taken_and_not_a_byte_more_however_it_comes(header: bytes, client: str) -> None:
    after = b"\x16\x03\x01" + header  # What looks like another header is the phone's.
    assert read([header + after]) == (client, after)
    assert read([header, after]) == (client, after)
    assert read([*(bytes([byte]) for byte in header + after)]) == (client, after)
    for cut in (1, 5, 6, 7, 11, 12, 13, 15, 16, 17, len(header) - 1):
        assert read([header[:cut], header[cut:] + after]) == (client, after)
        assert read([header[:cut]])[0] is None or cut >= len(header)


@pytest.mark.parametrize("said", NO_HEADERS, ids=range(len(NO_HEADERS)))
def test_what_is_no_header_is_refused(said: bytes) -> None:
    for pieces in ([said], [bytes([byte]) for byte in said]):
        with pytest.raises(ValueError, match=r"\S"):
            read(pieces)


@given(st.one_of(st.binary(), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)))
@example(b"PROXY TCP4 \xff\xff\r\n")
def test_nothing_that_is_said_does_more_harm(said: bytes) -> None:
    try:
        client, _ = read([said])
    except ValueError:
        return
    assert not client or ipaddress.ip_address(client)


# ---- at a listener


async def test_one_clients_silence_is_its_own_and_not_the_proxys() -> None:
    async with opened(Bounds(waiting_of_one=2), proxies=PROXIES, said_by_proxy=True) as door:
        connections = []
        for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            connections.append(await door.connect(PROXY))
            connections[-1][1].write(v1(client))
        await door.until("silent", 3)
        late = await door.connect(PROXY)
        late[1].write(v2("192.0.2.1"))
        assert await is_closed(connections[0]), "the oldest of the same client makes room"
        assert door.shed("crowded") == 1
        late[1].write(ASK)
        assert (await late[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_proxy_that_says_nothing_of_whom_is_hung_up_on() -> None:
    async with opened(Bounds(), proxies=PROXIES, said_by_proxy=True) as door:
        for number, said in enumerate((ASK, hello(), b"PROXY TCP4 x y 1 2\r\n" + ASK), 1):
            connection = await door.connect(PROXY)
            connection[1].write(said)
            assert await is_closed(connection)
            assert door.shed("no_header") == number
    async with opened(Bounds(silent_seconds=0), proxies=PROXIES, said_by_proxy=True) as door:
        connection = await door.connect(PROXY)
        connection[1].write(v1("192.0.2.1")[:20])
        assert await is_closed(connection) and door.shed("silent") == 1


async def test_the_networks_of_a_listener_are_those_of_the_client() -> None:
    networks = (ip_network("192.0.2.0/24"),)
    async with opened(Bounds(), networks=networks, proxies=PROXIES, said_by_proxy=True) as door:
        good = await door.connect(PROXY)
        good[1].write(v1("192.0.2.1") + ASK)
        assert (await good[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for said in (v1("198.51.100.1"), b"PROXY UNKNOWN\r\n"):
            elsewhere = await door.connect(PROXY)
            elsewhere[1].write(said + ASK)
            assert await is_closed(elsewhere)
        assert door.shed("network") == 2


# ---- in the server


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]]) -> World:
    world = await start_filled(start, trusted_proxies=PROXIES, proxy_protocol=("http", "https", "mtls"))
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "192.0.2.0/24", "proofs": "network"})
    return world


async def status(world: World, said: bytes, *, source: str = PROXY, more: bytes = b"") -> int:
    """Of a request over plain HTTP; 0 when it was hung up on."""
    port = world.app.listeners["http"].address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    request = GET.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n") if more else GET
    with suppress(ConnectionError):
        writer.write(said + request)
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]) if answer else 0
    writer.close()
    return 0


async def test_the_address_of_the_client_proves_its_phone(world: World) -> None:
    for header in (v1, v2):
        assert await status(world, header("192.0.2.7")) == 200
        assert await status(world, header("198.51.100.7")) == 404
    # For itself a proxy asks for no phone, whatever site it stands in.
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "127.0.0.0/8,192.0.2.0/24"})
    assert await status(world, v2("192.0.2.7", command=0x20)) == 404
    assert await status(world, b"") == 0
    # Who is no proxy is served as ever, and is not believed about others.
    assert await status(world, b"", source=DIRECT) == 200
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "192.0.2.0/24"})
    assert await status(world, b"", source=DIRECT) == 404
    assert await status(world, v1("192.0.2.7"), source=DIRECT) == 400
    # Nor is what the client itself says of others.
    forwarded = b"X-Forwarded-For: 192.0.2.7\r\n"
    assert await status(world, v1("198.51.100.7"), more=forwarded) == 404
    for said in (b"PROXY UNKNOWN\r\n", v2("192.0.2.7", command=0x20), v2("192.0.2.7", family=0x31)):
        assert await status(world, said, more=forwarded) == 404, "the proxy does not say whose words these are"


async def test_tls_is_spoken_with_the_phone_itself(world: World) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})
    context = world.tls(world.device("poly", VVX))
    for header in (v1("198.51.100.7"), v2("2001:db8::7")):
        answer = await asyncio.to_thread(over_tls, world.app.listeners["mtls"].address.port, header, context)
        assert answer.startswith(b"HTTP/1.1 200")
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        assert "2001:db8::7" in {row.address for row in await session.check_ins.of_phone(VVX)}


def over_tls(port: int, header: bytes, context: ssl.SSLContext) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(header)
        with context.wrap_socket(sock, server_hostname="127.0.0.1") as tls:
            tls.sendall(GET)
            return tls.recv(65536)


def test_who_may_say_it_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"--proxy-protocol: --trusted-proxies must say"):
        ServeOptions(DataOptions(tmp_path), LOOPBACK, None, None, None, proxy_protocol=("http",))
    off = dict.fromkeys(("phone_legacy", "phone_expired", "phone_proxied"), "off")
    none = dict.fromkeys(("legacy_networks", "legacy_until", "expired_networks", "digest", "basic"), "")
    none |= dict.fromkeys(("proxy_certificates", "proxy_probe"), "")
    with pytest.raises(Misconfigured, match=re.escape("--proxy-protocol: 'proxied' is none of http")):
        read_listeners(**off, **none, proxy_protocol="mtls, proxied")
