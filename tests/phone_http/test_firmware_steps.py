"""Firmware by steps: what a phone is offered depends on what it runs, and is never older by accident."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, World
from tests.phone_http.conftest import AddFirmware, Ztp

PART = "3111-48450-001"
FIRST, VIA, LAST, NEXT = "5.5.2.8571", "5.7.3.2263", "5.9.8.5760", "6.4.6.2494"
IMAGES = {version: version.encode() * 100 for version in (FIRST, VIA, LAST, NEXT)}
UPDATER = "FileTransport PolycomVVX-VVX_411-UA/5.9.7.47435 Type/Updater"


def app(version: str, mac: str = "") -> str:
    """The User-Agent of a VVX 411 that runs a version; with a MAC once it was told to send it."""
    serial = f" (SN:{mac})" if mac else ""
    return f"FileTransport PolycomVVX-VVX_411-UA/{version}{serial} Type/Application"


def hd400(version: str) -> str:
    return f"AUDC-IPPhone/{version} (405HD-Rev0; {HD400.upper()})"


@pytest.fixture
async def library(add_firmware: AddFirmware) -> None:
    """Every image of the common model."""
    for version, content in IMAGES.items():
        await add_firmware(version=version, content=content)


async def want(world: World, version: str, mac: str = VVX, **more: str) -> None:
    await world.services.phones.edit(ADMIN, mac, {}, {"firmware_version": version, **more})


async def offered(world: World, user_agent: str, mac: str = VVX) -> str:
    """The folder of firmware that the master file of a VVX names."""
    body = (await world.ask(f"{mac}.cfg", user_agent=user_agent)).text
    found = re.search('APP_FILE_PATH="(.*)sip.ld"', body)
    assert found
    return found[1]


async def image(world: World, name: str, user_agent: str) -> str:
    """The version of the image under a name, or nothing where it is refused."""
    answer = await world.ask(name, user_agent=user_agent)
    assert answer.status in (200, 404)
    return next((version for version, content in IMAGES.items() if content == answer.body), "")


async def events(world: World) -> Sequence[tuple[str, str]]:
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        found = await session.events.latest()
    return [(e.subject, e.detail["reason"]) for e in found if e.action == "firmware.step_missing"]


# ---- steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_default", [False, True])
async def test_a_phone_goes_up_step_by_step(world: World, add_firmware: AddFirmware, as_default: bool) -> None:
    for version in (FIRST, VIA, LAST):
        await add_firmware(version=version, content=IMAGES[version], default=as_default)
    if not as_default:
        await want(world, LAST)
    running, ran, settings = FIRST, [FIRST], set()
    for _boot in range(5):
        before = await offered(world, UPDATER)  # at every boot the Updater asks first, and does not know the version
        assert (await image(world, f"{before}{PART}.sip.ld", UPDATER)) in (VIA, LAST)
        folder = await offered(world, app(running))
        loaded = await image(world, f"{folder}{PART}.sip.ld", app(running))
        settings.add((await world.ask(f"{VVX}-settings.cfg", user_agent=app(running))).body)
        if loaded == running:
            break
        running = loaded
        ran.append(running)

    assert ran == [FIRST, VIA, LAST] and running == LAST
    assert len(settings) == 2, "one with the address in plain HTTP until it speaks TLS as we do, one after it"


async def test_the_file_of_a_phone_follows_what_it_runs_at_once(world: World, library: None) -> None:
    await want(world, LAST)
    first = await world.ask(f"{VVX}.cfg", user_agent=app(FIRST))
    again = await world.ask(f"{VVX}.cfg", user_agent=app(FIRST))
    after = await world.ask(f"{VVX}.cfg", user_agent=app(VIA))
    back = await world.ask(f"{VVX}.cfg", user_agent=app(FIRST))

    assert f"fw/{VIA}/".encode() in first.body and f"fw/{LAST}/".encode() in after.body
    assert first.body == again.body == back.body and first.headers["ETag"] == back.headers["ETag"]
    assert first.headers["ETag"] != after.headers["ETag"]


async def test_what_a_phone_said_before_a_restart_of_the_server_still_counts(world: World, library: None) -> None:
    await want(world, LAST)
    assert await offered(world, UPDATER) == f"fw/{LAST}/", "it has not said what it runs"
    assert await offered(world, app(FIRST)) == f"fw/{VIA}/"
    await world.restart()
    assert await offered(world, UPDATER) == f"fw/{VIA}/"
    await world.services.phones.edit(ADMIN, VVX, {"name": "renamed"}, {})
    assert await offered(world, UPDATER) == f"fw/{VIA}/"


async def test_a_phone_of_a_model_without_steps_goes_at_once(world: World, add_firmware: AddFirmware) -> None:
    await world.services.phones.edit(ADMIN, OTHER_VVX, {"model": "vvx-500"}, {"firmware_version": LAST})
    for version in (VIA, LAST):
        await add_firmware("vvx-500", version=version, content=IMAGES[version])

    assert await offered(world, app(FIRST).replace("411", "500"), OTHER_VVX) == f"fw/{LAST}/"


async def test_while_the_image_on_the_way_is_missing_a_phone_keeps_what_it_runs(
    world: World, add_firmware: AddFirmware
) -> None:
    await add_firmware(version=LAST, content=IMAGES[LAST])
    await want(world, LAST)

    assert await offered(world, app(FIRST)) == "fw/none/"
    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", app(FIRST)) == ""
    assert await events(world) == [("vvx-411", f"needs a 5.7 image to reach {LAST}")]
    await add_firmware(version=VIA, content=IMAGES[VIA])
    assert await offered(world, app(FIRST)) == f"fw/{VIA}/"
    await world.services.firmware.remove(ADMIN, "vvx-411", VIA)
    assert await offered(world, app(FIRST)) == "fw/none/"


async def test_the_newest_image_of_the_step_is_taken(world: World, library: None, add_firmware: AddFirmware) -> None:
    await add_firmware(version="5.7.10.1", content=b"x" * 99)
    await want(world, LAST)

    assert await offered(world, app(FIRST)) == "fw/5.7.10.1/"


@pytest.mark.parametrize("name", ["sip.ld", f"{PART}.sip.ld"])
async def test_a_phone_we_do_not_know_gets_its_step_by_what_its_user_agent_says(
    world: World, library: None, add_firmware: AddFirmware, name: str
) -> None:
    await world.services.firmware.remove(ADMIN, "vvx-411", LAST)
    await add_firmware(version=LAST, content=IMAGES[LAST], default=True)

    assert await image(world, name, app(FIRST)) == VIA
    assert await image(world, name, app(VIA)) == LAST
    assert await image(world, name, app(LAST)) == LAST
    assert await image(world, name, app(NEXT)) == ""
    assert await image(world, name, UPDATER) == LAST
    # A name with a version means those bytes or none.
    assert await image(world, f"fw/{LAST}/{name}", app(FIRST)) == ""
    assert await image(world, f"fw/{LAST}/{name}", app(VIA)) == LAST


# ---- no downgrade by accident ---------------------------------------------------------------------------------------


async def test_a_phone_is_not_given_an_older_image_than_it_runs(world: World, library: None) -> None:
    await want(world, LAST)
    said = app(NEXT, VVX)

    assert await offered(world, said) == "fw/none/"
    assert await offered(world, UPDATER) == "fw/none/"
    assert await image(world, "sip.ld", said) == ""
    assert await image(world, f"{PART}.sip.ld", said) == ""
    # An old file of the phone's may still name it.
    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", said) == ""
    assert await image(world, f"fw/{NEXT}/{PART}.sip.ld", said) == NEXT


async def test_a_phone_goes_back_where_that_is_allowed(world: World, library: None) -> None:
    await want(world, LAST, firmware_downgrade="on")
    said = app(NEXT, VVX)

    assert await offered(world, said) == f"fw/{LAST}/"
    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", said) == LAST
    assert await image(world, "sip.ld", said) == LAST
    # It is this phone that may go back, not whoever does not say who it is.
    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", app(NEXT)) == ""
    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", app(NEXT, OTHER_VVX)) == ""


async def test_a_phone_that_goes_back_to_where_it_speaks_no_tls_is_sent_to_plain_http_before(
    world: World, library: None
) -> None:
    async def steady() -> str:
        body = (await world.ask(f"{VVX}-settings.cfg", listener="https", user_agent=app(LAST))).text
        return body.partition('device.prov.serverName="')[2].partition('"')[0]

    await want(world, FIRST)
    assert await steady() == world.url("mtls"), "it keeps what it runs"
    await want(world, FIRST, firmware_downgrade="on")
    assert await steady() == world.url("http")
    await want(world, LAST)
    assert await steady() == world.url("mtls")


async def test_what_a_boot_loader_asks_for_was_decided_in_the_phones_file(world: World, library: None) -> None:
    await want(world, LAST)
    assert await offered(world, app(NEXT)) == "fw/none/"

    assert await image(world, f"fw/{LAST}/{PART}.sip.ld", UPDATER) == LAST
    named = UPDATER.replace(" Type", f" (SN:{VVX}) Type")
    assert await image(world, "sip.ld", named) == "", "without a version the phone's last word counts"


async def test_the_other_maker_names_no_image_that_is_older(world: World, add_firmware: AddFirmware) -> None:
    for version in ("2.2.16.525", "UC_3.4.6.604"):
        await add_firmware("audiocodes-405hd", version=version, content=version.encode())
    await want(world, "UC_3.4.6.604", HD400)
    url = "provisioning/firmware/url="

    newer = await world.ask(f"{HD400}.cfg", user_agent=hd400("2.2.8.61"))
    same = await world.ask(f"{HD400}.cfg", user_agent=hd400("3.4.6.604"))
    older = await world.ask(f"{HD400}.cfg", user_agent=hd400("3.4.8"))

    assert f"{url}https://127.0.0.1" in newer.text and "fw/UC_3.4.6.604/405HD.img\n" in newer.text
    assert same.body == newer.body, "the phone compares for itself"
    assert f"{url}\n" in older.text
    assert (await world.ask("405HD.img", user_agent=hd400("3.4.8"))).status == 404
    assert (await world.ask("fw/2.2.16.525/405HD.img", user_agent=hd400("3.4.6.604"))).status == 404
    assert (await world.ask("405HD.img", user_agent=hd400("2.2.8.61"))).body == b"UC_3.4.6.604"


async def test_a_default_that_is_older_is_not_given_either(
    world: World, library: None, add_firmware: AddFirmware
) -> None:
    await add_firmware(version="5.9.1", content=b"y" * 99, default=True)

    assert await offered(world, app(VIA)) == "fw/5.9.1/"
    assert await offered(world, app(NEXT)) == "fw/none/"


# ---- whose word counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user_agent", ["curl/8.1", "Mozilla/5.0", hd400("9.9.9"), ""])
async def test_another_device_on_the_phones_network_says_nothing_of_its_firmware(
    world: World, library: None, user_agent: str
) -> None:
    await want(world, LAST)
    assert await offered(world, app(FIRST)) == f"fw/{VIA}/"

    assert await offered(world, user_agent) == f"fw/{VIA}/"
    await world.restart()
    assert await offered(world, UPDATER) == f"fw/{VIA}/"


async def test_a_request_without_proof_does_not_change_what_a_phone_is_offered(world: World, library: None) -> None:
    await want(world, LAST)
    assert await offered(world, app(VIA)) == f"fw/{LAST}/"
    await image(world, "sip.ld", app("99.0", VVX))

    assert await offered(world, UPDATER) == f"fw/{LAST}/"


# ---- what an administrator sees -------------------------------------------------------------------------------------


async def test_an_administrator_sees_what_a_phone_runs_and_is_offered_and_why(
    world: World, library: None, ztp: Ztp
) -> None:
    await want(world, LAST)
    await world.ask(f"{VVX}.cfg", user_agent=app(FIRST))
    await world.app.check_ins.flush()

    running, offer = await world.services.phones.firmware(ADMIN, VVX)
    assert (running, offer.wanted, offer.version) == (FIRST, LAST, VIA)
    previewed = await world.services.phones.preview(ADMIN, VVX, f"{VVX}.cfg", False)
    assert f"fw/{VIA}/".encode() in previewed[f"{VVX}.cfg"]
    shown = await ztp("phone", "show", VVX)
    assert f'"running": "{FIRST}"' in shown and f'"offered": "{VIA}"' in shown
    assert f'"reason": "the way to {LAST} leads over it"' in shown


async def test_a_phone_that_never_came_is_offered_what_is_wanted(world: World, library: None) -> None:
    await want(world, LAST)

    running, offer = await world.services.phones.firmware(ADMIN, VVX)
    assert (running, offer.version, offer.reason) == ("", LAST, "what it runs is not known")
    await want(world, LAST, firmware_update="off")
    _, offer = await world.services.phones.firmware(ADMIN, VVX)
    assert (offer.wanted, offer.version, offer.reason) == (LAST, "", "firmware_update is off")
