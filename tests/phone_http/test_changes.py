"""What an administrator changes, by another process or in a file, is what the next request gets."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, World, examples, sample_phone
from tests.phone_http.conftest import ROOT, Ztp, eventually

SETTINGS = f"{VVX}-settings.cfg"
TEMPLATE = "poly/vvx/settings.cfg.j2"
SHIPPED = (ROOT / "templates" / TEMPLATE).read_text("utf-8")


async def health(world: World) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{world.app.admin_address}/healthz") as answer:
        found: dict[str, object] = json.loads(await answer.read())
        return found


def marked(value: str) -> str:
    """The shipped template with a parameter more."""
    return SHIPPED.replace("</PHONE_CONFIG>", f'  <own own.mark="{value}"/>\n</PHONE_CONFIG>')


def override(world: World, text: str, name: str = TEMPLATE) -> None:
    path = world.data / "templates" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


# ---- another process


async def test_a_phone_edited_by_another_process_is_served_as_it_is_now(world: World, ztp: Ztp) -> None:
    before = await world.ask(SETTINGS)
    await ztp("phone", "edit", VVX, "--set", "rtp_port_start=7000")
    after = await world.ask(SETTINGS)

    assert b'mediaPortRangeStart="7000"' in after.body and b'mediaPortRangeStart="7000"' not in before.body
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_a_phone_added_and_removed_by_another_process_comes_and_goes(world: World, ztp: Ztp) -> None:
    mac = "0004f2000123"
    assert (await world.ask(f"{mac}.cfg")).status == 404
    await ztp(
        *("phone", "add", "--hardware-id", mac, "--model", "vvx-411", "--site", "madrid"),
        *("--base-settings", "vvx-standard", "--line", "user=1,password=x"),
    )
    assert (await world.ask(f"{mac}.cfg")).status == 200
    await ztp("phone", "remove", mac)
    assert (await world.ask(f"{mac}.cfg")).status == 404


async def test_base_settings_edited_by_another_process_reach_all_their_phones(world: World, ztp: Ztp) -> None:
    for mac in (VVX, OTHER_VVX):
        assert b'rfc2833Payload="102"' in (await world.ask(f"{mac}-settings.cfg")).body
    await ztp("base-settings", "edit", "vvx-standard", "--set", "dtmf_payload_type=111")

    for mac in (VVX, OTHER_VVX):
        assert b'rfc2833Payload="111"' in (await world.ask(f"{mac}-settings.cfg")).body


async def test_a_site_edited_by_another_process_reaches_its_phones_of_every_family(world: World, ztp: Ztp) -> None:
    await world.ask(SETTINGS)
    await ztp("site", "edit", "madrid", "--set", "sip_server=moved.example.net")

    assert b'server.1.address="moved.example.net"' in (await world.ask(SETTINGS)).body
    assert b"proxy_address=moved.example.net" in (await world.ask(f"{HD400}.cfg")).body


async def test_a_network_taken_from_a_site_by_another_process_proves_nothing_any_more(world: World, ztp: Ztp) -> None:
    assert (await world.ask(SETTINGS)).status == 200
    await ztp("site", "edit", "madrid", "--set", "networks=10.0.0.0/8")

    assert (await world.ask(SETTINGS)).status == 404


# ---- this process


async def test_a_removed_phone_is_answered_as_one_that_never_was(world: World) -> None:
    assert (await world.ask(SETTINGS)).status == 200
    await world.services.phones.remove(ADMIN, VVX)

    removed, unknown = await world.ask(SETTINGS), await world.ask("0004f2999999-settings.cfg")
    assert (removed.status, removed.body) == (unknown.status, unknown.body) == (404, b"")


async def test_a_phone_with_another_mac_is_found_under_the_new_one_only(world: World) -> None:
    await world.ask(SETTINGS)
    await world.services.phones.edit(ADMIN, VVX, {"hardware_id": "0004f2000456"}, {})

    assert (await world.ask(SETTINGS)).status == 404
    assert (await world.ask("0004f2000456-settings.cfg")).status == 200


async def test_a_phone_that_is_replaced_by_another_model_gets_the_files_of_that(world: World) -> None:
    await world.ask(f"{VVX}.cfg")
    changes = {"model": "audiocodes-405hd", "base_settings": "400hd"}
    await world.services.phones.edit(ADMIN, VVX, changes, {}, None, ())

    assert (await world.ask(f"{VVX}.cfg")).body.startswith(b"system/type=405HD")
    assert (await world.ask(SETTINGS)).status == 404


async def test_every_edit_is_in_the_answer_to_the_request_after_it(world: World) -> None:
    for port in range(4000, 4100, 2):
        await world.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": str(port)})
        assert f'mediaPortRangeStart="{port}"'.encode() in (await world.ask(SETTINGS)).body


# ---- templates of the administrator


async def test_an_own_template_is_taken_up(world: World) -> None:
    override(world, marked("1"))

    async def taken_up() -> bool:
        return b'own.mark="1"' in (await world.ask(SETTINGS)).body

    await eventually(taken_up, seconds=4)
    (world.data / "templates" / TEMPLATE).unlink()

    async def given_up() -> bool:
        return not await taken_up()

    await eventually(given_up, seconds=4)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("<PHONE_CONFIG>\n\n{% if %}\n</PHONE_CONFIG>", 3),
        ("<PHONE_CONFIG>\n{{ nothing }}\n</PHONE_CONFIG>", 2),
        ('<PHONE_CONFIG>\n<x a="{{ settings.no_such }}"/>\n</PHONE_CONFIG>', 2),
        ("<PHONE_CONFIG>\n<x>\n</PHONE_CONFIG>", None),
        ("<PHONE_CONFIG>\n{% for n in [1] * 1000000000 %}{% endfor %}\n</PHONE_CONFIG>", 2),
    ],
)
async def test_a_broken_template_leaves_the_last_good_one_in_service(
    world: World, broken: str, line: int | None
) -> None:
    override(world, marked("1"))

    async def taken_up() -> bool:
        return b'own.mark="1"' in (await world.ask(SETTINGS)).body

    await eventually(taken_up)
    override(world, broken)

    async def told() -> bool:
        return (await health(world))["status"] == "degraded"

    await eventually(told)
    [problem] = (await health(world))["template_problems"]  # type: ignore[misc]
    assert str(problem).startswith(f"{TEMPLATE}:{'' if line is None else line}")
    for mac in (VVX, OTHER_VVX):
        assert b'own.mark="1"' in (await world.ask(f"{mac}-settings.cfg")).body
    # A phone that asks for the first time is served by the last good template as well.
    await world.services.phones.add(ADMIN, sample_phone("0004f2000789"))
    assert b'own.mark="1"' in (await world.ask("0004f2000789-settings.cfg")).body
    assert (await world.ask(f"{HD400}.cfg")).status == 200


async def test_a_repaired_template_is_taken_up_and_all_is_well_again(world: World) -> None:
    override(world, "<PHONE_CONFIG>{{ nothing }}</PHONE_CONFIG>")

    async def told() -> bool:
        return (await health(world))["status"] == "degraded"

    await eventually(told)
    assert (await world.ask(SETTINGS)).status == 200
    override(world, marked("2"))

    async def taken_up() -> bool:
        return b'own.mark="2"' in (await world.ask(SETTINGS)).body

    await eventually(taken_up)
    assert await health(world) == {"status": "ok", "template_problems": []}


async def test_a_broken_template_outlives_a_restart_as_the_last_good_one_does(world: World) -> None:
    override(world, marked("1"))

    async def taken_up() -> bool:
        return b'own.mark="1"' in (await world.ask(SETTINGS)).body

    await eventually(taken_up)
    override(world, "{% if %}")
    await world.restart()

    assert await taken_up()
    assert (await health(world))["status"] == "degraded"


async def test_a_broken_vendor_file_leaves_every_phone_served(world: World) -> None:
    override(world, "name = 'x'\nouis = nothing\n", "poly/vendor.toml")

    async def told() -> bool:
        return (await health(world))["status"] == "degraded"

    await eventually(told)
    [problem] = (await health(world))["template_problems"]  # type: ignore[misc]
    assert str(problem).startswith("poly/vendor.toml:2")
    for name in (SETTINGS, f"{HD400}.cfg"):
        assert (await world.ask(name)).status == 200


async def test_a_plain_file_of_a_vendor_folder_is_served_to_proven_phones_only(world: World) -> None:
    folder = world.data / "templates" / "poly" / "files" / "tones"
    folder.mkdir(parents=True)
    (folder / "ring.wav").write_bytes(b"RIFF")

    async def served() -> bool:
        return (await world.ask("tones/ring.wav")).body == b"RIFF"

    await eventually(served)
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})
    assert (await world.ask("tones/ring.wav")).status == 404
    assert (await world.ask("tones/ring.wav", listener="mtls", device=world.device("poly", VVX))).body == b"RIFF"
    assert (await world.ask("tones")).status == 404


async def test_an_edit_is_not_lost_among_requests_that_are_under_way(world: World) -> None:
    """A request that read the old record must not be remembered after another was told to forget it."""
    stop = asyncio.Event()

    async def poll() -> None:
        while not stop.is_set():
            await world.ask(SETTINGS)

    async with asyncio.TaskGroup() as phones:
        for _ in range(6):
            phones.create_task(poll())
        try:
            for port in range(4000, 4000 + 2 * examples(60, 1000), 2):
                await world.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": str(port)})
                assert f'mediaPortRangeStart="{port}"' in (await world.ask(SETTINGS)).text
        finally:
            stop.set()
