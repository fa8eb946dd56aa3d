"""Questions to other servers: only where they may go, never on to where an answer points, bounded in time and size."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs

from ztp_server.domain.reachable import may_ask
from ztp_server.errors import ZtpError

SECONDS = 10.0
LARGEST = 1 << 20


class OutboundRefused(ZtpError):
    """Another server was not asked, did not answer in time, or said what cannot be used."""


class Outbound:
    """Asks other servers for JSON. Each address is looked at when a socket is made for it, whatever name led there: a
    name that means another address the second time gains nothing."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private

    async def get(self, url: str) -> Any:
        """JSON behind a URL. Raises OutboundRefused."""
        return await self._ask("GET", url, {})

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Any:
        """The JSON a form is answered with. Raises OutboundRefused."""
        return await self._ask("POST", url, {"data": dict(form)}, headers)

    def check_url(self, url: str) -> str:
        """A URL that may be asked, or to which a browser may be sent: HTTPS; where private addresses are allowed, HTTP
        too. Raises OutboundRefused."""
        try:
            parts = urlsplit(url)
            fits = bool(parts.hostname) and not parts.username and parts.port != 0
        except ValueError:
            fits = False
        schemes = ("https", "http") if self._allow_private else ("https",)
        if not fits or parts.scheme not in schemes or not url.isascii() or not url.isprintable() or " " in url:
            raise OutboundRefused(f"{url[:128]!r} is no URL with {' or '.join(schemes)} that may be asked")
        return url

    async def _ask(
        self, method: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        self.check_url(url)
        # A connection of its own each time: there are a few of them in an hour.
        connector = aiohttp.TCPConnector(
            ssl=ssl.create_default_context(), socket_factory=self._socket, use_dns_cache=False, force_close=True
        )
        try:
            async with (
                asyncio.timeout(SECONDS),
                aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False) as session,
                session.request(
                    *(method, url),
                    **body,
                    allow_redirects=False,
                    headers={hdrs.ACCEPT: "application/json", hdrs.ACCEPT_ENCODING: "identity", **(headers or {})},
                ) as response,
            ):
                if response.status != 200:
                    raise OutboundRefused(f"{_place(url)} answered {response.status}")
                return _parsed(await _read(response, url), url)
        except TimeoutError:
            raise OutboundRefused(f"{_place(url)} did not answer in {SECONDS:.0f} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise OutboundRefused(f"{_place(url)} cannot be asked: {type(error).__name__}: {error}") from None

    def _socket(self, found: tuple[Any, ...]) -> socket.socket:
        """A socket for an address about to be connected to. Raises OSError for one that is closed."""
        family, kind, protocol, _, place = found
        if not may_ask(place[0], allow_private=self._allow_private):
            raise OSError(errno.EACCES, "a private or reserved address, which is not asked")
        return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse, url: str) -> bytes:
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > LARGEST:
            raise OutboundRefused(f"{_place(url)} answered with more than {LARGEST} bytes")
    return bytes(found)


def _parsed(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise OutboundRefused(f"{_place(url)} answered with what is no JSON") from None


def _place(url: str) -> str:
    """What of a URL may stand in a log."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
