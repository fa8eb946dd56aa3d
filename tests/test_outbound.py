"""What is asked of other servers goes to nobody who was not meant."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ztp_server import outbound
from ztp_server.domain.reachable import may_ask
from ztp_server.outbound import Outbound, OutboundRefused


@asynccontextmanager
async def listening(**answers: Any) -> AsyncIterator[tuple[int, list[str]]]:
    """A server on loopback, and what it was asked; the answers are made by path."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        made = answers.get(request.path.strip("/"))
        return await made(request) if made else web.json_response({"path": request.path})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def knocked_at() -> AsyncIterator[tuple[int, list[Any]]]:
    """A port on which every connection is counted, whatever comes over it."""
    connections: list[Any] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], connections


async def test_no_spelling_of_this_machine_is_asked() -> None:
    plain = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "127.0.0.1.")
    odd = ("2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]")
    async with knocked_at() as (port, connections):
        for host in plain + odd:
            for scheme in ("https", "http"):
                with pytest.raises(OutboundRefused):
                    await Outbound().get(f"{scheme}://{host}:{port}/")
        assert connections == []


async def test_a_name_that_means_another_address_the_second_time_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that is looked at is the one that is connected to, so there is no second time."""
    loop, found = asyncio.get_running_loop(), []
    async with knocked_at() as (port, connections):

        async def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
            found.append(host)
            address = "127.0.0.1" if len(found) > 1 else "192.0.2.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        for _ in range(3):
            with pytest.raises(OutboundRefused):
                await Outbound().get(f"https://rebound.example:{port}/")
        assert connections == [] and found == ["rebound.example"] * 3


async def test_of_several_addresses_none_that_is_closed_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with knocked_at() as (port, connections):

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("169.254.169.254", "127.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        with pytest.raises(OutboundRefused):
            await Outbound().get(f"https://two.example:{port}/")
        assert connections == []


async def test_where_an_answer_points_is_not_followed() -> None:
    async def away(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{port}/secret"})

    async with listening(away=away) as (port, asked):
        ours = Outbound(allow_private=True)
        assert await ours.get(f"http://127.0.0.1:{port}/plain") == {"path": "/plain"}
        with pytest.raises(OutboundRefused, match="answered 302"):
            await ours.get(f"http://127.0.0.1:{port}/away")
        with pytest.raises(OutboundRefused, match="answered 302"):
            await ours.post(f"http://127.0.0.1:{port}/away", {"code": "x"})
        assert asked == ["/plain", "/away", "/away"]


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.169.254"])
def test_what_a_cloud_tells_its_machines_is_closed_also_where_private_addresses_are_open(address: str) -> None:
    assert not may_ask(address, allow_private=True)


def test_which_addresses_are_open() -> None:
    public = ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808")
    private = ("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1", "::ffff:10.0.0.1")
    private += ("fec0::1",)
    nobody = ("0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "ff02::1", "fe80::1%eth0", "169.254.0.1")
    assert all(may_ask(a) for a in public) and not any(may_ask(a) for a in private + nobody)
    assert all(may_ask(a, allow_private=True) for a in public + private)
    assert not any(may_ask(a, allow_private=True) for a in nobody)


async def test_an_answer_that_is_too_long_too_late_packed_or_no_json_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = asyncio.Event()

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not released.is_set():
            await response.write(b" " * 65_536)
        return response

    async def silent(_request: web.BaseRequest) -> web.Response:
        await released.wait()
        return web.Response()

    async def packed(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})

    async def page(_request: web.BaseRequest) -> web.Response:
        return web.Response(text="<html>")

    async with listening(endless=endless, silent=silent, packed=packed, page=page) as (port, _):
        ours, url = Outbound(allow_private=True), f"http://127.0.0.1:{port}/"
        with pytest.raises(OutboundRefused, match="more than"):
            await ours.get(url + "endless")
        for path in ("packed", "page"):
            with pytest.raises(OutboundRefused, match="no JSON"):
                await ours.get(url + path)
        monkeypatch.setattr(outbound, "SECONDS", 0.05)
        with pytest.raises(OutboundRefused, match="did not answer"):
            await ours.get(url + "silent")
        released.set()


@pytest.mark.parametrize(
    "url",
    ["", "x", "//a", "ftp://a/", "file:///etc/passwd", "https://", "https://u:p@a/", "https://[::1/", "https://a b/"],
)
def test_what_is_no_url_is_not_asked(url: str) -> None:
    for ours in (Outbound(), Outbound(allow_private=True)):
        with pytest.raises(OutboundRefused):
            ours.check_url(url)
    with pytest.raises(OutboundRefused):
        Outbound().check_url("http://example.net/")
