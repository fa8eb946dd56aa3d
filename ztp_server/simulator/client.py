"""A phone's HTTP client: it asks, and remembers every request with what came of it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import DigestAuthMiddleware

from ztp_server.simulator.failure import SimulationFailed, explain, shown

# What a phone reads of an image to see that it runs it already.
HEADER_BYTES = 4096
_CONNECT_SECONDS = 10
_READ_SECONDS = 30


@dataclass
class Exchange:
    """A request and its answer. `status` is 0 when none came, `bytes` what was read of the body."""

    method: str
    url: str
    status: int = 0
    bytes: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


Taking = Callable[[aiohttp.ClientResponse, Exchange], Awaitable[bytes]]


def new_session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Connections that one phone, or many with the same trust and certificate, may share. Close it after use."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=["Accept-Encoding"],
    )


async def take_all(response: aiohttp.ClientResponse, exchange: Exchange) -> bytes:
    """The whole body."""
    body = await response.read()
    exchange.bytes = len(body)
    return body


async def take_header(response: aiohttp.ClientResponse, exchange: Exchange) -> bytes:
    """The beginning of an image, after which a phone that runs it already hangs up."""
    header = b""
    while len(header) < HEADER_BYTES and (chunk := await response.content.read(HEADER_BYTES - len(header))):
        header += chunk
    exchange.bytes = len(header)
    if response.ok and not response.content.at_eof():
        exchange.note = f"header of {response.content_length or '?'} bytes read, then hung up"
        response.close()
    return header


async def take_image(response: aiohttp.ClientResponse, exchange: Exchange) -> bytes:
    """A whole image, counted and not kept. Raises SimulationFailed when the phone cannot tell that it is whole."""
    if response.ok and response.content_length is None:
        raise SimulationFailed(f"{exchange.url}: an image without Content-Length: no phone could tell that it is whole")
    async for chunk in response.content.iter_any():
        exchange.bytes += len(chunk)
    return b""


class Client:
    """Asks in the name of one phone, and answers HTTP Digest with `user` and `password`, if it has a user. `exchanges`
    are all requests so far; one that was asked for a login counts once."""

    def __init__(self, session: aiohttp.ClientSession, user_agent: str, user: str = "", password: str = "") -> None:
        self._session = session
        self._headers = {"User-Agent": user_agent}
        self._middlewares = (DigestAuthMiddleware(user, password),) if user else ()
        self.exchanges: list[Exchange] = []

    async def ask(
        self, method: str, url: str, *, body: bytes | None = None, take: Taking = take_all
    ) -> tuple[Exchange, bytes]:
        """One request; a server that cannot be reached is told by the exchange's status and note.

        Raises SimulationFailed for an answer that breaks off.
        """
        exchange = Exchange(method, shown(url))
        self.exchanges.append(exchange)
        started = time.perf_counter()
        try:
            async with self._session.request(
                method, url, headers=self._headers, data=body, middlewares=self._middlewares
            ) as response:
                exchange.status = response.status
                if response.history:
                    exchange.note = f"sent on to {shown(str(response.url))}"
                return exchange, await take(response, exchange)
        except aiohttp.ClientPayloadError:
            raise SimulationFailed(f"{exchange.url}: the answer broke off after {exchange.bytes} bytes") from None
        except (aiohttp.ClientError, OSError) as error:
            exchange.status, exchange.note = 0, explain(url, error)
            return exchange, b""
        finally:
            exchange.seconds = time.perf_counter() - started
