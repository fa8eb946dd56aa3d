"""A registrar's door, scripted: a TCP server that says what the test wants, connection after connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ztp_server.sip.sources.source import Everything, Report, Silent, Source, Told, Untold

PATIENCE = 20.0


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def lines(self) -> list[str]:
        """What is said up to an empty line."""
        raw = await asyncio.wait_for(self._reader.readuntil(b"\n"), PATIENCE)
        found: list[str] = []
        while line := raw.decode().strip():
            found.append(line)
            raw = await asyncio.wait_for(self._reader.readuntil(b"\n"), PATIENCE)
        return found

    async def heard(self, *beginnings: str) -> dict[str, str]:
        """The next question, which must begin so, as names and values."""
        lines = await self.lines()
        assert [line for line in beginnings if line not in lines] == [], (beginnings, lines)
        return dict(line.split(": ", 1) for line in lines if ": " in line)

    def say(self, text: str | bytes) -> None:
        self._writer.write(text.encode() if isinstance(text, str) else text)

    async def stay(self) -> None:
        """Until the other side goes."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._reader.read(65_536):
                pass

    def leave(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def door(*scripts: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port, where each connection follows the next of the scripts, and in the end the last. Fails when one failed."""
    failures: list[BaseException] = []
    connected = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        script = scripts[min(connected, len(scripts) - 1)]
        connected += 1
        try:
            await script(Peer(reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0)
    for failure in failures:
        raise failure


async def report(source: Source) -> Report:
    """The next report, before patience ends."""
    return await asyncio.wait_for(anext(source), PATIENCE)


async def everything(source: Source) -> dict[str, Told]:
    found = await report(source)
    assert isinstance(found, Everything), found
    return {one.user: one for one in found.told}


async def told(source: Source) -> Told:
    found = await report(source)
    assert isinstance(found, Told), found
    return found


async def silent(source: Source) -> str:
    found = await report(source)
    assert isinstance(found, Silent), found
    return found.reason


async def untold(source: Source) -> Untold:
    found = await report(source)
    assert isinstance(found, Untold), found
    return found
