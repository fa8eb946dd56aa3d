"""Firmware: which image which name means, to whom it is given, and that its bytes are those that were added."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.conftest import ADMIN, HD400, HD400_UA, VVX, VVX_UA, World
from tests.phone_http.conftest import IMAGE, VERSION, AddFirmware, Start, eventually, stored
from ztp_server.pki.authority import make_device_authority

PART = "3111-48450-001"
PLACE = f"fw/{VERSION}"
OTHER = b"another image"
UPDATER = "FileTransport PolycomVVX-VVX_411-UA/5.9.7.47435 Type/Updater"


@pytest.mark.parametrize("name", [f"{PLACE}/{PART}.sip.ld", f"{PLACE}/sip.ld"])
@pytest.mark.parametrize("user_agent", [VVX_UA, UPDATER])
async def test_the_versioned_place_holds_the_image(
    world: World, add_firmware: AddFirmware, name: str, user_agent: str
) -> None:
    await add_firmware()
    answer = await world.ask(name, user_agent=user_agent)

    assert (answer.status, answer.body) == (200, IMAGE)
    assert answer.headers["Content-Length"] == str(len(IMAGE))
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "name",
    [
        f"{PLACE}/{PART}.{PART}.sip.ld",
        f"{PLACE}/3111-44500-001.sip.ld",  # the part of another model
        f"{PLACE}/9999-99999-999.sip.ld",  # the part of no model
        "fw/5.9.8/sip.ld",
        "fw/none/sip.ld",
        f"fw/{VERSION}",
        f"{PLACE}/x/sip.ld",
        "fw/../sip.ld",
    ],
)
async def test_there_is_nothing_beside_it(world: World, add_firmware: AddFirmware, name: str) -> None:
    await add_firmware(default=True)

    assert (await world.ask(name)).status == 404


async def test_the_name_without_a_part_means_the_model_of_the_user_agent(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware("vvx-411")
    await add_firmware("vvx-500", content=OTHER)

    assert (await world.ask(f"{PLACE}/sip.ld", user_agent=VVX_UA.replace("411", "500"))).body == OTHER
    assert (await world.ask(f"{PLACE}/sip.ld", user_agent="curl/8")).status == 404
    # A part number says it whoever asks.
    assert (await world.ask(f"{PLACE}/{PART}.sip.ld", user_agent="curl/8")).body == IMAGE


@pytest.mark.parametrize("name", [f"{PLACE}/405HD.img", f"{PLACE}/405hd.img", f"{PLACE}/405HDG.img"])
async def test_the_other_maker_has_its_image_under_the_name_of_the_model(
    world: World, add_firmware: AddFirmware, name: str
) -> None:
    await add_firmware("audiocodes-405hd")

    assert (await world.ask(name, user_agent=HD400_UA)).body == IMAGE


# ---- names at the root


async def test_a_name_at_the_root_means_the_default_of_the_model(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    await add_firmware("vvx-500", content=OTHER, default=True)

    assert (await world.ask("sip.ld")).body == IMAGE
    assert (await world.ask(f"{PART}.sip.ld")).body == IMAGE
    assert (await world.ask("3111-44500-001.sip.ld")).body == OTHER
    assert (await world.ask(f"{PART}.{PART}.sip.ld")).status == 404
    assert (await world.ask("405HD.img", user_agent=HD400_UA)).status == 404


async def test_without_a_default_there_is_nothing_at_the_root(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=False)

    assert (await world.ask("sip.ld")).status == 404
    assert (await world.ask(f"{PART}.sip.ld")).status == 404


async def test_a_user_agent_that_names_the_phone_gives_it_its_own_version(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware(default=True)
    await add_firmware(version="6.4.0", content=OTHER)
    await world.services.phones.edit(ADMIN, VVX, {}, {"firmware_version": "6.4.0"})
    named = f"FileTransport PolycomVVX-VVX_411-UA/5.9.7.4477 (SN:{VVX}) Type/Application"

    assert (await world.ask("sip.ld", user_agent=named)).body == OTHER
    assert (await world.ask(f"{PART}.sip.ld", user_agent=named)).body == OTHER
    assert (await world.ask("sip.ld")).body == IMAGE


async def test_a_user_agent_that_names_a_phone_of_elsewhere_tells_nothing_of_it(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware(default=True)
    await world.services.phones.edit(ADMIN, VVX, {}, {"firmware_update": "off"})
    await world.services.sites.add(ADMIN, "paris", "Paris", {"networks": "127.0.0.0/8"})
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})
    named = f"FileTransport PolycomVVX-VVX_411-UA/5.9.6.2327 (SN:{VVX}) Type/Application"
    unknown = named.replace(VVX, "0004f2999999")

    answers = {(await world.ask("sip.ld", user_agent=said)).status for said in (named, unknown)}
    assert answers == {200}


async def test_a_certificate_gives_a_phone_its_own_version(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    await add_firmware(version="6.4.0", content=OTHER)
    await world.services.phones.edit(ADMIN, VVX, {}, {"firmware_version": "6.4.0"})
    device = world.device("poly", VVX)

    assert (await world.ask("sip.ld", listener="mtls", device=device)).body == OTHER
    assert (await world.ask(f"{PART}.sip.ld", listener="mtls", device=device, user_agent="")).body == OTHER


@pytest.mark.parametrize("name", ["9999-99999-999.sip.ld", "3111-44500-001.sip.ld", "405HD.img"])
async def test_a_certificate_does_not_make_the_name_of_another_image_mean_the_phones_own(
    world: World, add_firmware: AddFirmware, name: str
) -> None:
    await add_firmware(default=True)

    assert (await world.ask(name, listener="mtls", device=world.device("poly", VVX))).status == 404


async def test_a_name_of_no_model_is_not_the_image_of_the_phone_that_asks(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware("audiocodes-405hd", default=True)
    device = world.device("audiocodes", HD400)

    assert (await world.ask("405HD.img", listener="mtls", device=device, user_agent=HD400_UA)).status == 200
    assert (await world.ask("X.img", listener="mtls", device=device, user_agent=HD400_UA)).status == 404


async def test_where_updates_are_off_a_phone_gets_no_image_at_the_root(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    await add_firmware("audiocodes-405hd", default=True)
    for mac in (VVX, HD400):
        await world.services.phones.edit(ADMIN, mac, {}, {"firmware_update": "off"})
    device = world.device("poly", VVX)

    assert (await world.ask("sip.ld", listener="mtls", device=device)).status == 404
    assert (await world.ask("405HD.img", user_agent=HD400_UA)).status == 404
    master = await world.ask(f"{VVX}.cfg")
    assert b'APP_FILE_PATH="fw/none/sip.ld"' in master.body


async def test_no_version_may_take_the_name_that_switches_updates_off(world: World, tmp_path: Path) -> None:
    """`fw/none/sip.ld` must stay unknown, or a phone with updates off would take the image."""
    source = tmp_path / "image"
    source.write_bytes(IMAGE)
    with contextlib.suppress(Exception):
        await world.services.firmware.add(ADMIN, source, ["vvx-411"], "none", True)

    assert (await world.ask("fw/none/sip.ld")).status == 404


# ---- who may have it


async def test_an_image_is_given_in_the_network_of_any_site(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    await world.services.sites.add(ADMIN, "paris", "Paris", {"networks": "127.0.0.0/8"})
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})

    assert (await world.ask(f"{PLACE}/sip.ld")).status == 200


async def test_an_image_is_not_given_to_an_address_of_no_site(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})

    for listener in ("http", "https"):
        for name in (f"{PLACE}/sip.ld", "sip.ld"):
            assert (await world.ask(name, listener=listener)).status == 404
    device = world.device("poly", "0004f2999999")
    assert (await world.ask(f"{PLACE}/sip.ld", listener="mtls", device=device)).status == 200


async def test_an_image_is_not_given_where_the_network_is_no_proof(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})

    assert (await world.ask(f"{PLACE}/sip.ld")).status == 404


async def test_a_server_that_began_empty_gives_images_once_it_has_some(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "empty"
    make_device_authority(data / "certs" / "poly", "test-poly")
    world = await start(data)
    device = world.device("poly", VVX)
    assert (await world.ask("fw/6.0/sip.ld")).status == 404
    assert (await world.ask("fw/6.0/sip.ld", listener="mtls", device=device)).status == 404
    source = tmp_path / "image"
    source.write_bytes(IMAGE)
    await world.services.sites.add(ADMIN, "madrid", "Madrid", {"networks": "127.0.0.0/8"})
    await world.services.firmware.add(ADMIN, source, ["vvx-411"], "6.0", False)

    assert (await world.ask("fw/6.0/sip.ld", listener="mtls", device=device)).status == 200
    assert (await world.ask("fw/6.0/sip.ld")).status == 200


async def test_nobody_uploads_an_image(world: World, add_firmware: AddFirmware) -> None:
    sha256 = await add_firmware(default=True)

    for name in (f"{PLACE}/sip.ld", "sip.ld"):
        assert (await world.ask(name, method="PUT", body=b"x")).status == 404
    assert stored(world, sha256).read_bytes() == IMAGE


async def test_an_image_that_was_removed_is_gone(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    assert (await world.ask(f"{PLACE}/sip.ld")).status == 200
    await world.services.firmware.remove(ADMIN, "vvx-411", VERSION)

    assert (await world.ask(f"{PLACE}/sip.ld")).status == 404


# ---- HTTP


async def test_head_tells_the_size_and_sends_nothing(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    answer = await world.ask(f"{PLACE}/sip.ld", method="HEAD")

    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", str(len(IMAGE)))


@pytest.mark.parametrize("listener", ["http", "https"])
async def test_a_range_gives_a_part(world: World, add_firmware: AddFirmware, listener: str) -> None:
    await add_firmware()
    answer = await world.ask(f"{PLACE}/sip.ld", listener=listener, headers={"Range": "bytes=100-199"})

    assert (answer.status, answer.body) == (206, IMAGE[100:200])
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(IMAGE)}"


async def test_a_range_beyond_the_end_is_not_satisfiable(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    answer = await world.ask(f"{PLACE}/sip.ld", headers={"Range": f"bytes={len(IMAGE)}-"})

    assert (answer.status, answer.headers["Content-Range"], answer.body) == (416, f"bytes */{len(IMAGE)}", b"")


async def test_a_phone_that_has_the_image_is_told_so(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    first = await world.ask(f"{PLACE}/sip.ld")
    again = await world.ask(f"{PLACE}/sip.ld", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.body) == (304, b"")


async def test_the_tag_of_an_image_is_that_of_its_bytes(world: World, add_firmware: AddFirmware) -> None:
    """Two servers with the same image, or one after a restore, must not make phones load it again."""
    sha256 = await add_firmware()
    first = await world.ask(f"{PLACE}/sip.ld", method="HEAD")
    os.utime(stored(world, sha256), (1, 1))
    again = await world.ask(f"{PLACE}/sip.ld", method="HEAD")

    assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("listener", ["http", "mtls"])
async def test_a_phone_that_hangs_up_in_the_middle_is_no_error(
    world: World, add_firmware: AddFirmware, listener: str, caplog: pytest.LogCaptureFixture
) -> None:
    await add_firmware(content=os.urandom(1 << 20) * 24)
    with capture_logs() as lines:
        for _ in range(3):
            await _hang_up(world, f"{PLACE}/sip.ld", listener)

        async def noted() -> bool:
            return f'ztp_phone_request_seconds_count{{listener="{listener}"}} 3.0' in world.app.metrics.text().decode()

        await eventually(noted)
        after = await world.ask(f"{PLACE}/sip.ld", headers={"Range": "bytes=0-9"})

    assert after.status == 206
    assert [line for line in lines if line["log_level"] in ("warning", "error", "critical")] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= 30] == []


# ---- bytes on disk


async def test_a_byte_flipped_on_disk_is_noticed_and_never_served(world: World, add_firmware: AddFirmware) -> None:
    sha256 = await add_firmware()
    assert (await world.ask(f"{PLACE}/sip.ld")).status == 200
    path = stored(world, sha256)
    before = path.stat()
    _flip(path, 1000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = await world.ask(f"{PLACE}/sip.ld", headers=headers)
        assert (answer.status, answer.body) == (503, b"")
    assert (await world.ask(f"{PLACE}/sip.ld", method="HEAD")).status == 503
    assert await _events(world, "firmware.damaged") == [sha256]

    _flip(path, 1000)
    answer = await world.ask(f"{PLACE}/sip.ld")
    assert (answer.status, answer.body) == (200, IMAGE)


async def test_an_image_that_is_gone_from_the_disk_is_our_failure(world: World, add_firmware: AddFirmware) -> None:
    sha256 = await add_firmware()
    stored(world, sha256).unlink()

    assert (await world.ask(f"{PLACE}/sip.ld")).status == 503
    assert await _events(world, "firmware.damaged") == [sha256]


async def test_damage_while_the_server_was_down_is_found_at_its_start(world: World, add_firmware: AddFirmware) -> None:
    sha256 = await add_firmware()
    _flip(stored(world, sha256), 0)
    await world.restart()

    async def found() -> bool:
        return await _events(world, "firmware.damaged") == [sha256]

    await eventually(found)


def _flip(path: Path, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        [byte] = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


async def _events(world: World, action: str) -> Sequence[str]:
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        return [event.subject for event in await session.events.latest() if event.action == action]


async def _hang_up(world: World, path: str, listener: str) -> None:
    """Read the beginning of an answer, as a phone that reads the header of an image, then drop the connection."""
    context = world.tls(world.device("poly", VVX)) if listener == "mtls" else None
    port = world.app.listeners[listener].address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {VVX_UA}\r\n\r\n".encode())
    assert (await reader.readexactly(12)) == b"HTTP/1.1 200"
    writer.transport.abort()
    await asyncio.sleep(0)
