"""The same bytes every time, and phones that need not load them again."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, VVX, World
from ztp_server.app import App

OWN = [f"{VVX}.cfg", f"{VVX}-settings.cfg", f"{VVX}-directory.xml", f"{HD400}.cfg"]
FOR_ALL = ["000000000000.cfg", "ca.pem", "bootstrap.cfg"]


@pytest.mark.parametrize("name", [*OWN, *FOR_ALL])
async def test_a_file_has_the_same_bytes_and_tag_each_time_and_after_a_restart(world: World, name: str) -> None:
    first = await world.ask(name)
    second = await world.ask(name)
    # The ports are part of what a phone is told, so the server comes back to the same ones.
    ports = {f"phone_{kind}": listener.address for kind, listener in world.app.listeners.items()}
    await world.app.stop()
    world.app = await App.start(replace(world.app.options, **ports))
    third = await world.ask(name)

    assert first.status == 200
    assert first.body == second.body == third.body
    assert first.headers["ETag"] == second.headers["ETag"] == third.headers["ETag"]


@pytest.mark.parametrize("name", [*OWN, *FOR_ALL])
async def test_the_whole_file_comes_with_its_length(world: World, name: str) -> None:
    answer = await world.ask(name)

    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "Transfer-Encoding" not in answer.headers and "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("name", [*OWN, *FOR_ALL])
async def test_head_has_the_headers_and_no_body(world: World, name: str) -> None:
    got = await world.ask(name)
    head = await world.ask(name, method="HEAD")

    assert (head.status, head.body) == (200, b"")
    assert {k: v for k, v in head.headers.items() if k != "Date"} == {
        k: v for k, v in got.headers.items() if k != "Date"
    }


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"other", {}', '"other" , {}', "*"])
async def test_a_phone_that_has_the_file_is_told_so(world: World, tags: str) -> None:
    got = await world.ask(OWN[1])
    again = await world.ask(OWN[1], headers={"If-None-Match": tags.format(got.headers["ETag"])})

    assert (again.status, again.body) == (304, b"")
    # RFC 9110, section 15.4.5: what a cache would need of the 200.
    assert again.headers["ETag"] == got.headers["ETag"]
    assert again.headers["Cache-Control"] == got.headers["Cache-Control"]


async def test_tags_in_several_headers_are_one_list(world: World) -> None:
    tag = (await world.ask(OWN[1])).headers["ETag"]
    lines = f'If-None-Match: "other"\r\nIf-None-Match: {tag}\r\n'
    answer = await world.raw(f"GET /{OWN[1]} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 304")


async def test_a_tag_of_other_bytes_gets_the_whole_file(world: World) -> None:
    tag = (await world.ask(OWN[1])).headers["ETag"]
    await world.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": "6000"})
    answer = await world.ask(OWN[1], headers={"If-None-Match": tag})

    assert answer.status == 200 and b'mediaPortRangeStart="6000"' in answer.body
    assert answer.headers["ETag"] != tag


async def test_a_tag_does_not_open_the_file_of_a_phone_without_proof(world: World) -> None:
    tag = (await world.ask(OWN[1])).headers["ETag"]
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})

    for tags in (tag, "*"):
        assert (await world.ask(OWN[1], headers={"If-None-Match": tags})).status == 404


async def test_no_cache_on_the_way_keeps_a_file_with_passwords(world: World) -> None:
    assert (await world.ask(OWN[1])).headers["Cache-Control"] == "no-store"
    assert (await world.ask(OWN[3], user_agent=HD400_UA)).headers["Cache-Control"] == "no-store"


async def test_many_requests_on_one_connection_are_answered_in_order(world: World) -> None:
    requests = "".join(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n" for name in OWN)
    last = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = await world.raw((requests + last).encode())

    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [*[b"200"] * len(OWN), b"404"]
