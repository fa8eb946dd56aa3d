"""What no phone sends is refused without a word of it coming back, and does not keep us busy or fill our memory."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

import pytest

from tests.conftest import VVX, World
from ztp_server.phone_http import protocol
from ztp_server.phone_http.slow_readers import GRACE, PACE, Pace

SETTINGS = f"{VVX}-settings.cfg"
GET = f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\n".encode()
HEAD = GET.replace(b"GET", b"HEAD")

REFUSED = {
    "a body of a GET": GET + b"Content-Length: 6\r\n\r\nmarker",
    "a body of a HEAD": HEAD + b"Content-Length: 6\r\n\r\nmarker",
    "a chunked GET": GET + b"Transfer-Encoding: chunked\r\n\r\n6\r\nmarker\r\n0\r\n\r\n",
    "a packed GET": GET + b"Content-Encoding: gzip\r\n\r\n",
    "a body of a DELETE": b"DELETE /marker HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nmarker",
    "a hundred headers": GET + b"".join(b"X-Marker-%d: x\r\n" % number for number in range(101)) + b"\r\n",
    "a long line": GET + b"X: " + b"marker" * 1400 + b"\r\n\r\n",
    "a long name": GET + b"marker" * 1400 + b": x\r\n\r\n",
    "a megabyte of cookies": GET + b"Cookie: " + b"marker" * 180_000 + b"\r\n\r\n",
    "long lines together": GET + b"".join(b"X-%d: " % n + b"marker" * 1000 + b"\r\n" for n in range(4)) + b"\r\n",
    "lines that never end": GET + b"".join(b"X-%d: " % n + b"marker" * 1000 + b"\r\n" for n in range(20)),
    "a long target": b"GET /" + b"marker" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def talk(world: World, words: bytes) -> bytes:
    """Everything the server says until it hangs up, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.listeners["http"].address.port)
    answer = b""
    async with asyncio.timeout(20):
        try:
            writer.write(words)
            await writer.drain()
            while part := await reader.read(65_536):
                answer += part
        except ConnectionError:
            pass  # it hung up before it had all, and the kernel may say so first
        finally:
            writer.close()
    return answer


async def test_what_no_phone_sends_is_refused_and_not_repeated(world: World) -> None:
    answers = {what: await talk(world, words) for what, words in REFUSED.items()}
    counted = world.app.metrics.registry.get_sample_value("ztp_phone_connections_shed_total", {"reason": "malformed"})

    # Of the megabyte we do not wait for the end, and who still sends may not hear the answer.
    answers["a megabyte of cookies"] = answers["a megabyte of cookies"] or b"HTTP/1.0 400 "
    assert {what: answer[8:13] for what, answer in answers.items()} == dict.fromkeys(REFUSED, b" 400 ")
    assert not [what for what, answer in answers.items() if b"marker" in answer.lower() or len(answer) > 300]
    assert counted and counted >= len(REFUSED)
    assert (await world.ask(SETTINGS)).status == 200


async def test_what_phones_send_is_not_refused(world: World) -> None:
    headers = b"".join(b"X-%d: x\r\n" % number for number in range(90))
    for words in (
        GET + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
        GET + headers + b"Connection: close\r\n\r\n",
        GET + b"X: " + b"x" * 8000 + b"\r\nConnection: close\r\n\r\n",
        # Three at once, on one connection.
        GET + b"\r\n" + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n",
    ):
        answer = await talk(world, words)
        assert answer.count(b"HTTP/1.1 200 OK") == words.count(b"GET ")


async def test_a_head_that_drips_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.listeners["http"].address.port)
    answered = asyncio.create_task(reader.read())
    writer.write(GET)
    async with asyncio.timeout(20):
        while not answered.done():
            writer.write(b"X-Drip: x\r\n")
            await asyncio.sleep(0.05)
    with suppress(ConnectionError):  # as the kernel says it when a drip was still on its way
        assert await answered == b""
    writer.close()


class _Transport(asyncio.BaseTransport):
    """Of a connection as the server has it, what the watch over slow readers asks."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})


def test_who_reads_too_slowly_is_found_out_and_who_reads_in_bursts_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        served, _ = listening.accept()
    with client, served:
        served.setblocking(False)
        pace, transport = Pace(), _Transport(served)
        assert not pace.is_too_slow(transport, 0.0), "there is nothing to read yet"
        while True:
            try:
                served.send(b"x" * 65_536)
            except BlockingIOError:
                break
        stuck = GRACE / PACE
        assert not pace.is_too_slow(transport, 1000.0), "from now on it is watched"
        assert not pace.is_too_slow(transport, 1000.0 + stuck - 1)
        assert pace.is_too_slow(transport, 1000.0 + stuck + 1)
        taken = 0
        while taken < 300_000:
            taken += len(client.recv(65_536))
        # It has caught up, and may stop reading again for a while.
        assert not pace.is_too_slow(transport, 1000.0 + stuck + 1)
        assert not pace.is_too_slow(transport, 1000.0 + 200)
        assert pace.is_too_slow(transport, 1000.0 + 10_000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_slow_reader_is_hung_up_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "is_too_slow", lambda self, transport, now: True)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.listeners["http"].address.port)
    writer.write(GET + b"\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        with suppress(ConnectionError):
            await reader.read()
    writer.close()
    assert world.app.metrics.registry.get_sample_value("ztp_phone_connections_shed_total", {"reason": "slow"}) == 1
