"""Logs that phones send: kept for the phone that sent them, whole, bounded, and for nobody else."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, OTHER_VVX, VVX, World
from ztp_server.store.schema import uploads

LOG = f"{VVX}-app.log"
LIMIT = 1_048_576


async def test_the_first_upload_is_created_and_the_next_replaces_it(world: World) -> None:
    first = await world.ask(LOG, method="PUT", body=b"one")
    second = await world.ask(LOG, method="PUT", body=b"one two")

    assert (first.status, second.status) == (201, 204)
    assert (await world.ask(LOG)).body == b"one two"


async def test_a_phone_asks_how_long_its_log_is(world: World) -> None:
    assert (await world.ask(LOG, method="HEAD")).status == 404
    await world.ask(LOG, method="PUT", body=b"x" * 1234)
    answer = await world.ask(LOG, method="HEAD")

    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "1234", b"")


@pytest.mark.parametrize("body", [b"", b"\x00\xff<&>\r\n", bytes(range(256)) * 400, b"x" * LIMIT], ids=len)
async def test_a_log_is_kept_as_it_is(world: World, body: bytes) -> None:
    await world.ask(LOG, method="PUT", body=body)

    assert (await world.ask(LOG)).body == body


async def test_a_log_in_chunks_is_kept_whole(world: World) -> None:
    request = (
        f"PUT /{LOG} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )

    assert (await world.raw(request.encode())).startswith(b"HTTP/1.1 201")
    assert (await world.ask(LOG)).body == b"hello world"


async def test_each_log_of_a_phone_is_a_file_of_its_own(world: World) -> None:
    names = [f"{VVX}-{kind}.log" for kind in ("boot", "app", "appFlash")]
    for name in names:
        assert (await world.ask(name, method="PUT", body=name.encode())).status == 201

    assert [(await world.ask(name)).body.decode() for name in names] == names


async def test_any_spelling_of_a_name_means_the_same_log(world: World) -> None:
    await world.ask(f"{VVX.upper()}-APP.LOG", method="PUT", body=b"x")

    assert (await world.ask(LOG, method="PUT", body=b"y")).status == 204
    assert (await world.ask(f"{VVX}-appflash.log", method="PUT", body=b"z")).status == 201


@pytest.mark.parametrize("listener", ["http", "https", "mtls"])
async def test_the_log_of_a_phone_is_not_shown_to_another(world: World, listener: str) -> None:
    await world.ask(LOG, method="PUT", body=b"private")
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})
    device = world.device("poly", OTHER_VVX) if listener == "mtls" else None

    for method in ("GET", "HEAD", "PUT"):
        body = b"forged" if method == "PUT" else None
        assert (await world.ask(LOG, method=method, listener=listener, device=device, body=body)).status == 404
    own = await world.ask(LOG, listener="mtls", device=world.device("poly", VVX))
    assert own.body == b"private"


async def test_an_upload_over_the_limit_is_refused_and_nothing_is_kept(world: World) -> None:
    await world.ask(LOG, method="PUT", body=b"before")

    assert await _put(world, io.BytesIO(b"x" * (LIMIT + 1))) == 413
    assert (await world.ask(LOG)).body == b"before"


async def test_an_announced_size_over_the_limit_is_refused_before_it_is_sent(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.listeners["http"].address.port)
    writer.write(f"PUT /{LOG} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()

    assert status.startswith(b"HTTP/1.1 413")
    assert (await world.ask(LOG)).status == 404


async def test_chunks_over_the_limit_are_refused_and_nothing_is_kept(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 65_536 + 2):
            yield b"x" * 65_536

    assert await _put(world, chunks()) == 413
    assert (await world.ask(LOG)).status == 404


async def test_a_chunk_that_only_announces_itself_is_refused_and_nothing_is_kept(world: World) -> None:
    request = f"PUT /{LOG} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx"

    assert (await world.raw(request.encode()))[9:12] in (b"400", b"413")
    assert (await world.ask(LOG)).status == 404


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_packed_upload_is_refused_and_not_unpacked(world: World, encoding: str) -> None:
    packed = zlib.compress(b"x" * 1000, wbits=31 if encoding == "gzip" else 15)
    answer = await world.ask(LOG, method="PUT", body=packed, headers={"Content-Encoding": encoding})

    assert answer.status == 413
    assert (await world.ask(LOG)).status == 404


async def test_an_upload_that_breaks_off_is_not_kept(world: World) -> None:
    await world.ask(LOG, method="PUT", body=b"before")

    port = world.app.listeners["http"].address.port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"PUT /{LOG} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await world.ask(LOG)).body == b"before"


@pytest.mark.parametrize(
    "name",
    [f"{VVX}-other.log", f"{VVX}.log", f"{VVX}.cfg", f"{VVX}-settings.cfg", f"{VVX}", "x.log", "000000000000-app.log"],
)
async def test_a_name_that_is_no_log_is_not_kept(world: World, name: str) -> None:
    before = await world.ask(name)

    assert (await world.ask(name, method="PUT", body=b"x")).status == 404
    assert (await world.ask(name)).body == before.body


async def test_a_family_without_logs_sends_none(world: World) -> None:
    assert (await world.ask("00908f112233-app.log", method="PUT", body=b"x")).status == 404


async def test_an_upload_outlives_a_restart(world: World) -> None:
    await world.ask(LOG, method="PUT", body=b"durable")
    await world.restart()

    assert (await world.ask(LOG)).body == b"durable"


async def test_the_logs_of_a_removed_phone_go_with_it(world: World) -> None:
    phone = await world.services.phones.get(ADMIN, VVX)
    await world.ask(LOG, method="PUT", body=b"gone")
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.phones.add(ADMIN, phone)

    assert (await world.ask(LOG)).status == 404


async def test_a_phone_that_waits_for_leave_to_send_gets_it(world: World) -> None:
    """`Expect: 100-continue`, as libcurl in phones sends it with a large body (RFC 9110, section 10.1.1)."""
    request = f"PUT /{LOG} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    port = world.app.listeners["http"].address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    try:
        async with asyncio.timeout(3):
            assert (await reader.readline()) == b"HTTP/1.1 100 Continue\r\n"
            assert (await reader.readline()) == b"\r\n"
            writer.write(b"log")
            assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    finally:
        writer.transport.abort()


async def _put(world: World, body: io.BytesIO | AsyncIterator[bytes]) -> int:
    """The status of an upload that the server may well stop reading."""
    async with aiohttp.ClientSession() as session, session.put(world.url("http") + LOG, data=body) as response:
        return response.status


@pytest.mark.parametrize("file", [LOG, f"{VVX}-phone.cfg"])
async def test_a_phone_that_is_removed_while_it_sends_is_refused_as_an_unknown_one(world: World, file: str) -> None:
    await world.ask(f"{VVX}-settings.cfg")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.listeners["http"].address.port)
    writer.write(f"PUT /{file} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n<a".encode())
    await writer.drain()
    await asyncio.sleep(0.3)  # it is proven, and its body awaited
    await world.services.phones.remove(ADMIN, VVX)
    writer.write(b"/>")

    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 404")
    writer.close()


async def test_a_kept_file_that_does_not_unpack_is_our_failure(world: World) -> None:
    await world.ask(LOG, method="PUT", body=b"x")
    async with world.services.store.database.writing() as connection:
        await connection.execute(sa.update(uploads).values(body=b"damaged"))

    assert (await world.ask(LOG)).status == 503
