from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from tests.simulator.conftest import FileServer, Serve, make_phone, xml
from ztp_server.simulator.client import HEADER_BYTES
from ztp_server.simulator.phone import SimulatedPhone

CFG = "02acce0000af.cfg"
IMAGE = bytes(1_000_000)
FIRMWARE: list[Mapping[str, Any]] = [
    {"path": "{mac}.cfg", "reads": True},
    {"firmware_in": "fw", "names": ["{dir}{part}.{name}", "{dir}{name}"], "optional": True},
]


def listing(files: str) -> bytes:
    return xml(files=files, line__1__user="master")


def list_phone() -> SimulatedPhone:
    return make_phone([{"path": "{mac}.cfg", "reads": True}, {"listed_in": "files", "reads": True}])


async def test_steps_are_asked_in_order_in_the_phones_name(server: FileServer) -> None:
    server.answers = {"02acce0000af.log": 201, "02ACCE0000AF-ONE-12-34.cfg": xml(line__1__user="1001")}
    phone = make_phone([
        {"method": "PUT", "path": "{mac}.log"},
        {"path": "{MAC}-{model}-{part}.cfg", "reads": True},
        {"method": "HEAD", "path": "{mac}.log", "optional": True},
    ])  # fmt: skip
    result = await server.boot(phone)

    assert result.failure == ""
    assert server.asked == ["PUT 02acce0000af.log", "GET 02ACCE0000AF-ONE-12-34.cfg", "HEAD 02acce0000af.log"]
    assert server.user_agents == {"Acme ONE/1.0.0.0 02acce0000af 02ACCE0000AF"}
    assert b"Simulated boot" in server.bodies[0]
    assert [(r.line, r.user) for r in result.registrations] == [(1, "1001")]
    got = result.exchanges[1]
    assert (got.method, got.status, got.note) == ("GET", 200, "1 parameters")
    assert got.url.endswith(".cfg") and got.bytes > 0 and got.seconds > 0


async def test_the_other_name_is_asked_after_404_only(server: FileServer) -> None:
    phone = make_phone([{"path": "{mac}.cfg", "otherwise": "common.cfg", "reads": True}])
    server.answers = {"common.cfg": xml(line__1__user="1001")}
    assert (await server.boot(phone)).parameters == {"line.1.user": "1001"}

    server.answers[CFG] = 503
    result = await server.boot(phone)
    assert result.failure.endswith(f"{CFG}: 503, a fault of the server: its log says which")
    assert server.asked == [f"GET {CFG}", "GET common.cfg", f"GET {CFG}"]


async def test_listed_files_are_read_in_order_and_the_first_value_stands(server: FileServer) -> None:
    server.answers = {
        CFG: listing("a.cfg, b.cfg,,"),
        "a.cfg": xml(line__1__user="left", line__2__user="left"),
        "b.cfg": xml(line__2__user="right", line__3__user="right"),
    }
    result = await server.boot(list_phone())
    assert [r.user for r in result.registrations] == ["master", "left", "right"]
    assert server.asked == [f"GET {CFG}", "GET a.cfg", "GET b.cfg"]


async def test_a_listed_file_that_is_not_there_ends_the_boot(server: FileServer) -> None:
    server.answers = {CFG: listing("a.cfg,b.cfg"), "b.cfg": xml(x="1")}
    result = await server.boot(list_phone())
    assert result.failure == f"GET {server.url}a.cfg: 404, though files names it"
    assert server.asked == [f"GET {CFG}", "GET a.cfg"]


async def test_an_absolute_name_is_asked_where_it_says(server: FileServer, serve: Serve) -> None:
    elsewhere = await serve()
    elsewhere.answers = {"b.cfg": xml(line__2__user="away")}
    server.answers = {CFG: listing(f"{elsewhere.url}b.cfg")}
    assert [r.user for r in (await server.boot(list_phone())).registrations] == ["master", "away"]
    assert elsewhere.asked == ["GET b.cfg"]


@pytest.mark.parametrize(
    ("address", "part", "asked"),
    [
        ("fw/2.0/app.ld", "12-34", ["fw/2.0/12-34.app.ld", "fw/2.0/app.ld"]),
        ("app.ld", "12-34", ["12-34.app.ld", "app.ld"]),
        ("fw/app.ld", "", ["fw/app.ld"]),
        ("", "12-34", []),
        ("fw/", "12-34", []),
    ],
)
async def test_firmware_names_are_made_of_the_last_part(
    server: FileServer, address: str, part: str, asked: list[str]
) -> None:
    server.answers = {CFG: xml(fw=address)}
    result = await server.boot(make_phone(FIRMWARE, part=part))
    assert server.asked[1:] == [f"GET {name}" for name in asked]
    assert result.failure == ""


