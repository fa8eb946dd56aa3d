"""A bit that flipped in one sealed value: what it belongs to is named, and nothing else notices."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, World, sample_phone
from tests.services.sealed import FILE_JOB, flip, seal_everything, sealed_texts
from ztp_server.domain.phone import Line
from ztp_server.errors import BadValue, Damaged
from ztp_server.services.phone_selection import parse_selection

OWN, OTHER = f"{VVX}-settings.cfg", f"{OTHER_VVX}-settings.cfg"


async def events_of(world: World, action: str) -> list[tuple[str, str]]:
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        return [(e.subject, e.detail["reason"]) for e in await session.events.latest(1000) if e.action == action]


async def damage(world: World, table: str, column: str, where: str) -> None:
    """In a thread: the server may be in the middle of a transaction, and ends it in this one."""
    await asyncio.to_thread(flip, world.data, table, column, where)


async def exported(world: World, reveal: bool) -> str:
    export = await world.services.phone_export.export(ADMIN, {}, reveal=reveal, reason="moving")
    return b"".join([part async for part in export.pieces]).decode()


async def test_a_damaged_password_is_one_phones_trouble_until_it_is_set_anew(world: World) -> None:
    services, good = world.services, await world.ask(OWN)
    await damage(world, "lines", "password", "user = '1001'")
    await services.sites.edit(ADMIN, "madrid", "New name", {})  # so that the phone is read anew
    # It is served what it was given in better days, also after a restart; and nothing rather than something wrong.
    again = await world.ask(OWN)
    assert (again.status, again.body) == (200, good.body)
    # Who proves nothing is told what others are told, whatever is damaged.
    assert (await world.ask(OWN, headers={"Forwarded": "for=192.0.2.1"})).status == 404
    await world.restart()
    services, again = world.services, await world.ask(OWN)
    assert (again.status, again.body) == (200, good.body)
    services.last_good.drop()
    assert (await world.ask(OWN)).status == 503 and (await world.ask(OTHER)).status == 200
    assert (await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)).status == 200
    # Each of the two servers told of it, once.
    ((subject, reason),) = set(await events_of(world, "secret.damaged"))
    assert subject == VVX and reason.startswith("lines/") and "does not open" in reason

    assert len(await services.phones.all(ADMIN)) == 3 and len((await services.phone_list.page(ADMIN, {})).items) == 3
    rows = (await exported(world, True)).splitlines()
    assert len(rows) == 4 and "\uffff" not in "".join(rows)
    assert len((await exported(world, False)).splitlines()) == 4
    with pytest.raises(Damaged, match="does not open"):
        await services.phones.preview(ADMIN, VVX, None, True, "why")
    assert len(await services.phones.preview(ADMIN, VVX, None, False)) and await services.phones.explain(ADMIN, VVX)
    assert await services.phones.firmware(ADMIN, VVX) and await services.phone_status.get(ADMIN, VVX)
    with pytest.raises(Damaged, match="does not open"):
        await services.connections.get(ADMIN, VVX, reveal=True, reason="why")
    assert (await services.connections.get(ADMIN, VVX)).accounts[0].password == "***"
    # Whoever changes another field does not make an empty password of it.
    with pytest.raises(BadValue, match=r"lines\.1\.password: what is stored does not open any more; set it anew"):
        await services.phones.edit(ADMIN, VVX, {"name": "New"}, {})
    job = await services.phone_bulk.edit(ADMIN, parse_selection(None, {"model": ["vvx-411"]}), {"site": "madrid"})
    assert (await services.job_runner.run(job.id)).state == "done"
    await services.phone_lines.set_line(ADMIN, VVX, 1, {"password": "n3w"})
    assert (await world.ask(OWN)).status == 200


async def test_another_phone_of_the_same_mac_is_never_given_what_the_one_before_was(world: World) -> None:
    before = await world.ask(OWN)
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.phones.add(ADMIN, sample_phone(VVX, lines=(Line("9999", password="another"),), line_keys=()))
    await damage(world, "lines", "password", "user = '9999'")

    assert (before.status, (await world.ask(OWN)).status) == (200, 503)


async def test_a_damaged_phone_can_be_removed_and_its_record_too(world: World) -> None:
    await damage(world, "lines", "password", "user = '1001'")
    await world.services.phones.remove(ADMIN, VVX)
    await damage(world, "removed_phones", "record", "hardware_id <> ''")
    assert [row.hardware_id async for row in world.services.removed_phones.all(ADMIN)] == [VVX]
    with pytest.raises(Damaged):
        await world.services.removed_phones.restore(ADMIN, VVX)


@pytest.mark.parametrize(
    ("table", "where", "name"),
    [
        ("sites", "id = 'madrid'", "held_token"),
        ("base_settings_revisions", "base_settings_id = 'vvx-standard'", "admin_password"),
    ],
)
async def test_a_damaged_secret_of_many_phones_is_the_trouble_of_these(
    world: World, table: str, where: str, name: str
) -> None:
    services = world.services
    await services.sites.add(ADMIN, "oslo", "Oslo", {"networks": "127.0.0.0/8", "sip_server": "sip.example.net"})
    await services.phones.edit(ADMIN, HD400, {"site": "oslo"}, {})
    await services.sites.edit(ADMIN, "madrid", None, {"held_token": "s3cret"})
    await damage(world, table, "settings", where)
    await world.restart()
    services = world.services
    assert (await world.ask(OWN)).status == 503
    assert (await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)).status == 200
    assert [place for place, _ in await events_of(world, "secret.damaged")]
    assert [site.id for site in await services.sites.all(ADMIN)] == ["madrid", "oslo"]
    assert len(await services.base_settings.all(ADMIN)) == 2
    assert len((await services.phone_list.page(ADMIN, {})).items) == 3
    assert len((await exported(world, True)).splitlines()) == 4
    if table == "sites":
        await services.sites.edit(ADMIN, "madrid", None, {name: "n3w"})
    else:
        await services.base_settings.edit(ADMIN, "vvx-standard", None, {name: "n3w"})
    assert (await world.ask(OWN)).status == 200


async def test_everything_else_that_is_sealed_fails_alone(world: World) -> None:
    await seal_everything_else(world)
    for table, column, where in (
        ("user_lines", "password", "password <> ''"),
        ("uploads", "body", "phone_id <> ''"),
        ("digest_credentials", "password", "password <> ''"),
        ("idempotency_keys", "answer", "answer <> ''"),
        ("phones", "settings", f"hardware_id = '{VVX}'"),
    ):
        await damage(world, table, column, where)
    services = world.services
    assert [user.id for user in (await services.users.page(ADMIN))[0]] == ["eva"]
    assert len(await services.phones.all(ADMIN)) == 3
    assert len((await exported(world, True)).splitlines()) == 4
    assert (await services.jobs.get(ADMIN, FILE_JOB)).id == FILE_JOB
    assert (await world.ask(OTHER)).status == 200


async def seal_everything_else(world: World) -> None:
    """`seal_everything` in an empty folder of its own, taken over."""
    for phone in await world.services.phones.all(ADMIN):
        await world.services.phones.remove(ADMIN, phone.id)
    async with world.services.store.write() as session:
        for name in ("vvx-standard", "400hd"):
            await session.base_settings.remove(name)
        await session.sites.remove("madrid")
    await seal_everything(world.services)
    assert sealed_texts(world.data)
