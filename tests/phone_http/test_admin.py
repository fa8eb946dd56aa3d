"""What monitoring asks: on the admin listener, and nowhere else."""

from __future__ import annotations

import json

import aiohttp
import pytest

from tests.conftest import ADMIN, HOSTILE_PASSWORD, VVX, World

SETTINGS = f"{VVX}-settings.cfg"


async def admin(world: World, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{world.app.admin_address}/{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_a_sound_server_says_so(world: World) -> None:
    status, _, text = await admin(world, "healthz")

    assert (status, json.loads(text)) == (200, {"status": "ok", "template_problems": []})


async def test_a_server_without_its_database_says_so_and_serves_the_phones_it_knows(world: World) -> None:
    before = await world.ask(SETTINGS)
    database = world.data / "ztp.db"
    moved = [path.rename(path.with_name("away-" + path.name)) for path in sorted(world.data.glob("ztp.db*"))]
    database.write_bytes(b"not a database" * 1000)
    await world.services.store.close()

    status, _, text = await admin(world, "healthz")
    assert status == 503 and json.loads(text)["status"] == "failing"
    assert (await world.ask(SETTINGS)).body == before.body
    for path in moved:
        path.rename(path.with_name(path.name.removeprefix("away-")))


async def test_a_database_lost_after_an_edit_leaves_phones_served_once_it_was_heeded(world: World) -> None:
    before = await world.ask(SETTINGS)
    await world.services.sites.edit(ADMIN, "madrid", "Madrid again", {})
    await world.app.fleet.catch_up()
    # Within a second: until then nobody knows whether the phones of the site are believed as before.
    await world.app.last_good.flush()
    moved = [path.rename(path.with_name("away-" + path.name)) for path in sorted(world.data.glob("ztp.db*"))]
    (world.data / "ztp.db").write_bytes(b"not a database" * 1000)
    await world.services.store.close()

    assert (await world.ask(SETTINGS)).body == before.body
    for path in moved:
        path.rename(path.with_name(path.name.removeprefix("away-")))


async def test_requests_are_counted_by_listener_vendor_and_status(world: World) -> None:
    await world.ask(SETTINGS)
    await world.ask(SETTINGS, listener="https")
    await world.ask("0004f2999999.cfg")
    _, content_type, text = await admin(world, "metrics")

    assert content_type.startswith("text/plain; version=")
    assert 'ztp_phone_requests_total{listener="http",status="200",vendor="poly"} 1.0' in text
    assert 'ztp_phone_requests_total{listener="https",status="200",vendor="poly"} 1.0' in text
    assert 'status="404"' in text
    for name in (
        *("ztp_phone_requests_total", "ztp_phone_bytes_total", "ztp_phone_request_seconds_bucket"),
        *("ztp_template_problems", "ztp_server_certificate_days"),
    ):
        assert f"\n{name}" in text


async def test_the_days_of_the_server_certificate_are_told(world: World) -> None:
    _, _, text = await admin(world, "metrics")
    [line] = [line for line in text.splitlines() if line.startswith("ztp_server_certificate_days ")]

    assert float(line.split()[1]) > 30


async def test_bytes_are_those_that_were_sent(world: World) -> None:
    size = len((await world.ask(SETTINGS)).body)
    await world.ask(SETTINGS, method="HEAD")
    _, _, text = await admin(world, "metrics")

    assert f'ztp_phone_bytes_total{{listener="http"}} {float(size)}' in text


async def test_no_mac_no_name_and_no_secret_is_a_label(world: World) -> None:
    for name in (SETTINGS, f"{VVX}-made-up.cfg", "made-up"):
        await world.ask(name, user_agent="made-up")
    _, _, text = await admin(world, "metrics")

    assert VVX not in text.lower() and "made-up" not in text and HOSTILE_PASSWORD not in text


@pytest.mark.parametrize("path", [SETTINGS, "000000000000.cfg", "ca.pem", "00908f112233", "fw/1.0/sip.ld"])
async def test_the_admin_listener_gives_no_file_of_a_phone(world: World, path: str) -> None:
    assert (await admin(world, path))[0] == 404


@pytest.mark.parametrize("path", ["healthz", "metrics", "api/v1/phones"])
@pytest.mark.parametrize("listener", ["http", "https"])
async def test_the_listeners_of_phones_give_nothing_of_the_administrator(
    world: World, listener: str, path: str
) -> None:
    answer = await world.ask(path, listener=listener)

    assert (answer.status, answer.body) == (404, b"")
