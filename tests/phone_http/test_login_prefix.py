"""A listener where one logs in below a prefix alone."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.conftest import OTHER_VVX, VVX, World
from tests.phone_http.conftest import IMAGE, VERSION, AddFirmware, Start
from tests.phone_http.far_away import HOME, SETTINGS, as_sent, ask, far_world, proofs, put_digest, put_token, put_window
from ztp_server.domain.login_place import LoginPlace, login_prefixes
from ztp_server.errors import BadValue

UNKNOWN = "0004f2999999-settings.cfg"
PASSWORD = "abcdefgh23456789"


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    """A server that asks for a login below /d/ on two listeners."""
    world = await far_world(start, copy, digest=("http:/d/", "https:/d/"), basic=("https:/b/",))
    await put_digest(world, password=PASSWORD)
    return world


async def curl(world: World, path: str, user: str = "desk", password: str = PASSWORD, scheme: str = "--digest") -> str:
    """The status code of the last answer."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--path-as-is", scheme),
        *("--user", f"{user}:{password}", "--cacert", str(world.ca), "--header", f"X-Forwarded-For: {HOME}"),
        world.url("https") + path,
        stdout=asyncio.subprocess.PIPE,
    )
    return (await process.communicate())[0].decode()


async def test_a_phone_logs_in_below_the_prefix_and_gets_its_own_file(world: World) -> None:
    assert await curl(world, f"d/{SETTINGS}") == "200"
    assert await curl(world, f"//d//{SETTINGS}") == "401"
    assert await curl(world, f"d/{OTHER_VVX}-settings.cfg") == "401"
    assert await curl(world, f"d/{SETTINGS}", password="wrong") == "401"
    assert await curl(world, f"d/{SETTINGS}", user="nobody") == "401"
    assert await curl(world, f"d/{VVX}-nothing.xyz") == "404"


async def test_elsewhere_on_the_listener_nobody_is_asked_and_no_login_counts(world: World) -> None:
    assert await curl(world, SETTINGS) == "404"
    assert await curl(world, f"D/{SETTINGS}") == "404"
    assert await curl(world, f"b/d/{SETTINGS}", scheme="--basic") == "404"
    plain, asked = await ask(world, SETTINGS), await ask(world, f"d/{SETTINGS}")
    assert (plain.status, "WWW-Authenticate" in plain.headers) == (404, False)
    assert (asked.status, "WWW-Authenticate" in asked.headers) == (401, True)
    # Each prefix asks for its own.
    assert await curl(world, f"b/{SETTINGS}", scheme="--basic") == "200"
    assert await curl(world, f"d/{SETTINGS}", scheme="--basic") == "401"


async def test_whatever_is_named_below_the_prefix_is_asked_the_same(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    token = await put_token(world, mac=OTHER_VVX)
    names = [SETTINGS, UNKNOWN, "no-such-file", "ca.pem", "000000000000.cfg", f"{VVX}-app.log", "a/b/c", VVX]
    names += [f"fw/{VERSION}/3111-48450-001.sip.ld", f"t/{token}/{SETTINGS}", f"t/{'a' * 48}/{UNKNOWN}"]
    names += ["", "%00", "..%2f..%2fetc/passwd", "%ff", "?x", "a//b", "d/d/"]
    answers = [
        as_sent(await ask(world, f"d/{name}", listener=listener, method=method))
        for name in names
        for listener in ("http", "https")
        for method in ("GET", "PUT", "POST")
    ]

    assert {status for status, _, _ in answers} == {401}
    # Over both listeners: they differ in nothing but the nonce.
    assert len({re.sub('nonce="[^"]+"', "", str(answer)) for answer in answers}) == 1
    assert {len(re.findall('nonce="([^"]{40})"', str(answer))) for answer in answers} == {2}


async def test_other_proofs_count_below_the_prefix_as_everywhere(world: World) -> None:
    token = await put_token(world, mac=OTHER_VVX)
    await put_window(world)

    assert (await ask(world, f"d/t/{token}/{OTHER_VVX}-settings.cfg")).status == 200
    assert (await ask(world, f"d/{OTHER_VVX}-settings.cfg", "192.168.1.1")).status == 200
    assert (await ask(world, f"d/{SETTINGS}")).status == 200
    # One that is configured must not be emptied by what is for those who are not.
    assert (await ask(world, "d/000000000000.cfg", "192.168.1.1", listener="http")).status == 404
    assert (await ask(world, "000000000000.cfg", "192.168.1.1", listener="http")).status == 200


async def test_a_login_below_the_prefix_gives_firmware_and_closes_the_window(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware(default=True)
    await put_window(world)

    assert await curl(world, f"d/fw/{VERSION}/3111-48450-001.sip.ld") == "200"
    assert (await ask(world, f"d/fw/{VERSION}/3111-48450-001.sip.ld", "192.168.1.1")).body == IMAGE
    # Where one answers without being asked; curl waits to be asked, which an open window does not do.
    assert await curl(world, f"b/{SETTINGS}", scheme="--basic") == "200"
    assert (await proofs(world)).window is None and (await ask(world, SETTINGS)).status == 404


async def test_the_name_without_the_prefix_is_what_is_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    await ask(world, f"d/t/{'a' * 48}/{SETTINGS}")
    world.app._requests.flush()
    logged = "".join(capfd.readouterr())

    assert f'"file": "{SETTINGS}"' in logged and "aaaa" not in logged


@pytest.mark.parametrize(
    "text", ["https:", "https:/", "https:d/", "https:/t/", "https:/T", "https:/a/b/", "https:/a.b/", "https:/é/"]
)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="one name between slashes"):
        LoginPlace.parse(text)


def test_what_stands_before_a_name_is_told_by_listener() -> None:
    assert LoginPlace.parse(" https:/d ") == LoginPlace("https", "d/")
    found = login_prefixes(["https:/d/", "https:/e/", "http:/x/", "http"])
    assert found == {"https": ["d/", "e/"], "http": ["", "x/"]}
