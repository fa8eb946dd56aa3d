"""A listener that takes any certificate, and shows it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.capture import Capture, Shown, fingerprint

Make = Callable[..., Any]
MAC = "0004F2AABBCC"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\n"


@asynccontextmanager
async def capturing(
    files: ServerFiles, *, hears: Callable[[str], bool] = lambda peer: True, most: int = 10
) -> AsyncIterator[tuple[int, list[Shown]]]:
    """The port of a listener, and what was shown to it."""
    shown: list[Shown] = []
    listening = await asyncio.start_server(Capture(files, shown.append, hears, most).connected, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], shown


async def ask(port: int, context: ssl.SSLContext | None) -> bytes:
    """Everything that is said to a request; nothing when the other end hangs up."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /0004f2aabbcc.cfg HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except (ssl.SSLError, ConnectionError):
        return b""
    return answer


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_of_any_ca_is_shown_with_the_ca_that_signed_it(
    server_files: ServerFiles, client: Make, mint: Make, newest: ssl.TLSVersion
) -> None:
    issuing = mint("Maker Issuing CA", mint("Maker root", ca=True), ca=True)
    phone = mint(MAC, issuing, days=-1)
    async with capturing(server_files) as (port, shown):
        answers = [await ask(port, client(phone, newest=newest)) for _ in range(2)]

    [seen] = shown  # once, however often it comes
    assert [answer.startswith(NOT_FOUND) for answer in answers] == [True, True]
    assert (seen.leaf, seen.issuer, seen.macs) == (phone.certificate, issuing.certificate, [MAC.lower()])
    assert seen.address == "127.0.0.1" and seen.protocol.startswith("TLSv1.")
    assert len(fingerprint(seen.leaf)) == 64


async def test_a_ca_that_was_sent_and_did_not_sign_it_is_not_called_its_issuer(
    server_files: ServerFiles, client: Make, mint: Make
) -> None:
    phone, other = mint(MAC, mint("Maker CA", ca=True)), mint("Maker CA", ca=True)
    phone.above = (other.certificate,)
    async with capturing(server_files) as (port, shown):
        await ask(port, client(phone))

    assert shown[0].issuer is None and shown[0].above == (other.certificate,)


async def test_who_is_not_listened_to_or_shows_nothing_leaves_no_trace(
    server_files: ServerFiles, client: Make, mint: Make
) -> None:
    phone = client(mint(MAC, mint("Maker CA", ca=True)))
    async with capturing(server_files, hears=lambda peer: peer != "127.0.0.1") as (port, shown):
        assert await ask(port, phone) == b""
        assert shown == []
    async with capturing(server_files) as (port, shown):
        assert (await ask(port, client())).startswith(NOT_FOUND)
        await ask(port, None)  # plain HTTP
        assert shown == []


async def test_no_more_than_so_many_are_shown(server_files: ServerFiles, client: Make, mint: Make) -> None:
    maker = mint("Maker CA", ca=True)
    async with capturing(server_files, most=2) as (port, shown):
        for number in range(4):
            assert (await ask(port, client(mint(f"0004F2AABBC{number}", maker)))).startswith(NOT_FOUND)

    assert [seen.macs for seen in shown] == [["0004f2aabbc0"], ["0004f2aabbc1"]]
