"""Connections that never ask for anything do not keep out those that do."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from tests.conftest import LOOPBACK
from ztp_server.domain.site import Network
from ztp_server.metrics import Metrics
from ztp_server.phone_http.bounds import Bounds
from ztp_server.phone_http.gate import Gate
from ztp_server.phone_http.listeners import PhoneListener
from ztp_server.pki.authority import ensure_server_files
from ztp_server.pki.contexts import https_context

ASK = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
HERE, THERE, ELSEWHERE = "127.0.0.1", "127.1.2.3", "127.4.5.6"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Door:
    """A listener with a gate, and clients of it."""

    listener: PhoneListener
    gate: Gate
    metrics: Metrics
    trust: ssl.SSLContext | None = None
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, address: str = HERE, *, tls: bool = False) -> Connection:
        async with asyncio.timeout(20):
            found = await asyncio.open_connection(
                "127.0.0.1", self.listener.address.port, local_addr=(address, 0), ssl=self.trust if tls else None
            )
        self.open.append(found[1])
        return found

    async def ask(self, address: str = HERE, *, tls: bool = False) -> Connection:
        """A phone that gets an answer, and stays."""
        reader, writer = await self.connect(address, tls=tls)
        writer.write(ASK)
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        return reader, writer

    async def until(self, state: str, count: int) -> None:
        """Wait until the server knows so many in this state: a client is connected before the server knows of it."""
        async with asyncio.timeout(20):
            while self.counted("ztp_phone_connections", state=state) != count:  # noqa: ASYNC110 (there is no event)
                await asyncio.sleep(0.01)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def shed(self, reason: str) -> float:
        return self.counted("ztp_phone_connections_shed_total", reason=reason)


async def yes(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


@pytest.fixture(scope="module")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    ensure_server_files(folder, [HERE])
    return folder


async def is_closed(connection: Connection) -> bool:
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            await connection[0].read()  # to the end
        return connection[0].at_eof() or connection[0].exception() is not None


@asynccontextmanager
async def opened(
    bounds: Bounds,
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = yes,
    *,
    tls: Path | None = None,
    networks: tuple[Network, ...] = (),
    proxies: tuple[Network, ...] = (),
    said_by_proxy: bool = False,
) -> AsyncIterator[Door]:
    metrics = Metrics()
    gate = Gate(bounds, metrics, proxies)
    context = https_context(ensure_server_files(tls, [HERE])) if tls else None
    listener = PhoneListener("--phone-x", LOOPBACK, handler, context, networks, gate, proxies if said_by_proxy else ())
    await listener.start()
    trust = ssl.create_default_context(cafile=str(tls / "ca.pem")) if tls else None
    door = Door(listener, gate, metrics, trust)
    try:
        yield door
    finally:
        for writer in door.open:
            writer.close()
        await listener.stop()
    await door.until("open", 0)
    await door.until("silent", 0)


def hello() -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


# ---- silence


async def test_who_says_nothing_is_hung_up_on(server_files: Path) -> None:
    for tls in (None, server_files):
        async with opened(Bounds(silent_seconds=0), tls=tls) as door:
            assert await is_closed(await door.connect())
            assert door.shed("silent") == 1


@pytest.mark.parametrize("bounds", [Bounds(waiting_of_one=3), Bounds(waiting=3)], ids=["one", "all"])
async def test_of_those_that_are_silent_the_oldest_makes_room_for_one_that_speaks(bounds: Bounds) -> None:
    async with opened(bounds) as door:
        silent = []
        for number in range(5):
            silent.append(await door.connect(HERE if bounds.waiting_of_one == 3 else f"127.9.0.{number + 1}"))
            await door.until("silent", min(number + 1, 3))
        assert await is_closed(silent[0]) and await is_closed(silent[1])
        await door.ask()
        assert await is_closed(silent[2])
        assert door.shed("crowded") == 3 and door.counted("ztp_phone_connections", state="silent") == 2
        # Those that were silent so far are served as soon as they ask.
        silent[3][1].write(ASK)
        assert (await silent[3][0].readline()).startswith(b"HTTP/1.1 200")


async def test_who_hangs_up_without_a_word_is_forgotten() -> None:
    async with opened(Bounds()) as door:
        _, writer = await door.connect()
        await door.until("silent", 1)
        writer.close()
        await door.until("silent", 0)
        assert door.gate._sources == {}


# ---- TLS


async def test_half_a_hello_is_not_begun_with_and_a_slow_one_is_served(server_files: Path) -> None:
    async with opened(Bounds(), tls=server_files) as door:
        assert door.trust
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = door.trust.wrap_bio(incoming, outgoing, server_hostname=HERE)
        reader, writer = await door.connect()

        async def said(step: Callable[[], object]) -> None:
            """Take a step of TLS, sending what it says in crumbs and reading what it waits for."""
            while True:
                try:
                    step()
                    waits = False
                except ssl.SSLWantReadError:
                    waits = True
                words = outgoing.read()
                for crumb in (words[:1], words[1:4], words[4:5], words[5:50], words[50:]):
                    writer.write(crumb)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not waits:
                    return
                incoming.write(await asyncio.wait_for(reader.read(65_536), 20))

        await said(tls.do_handshake)
        tls.write(ASK)
        answer = bytearray()
        await said(lambda: answer.extend(tls.read(65_536)))
        assert answer.startswith(b"HTTP/1.1 200")

        _, other = await door.connect(THERE)
        other.write(hello()[:100])
        await door.until("silent", 1)
        assert door.counted("ztp_phone_connections", state="handshake") == 0


async def test_handshakes_that_do_not_go_on_delay_their_own_address_alone(server_files: Path) -> None:
    async with opened(Bounds(handshakes_of_one=2), tls=server_files) as door:
        holding = [await door.connect(THERE) for _ in range(3)]
        for _, writer in holding:
            writer.write(hello())
        await door.until("handshake", 2)
        await door.until("ready", 1)
        behind = asyncio.create_task(door.ask(THERE, tls=True))
        await door.until("ready", 2)
        await door.ask(ELSEWHERE, tls=True)
        assert not behind.done()
        for _, writer in holding:
            writer.close()
        await behind


async def test_sources_that_finish_nothing_leave_places_to_the_others(server_files: Path) -> None:
    bounds = Bounds(handshakes=4, handshakes_of_doubtful=2)
    async with opened(bounds, tls=server_files) as door:
        for _ in range(4):
            (await door.connect(THERE))[1].write(hello())
        # The first is everybody's; another one while fewer than two go on at all.
        await door.until("handshake", 2)
        await door.until("ready", 2)
        for number in range(3):
            await door.ask(f"127.8.0.{number + 1}", tls=True)


async def test_a_handshake_that_takes_too_long_ends_earlier_when_others_wait(server_files: Path) -> None:
    async with opened(Bounds(handshakes=1, handshake_seconds=600, pressed_seconds=0), tls=server_files) as door:
        holding = await door.connect(THERE)
        holding[1].write(hello())
        await door.until("handshake", 1)
        await door.ask(ELSEWHERE, tls=True)
        assert door.shed("handshake") == 1
    async with opened(Bounds(handshake_seconds=0.1), tls=server_files) as door:
        holding = await door.connect(THERE)
        holding[1].write(hello())
        await door.until("handshake", 1)
        await door.until("open", 0)
        assert door.shed("handshake") == 1


async def test_one_that_waits_too_long_for_its_turn_is_hung_up_on(server_files: Path) -> None:
    async with opened(Bounds(handshakes=0, ready_seconds=0), tls=server_files) as door:
        waiting = await door.connect()
        waiting[1].write(hello())
        assert await is_closed(waiting) and door.shed("waited") == 1


async def test_when_all_that_wait_have_spoken_one_of_the_greediest_goes(server_files: Path) -> None:
    async with opened(Bounds(handshakes=0, waiting=3), tls=server_files) as door:
        greedy = [await door.connect(THERE) for _ in range(3)]
        for _, writer in greedy:
            writer.write(hello())
        await door.until("ready", 3)
        modest = await door.connect(ELSEWHERE)
        modest[1].write(hello())
        assert await is_closed(greedy[2])
        await door.until("ready", 3)
        # But it does not change places with its like.
        assert await is_closed(await door.connect(THERE))
        assert door.shed("crowded") == 2


# ---- seats


@pytest.mark.parametrize("bounds", [Bounds(seats_of_one=2), Bounds(seats=2)], ids=["one", "all"])
async def test_when_no_seat_is_free_the_one_idle_longest_goes(bounds: Bounds) -> None:
    async with opened(bounds) as door:
        first, second = await door.ask(), await door.ask()
        first[1].write(ASK)
        assert (await first[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        third = await door.ask()
        assert await is_closed(second) and door.shed("idle") == 1
        for reader, writer in (first, third):
            writer.write(ASK)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_one_at_work_keeps_its_seat_and_the_next_waits() -> None:
    working, may_end = asyncio.Event(), asyncio.Event()

    async def work(request: web.BaseRequest) -> web.StreamResponse:
        working.set()
        await may_end.wait()
        return web.Response()

    async with opened(Bounds(seats=1), work) as door:
        first = asyncio.create_task(door.ask())
        await working.wait()
        second = asyncio.create_task(door.ask(ELSEWHERE))
        await door.until("ready", 1)
        assert not first.done() and not second.done()
        may_end.set()
        await asyncio.gather(first, second)


async def test_a_proxy_may_have_as_many_connections_as_there_are() -> None:
    bounds = Bounds(waiting_of_one=1, seats_of_one=1)
    async with opened(bounds, proxies=(ipaddress.ip_network(f"{THERE}/32"),)) as door:
        for _ in range(5):
            await door.ask(THERE)
        assert door.counted("ztp_phone_connections", state="open") == 5
        for number in range(3):
            await door.connect(THERE)
            await door.until("silent", number + 1)


# ---- the listener


async def test_who_comes_from_elsewhere_is_hung_up_on_before_a_word() -> None:
    async with opened(Bounds(), networks=(ipaddress.ip_network("127.1.0.0/16"),)) as door:
        await door.ask(THERE)
        assert await is_closed(await door.connect(ELSEWHERE))
        assert door.shed("network") == 1


async def test_when_no_file_can_be_opened_the_silent_go_and_the_rest_is_accepted_later() -> None:
    class Exhausted:
        """A listening socket for which there is no file any more."""

        def __init__(self, listening: socket.socket) -> None:
            self.fileno = listening.fileno

        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    async with opened(Bounds()) as door:
        silent = await door.connect()
        await door.until("silent", 1)
        assert door.listener._socket
        door.listener._accept(Exhausted(door.listener._socket))  # type: ignore[arg-type]
        assert await is_closed(silent)
        await door.ask()


async def test_a_stop_hangs_up_on_all_that_have_not_asked_and_leaves_nothing_open(server_files: Path) -> None:
    async with opened(Bounds(handshakes=1), tls=server_files) as door:
        silent, half, waiting = [await door.connect() for _ in range(3)]
        for _, writer in (half, waiting):
            writer.write(hello())
        await door.until("handshake", 1)
        await door.until("ready", 1)
        await door.until("silent", 1)
        await door.listener.stop()
        for connection in (silent, half, waiting):
            assert await is_closed(connection)
        await door.listener.stop()  # once more does no harm
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


def test_where_few_files_may_be_open_fewer_connections_are() -> None:
    assert Bounds().within(65_536) == Bounds()
    small = Bounds().within(1024)
    assert small.waiting + small.seats < 1024 - 200
    assert Bounds().within(100).seats > 0
