"""The other side, scripted: real sockets on loopback, and a clock that moves when the test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

_T = TypeVar("_T")
PATIENCE = 20.0


@dataclass(order=True)
class ManualTimer:
    due: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """Seconds pass in `advance` only."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[ManualTimer] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> ManualTimer:
        timer = ManualTimer(self._now + delay, next(self._numbers), callback)
        if delay <= 0:
            asyncio.get_running_loop().call_soon(lambda: timer.is_cancelled or callback())
        else:
            heapq.heappush(self._timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0].due <= end:
            timer = heapq.heappop(self._timers)
            self._now = max(self._now, timer.due)
            if not timer.is_cancelled:
                timer.callback()
        self._now = end

    def pending(self) -> list[float]:
        """In how many seconds something is to happen."""
        return sorted(timer.due - self._now for timer in self._timers if not timer.is_cancelled)

    async def waits(self, least: float, most: float) -> None:
        """Until something is to happen between so many seconds from now."""
        await until(lambda: any(least <= delay <= most for delay in self.pending()))

    async def settles(self) -> None:
        """Until no request is under way that would be sent again within a second."""
        await until(lambda: all(delay > 1 for delay in self.pending()))


async def until(holds: Callable[[], object]) -> None:
    """Let the event loop run until something holds."""
    async with asyncio.timeout(PATIENCE):
        # A round of the loop at a time, not some seconds: what is waited for has no event of its own.
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def rounds() -> None:
    """Let what was sent on loopback arrive, so that nothing there means that nothing was sent."""
    for _ in range(10):
        await asyncio.sleep(0)


async def soon(awaitable: Awaitable[_T]) -> _T:
    """What comes before patience ends."""
    return await asyncio.wait_for(awaitable, PATIENCE)


@dataclass
class Heard:
    """A message as it came; names of headers in lower case."""

    first: str
    headers: dict[str, list[str]]
    body: bytes
    back: Callable[[bytes], None]

    @classmethod
    def read(cls, raw: bytes, back: Callable[[bytes], None]) -> Heard:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        return cls(first, headers, body, back)

    def __getitem__(self, name: str) -> str:
        return self.headers[name.lower()][0]

    @property
    def method(self) -> str:
        return self.first.split(" ")[0]

    @property
    def code(self) -> int:
        return int(self.first.split(" ")[1])

    def answer(self, status: str, *headers: str, body: bytes = b"", to_tag: str = "peer", **changed: str) -> bytes:
        """An answer to this request, `status` being `200 OK`; `changed` replaces headers (`cseq="9 NOTIFY"`)."""
        to = self["To"] if "tag=" in self["To"] else f"{self['To']};tag={to_tag}"
        lines = {"Via": self["Via"], "From": self["From"], "To": to, "Call-ID": self["Call-ID"], "CSeq": self["CSeq"]}
        for name, value in changed.items():
            lines[{"cseq": "CSeq", "call_id": "Call-ID", "via": "Via"}[name]] = value
        written = [f"SIP/2.0 {status}", *(f"{name}: {value}" for name, value in lines.items()), *headers]
        return "\r\n".join([*written, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def reply(self, status: str, *headers: str, **more: Any) -> None:
        self.back(self.answer(status, *headers, **more))


class UdpPeer(asyncio.DatagramProtocol):
    """A socket that answers what the test says, when it says so."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.port = 0
        self.source: tuple[Any, ...] = ()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.source = addr
        self.heard.put_nowait(Heard.read(data, lambda raw: self._transport.sendto(raw, addr)))

    def send(self, raw: bytes) -> None:
        """To who spoke last."""
        self._transport.sendto(raw, self.source)

    async def next(self, method: str = "") -> Heard:
        """The next message, which must be of that method, or an answer of that code."""
        heard = await soon(self.heard.get())
        assert not method or heard.first.split(" ")[method.isdigit()] == method, heard.first
        return heard

    async def close(self) -> None:
        self._transport.close()
        await asyncio.sleep(0)


async def udp_peer(host: str = "127.0.0.1") -> UdpPeer:
    _, peer = await asyncio.get_running_loop().create_datagram_endpoint(UdpPeer, (host, 0))
    return peer


class StreamPeer:
    """A TCP or TLS server. `connections` are those that were made to it, in order."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.connections: list[asyncio.StreamWriter] = []
        self.closed: asyncio.Queue[int] = asyncio.Queue()
        self.pings = 0

    async def start(self, context: ssl.SSLContext | None = None) -> StreamPeer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        number = len(self.connections)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.strip():
                    self.pings += 1
                    continue
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                self.heard.put_nowait(Heard.read(head + await reader.readexactly(size), writer.write))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            self.closed.put_nowait(number)
        finally:
            writer.transport.abort()

    async def next(self, method: str = "") -> Heard:
        heard = await soon(self.heard.get())
        assert not method or heard.first.split(" ")[method.isdigit()] == method, heard.first
        return heard

    async def stop(self) -> None:
        self._server.close()
        for writer in self.connections:
            writer.transport.abort()
        await asyncio.sleep(0)
