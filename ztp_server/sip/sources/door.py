"""A registrar's own door: a connection to the address that was configured, and to no other, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ztp_server.domain.platform import Place, Platform
from ztp_server.domain.reachable import may_ask
from ztp_server.errors import Misconfigured
from ztp_server.sip.sources.source import Lost
from ztp_server.sip.tls import TlsFiles, client_context

# In seconds: to be connected; for an answer to begin and to go on.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
# How long nothing may be said until we ask whether anybody is there.
QUIET_SECONDS = 10.0
LONGEST_LINE = 16_384
MOST_LINES = 256


class Quiet(Lost):
    """Nothing was said in time."""


class Door:
    """An open connection. What is done with it raises Lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: str) -> None:
        self._reader = reader
        self._end = end
        self._writer = writer

    async def line(self, seconds: float = ANSWER_SECONDS) -> str:
        """The next line, without its end. Bytes that are no UTF-8 are shown as such. Raises Quiet and Lost."""
        try:
            async with asyncio.timeout(seconds):
                raw = await self._reader.readline()
        except TimeoutError:
            raise Quiet(f"nothing for {seconds:.0f} s") from None
        except ValueError:
            raise Lost(f"a line of more than {LONGEST_LINE} bytes") from None
        except OSError as error:
            raise Lost(_why(error)) from None
        if not raw.endswith(b"\n"):
            raise Lost("the connection was closed")
        return raw.decode(errors="replace").rstrip("\r\n")

    async def block(self, seconds: float = ANSWER_SECONDS) -> dict[str, str]:
        """Lines `Name: value` up to an empty one; names in lower case, of those that are repeated the last. Raises
        Quiet when the first does not come in so many seconds, and Lost."""
        found: dict[str, str] = {}
        line = await self.line(seconds)
        try:
            for _ in range(MOST_LINES):
                if not line:
                    return found
                name, _, value = line.partition(":")
                found[name.strip().lower()] = value.strip()
                line = await self.line()
        except Quiet:
            raise Lost("a message that does not end") from None
        raise Lost(f"a message of more than {MOST_LINES} lines")

    async def exactly(self, size: int) -> bytes:
        """So many bytes."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._reader.readexactly(size)
        except TimeoutError:
            raise Lost(f"nothing for {ANSWER_SECONDS:.0f} s") from None
        except asyncio.IncompleteReadError:
            raise Lost("the connection was closed") from None
        except OSError as error:
            raise Lost(_why(error)) from None

    async def send(self, *lines: str) -> None:
        """Lines, and an empty one. What would begin another line is not sent."""
        if any(not line.isprintable() for line in lines):
            raise Lost("a login or address with control characters, which cannot be sent")
        text = self._end.join([*lines, "", ""])
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._writer.write(text.encode())
                await self._writer.drain()
        except TimeoutError:
            raise Lost("nothing is read there") from None
        except OSError as error:
            raise Lost(_why(error)) from None


@asynccontextmanager
async def opened(place: Place, platform: Platform, end: str) -> AsyncIterator[Door]:
    """A connection until the end of the block; `end` is what ends a line that we send. Raises Lost."""
    over_tls: dict[str, Any] = {}
    if place.transport == "tls":
        over_tls = {"ssl": trusted(platform), "server_hostname": place.host}
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            address = await reachable(place.host, place.port)
            reader, writer = await asyncio.open_connection(address, place.port, limit=LONGEST_LINE, **over_tls)
    except TimeoutError:
        raise Lost(f"{place}: no connection within {CONNECT_SECONDS:.0f} s") from None
    except OSError as error:
        raise Lost(f"{place}: {_why(error)}") from None
    try:
        yield Door(reader, writer, end)
    except Lost as error:
        raise Lost(f"{place}: {error}") from None
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def reachable(host: str, port: int) -> str:
    """The first address of a host to which anything may be sent, whatever name led there. Raises OSError and Lost."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _, _, _, _, address in found:
        if may_ask(str(address[0]), allow_private=True):
            return str(address[0])
    raise Lost("a reserved address, to which nothing is sent")


def trusted(platform: Platform) -> ssl.SSLContext:
    """Who is believed over TLS: the CA of the platform, or those of the operating system. Raises Lost."""
    try:
        return client_context(TlsFiles(ca_pem=platform.ca))
    except Misconfigured as error:
        raise Lost(str(error)) from None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or "TLS failed")
    # What asyncio says of it names addresses; a host that is not known has a number of its own.
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