async def test_the_first_firmware_name_that_is_there_ends_the_search(server: FileServer) -> None:
    server.answers = {CFG: xml(fw=f"{server.url}fw/app.ld"), "fw/12-34.app.ld": IMAGE, "fw/app.ld": IMAGE}
    await server.boot(make_phone(FIRMWARE))
    assert server.asked[1:] == ["GET fw/12-34.app.ld"]


async def test_firmware_without_names_is_asked_as_it_is_called(server: FileServer) -> None:
    server.answers = {CFG: xml(fw="fw/ONE.img"), "fw/ONE.img": IMAGE}
    await server.boot(make_phone([FIRMWARE[0], {"firmware_in": "fw", "optional": True}]))
    assert server.asked[1:] == ["GET fw/ONE.img"]


async def test_of_an_image_only_the_header_is_read(server: FileServer) -> None:
    server.answers = {"ONE.img": IMAGE}
    exchange = (await server.boot(make_phone([{"path": "{model}.img"}]))).exchanges[0]
    assert (exchange.bytes, exchange.status) == (HEADER_BYTES, 200)
    assert exchange.note == "header of 1000000 bytes read, then hung up"


async def test_a_whole_image_is_counted(server: FileServer) -> None:
    server.answers = {"ONE.img": IMAGE}
    result = await server.boot(make_phone([{"path": "{model}.img"}]), whole_images=True)
    assert (result.exchanges[0].bytes, result.failure) == (len(IMAGE), "")


async def test_an_image_that_breaks_off_ends_the_boot(server: FileServer) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport
        request.transport.close()
        return response

    server.answers = {"ONE.img": break_off}
    result = await server.boot(make_phone([{"path": "{model}.img", "optional": True}]), whole_images=True)
    assert result.failure == f"{server.url}ONE.img: the answer broke off after 10 bytes"


async def test_an_image_of_unknown_length_ends_the_boot(server: FileServer) -> None:
    async def chunked(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        return response

    server.answers = {"ONE.img": chunked}
    result = await server.boot(make_phone([{"path": "{model}.img"}]), whole_images=True)
    assert "an image without Content-Length" in result.failure


async def test_an_optional_file_may_be_missing(server: FileServer) -> None:
    server.answers = {CFG: xml(line__1__user="1001")}
    phone = make_phone([{"path": "a", "optional": True}, {"path": "{mac}.cfg", "reads": True}])
    result = await server.boot(phone)
    assert (result.failure, result.exchanges[0].note) == ("", "goes on without")


async def test_an_optional_file_may_lie_on_a_server_that_is_down(server: FileServer) -> None:
    server.answers = {CFG: xml(fw="http://127.0.0.1:1/app.ld")}
    result = await server.boot(make_phone(FIRMWARE))
    assert result.failure == ""
    assert [(e.status, e.note) for e in result.exchanges[1:]] == [
        (0, "http://127.0.0.1:1/: no connection (Connection refused)")
    ] * 2


async def test_a_missing_configuration_says_what_that_means(server: FileServer) -> None:
    result = await server.boot(make_phone())
    assert result.failure == (
        f"GET {server.url}{CFG}: 404: the server knows no phone 02acce0000af, or it was not proven "
        "(certificate, network)"
    )
    assert (result.registrations, result.parameters) == ([], {})


async def test_a_refused_upload_ends_the_boot_unless_it_is_optional(server: FileServer) -> None:
    result = await server.boot(make_phone([{"method": "PUT", "path": "{mac}.log"}]))
    assert result.failure == f"PUT {server.url}02acce0000af.log: 404"


async def test_a_file_that_cannot_be_read_ends_the_boot(server: FileServer) -> None:
    server.answers = {CFG: b"<html>"}
    assert (await server.boot(make_phone())).failure.startswith(f"{server.url}{CFG}: no XML that a phone can read")


async def test_a_redirect_is_followed_and_told(server: FileServer) -> None:
    async def elsewhere(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/moved.cfg"})

    server.answers = {CFG: elsewhere, "moved.cfg": xml(line__1__user="1001")}
    result = await server.boot(make_phone())
    assert (result.exchanges[0].status, result.exchanges[0].note) == (200, f"sent on to {server.url}moved.cfg")


async def test_an_unknown_placeholder_names_vendor_toml(server: FileServer) -> None:
    result = await server.boot(make_phone([{"path": "{serial}.cfg"}]))
    assert result.failure == "acme/vendor.toml: {serial}.cfg: no placeholder 'serial'"
