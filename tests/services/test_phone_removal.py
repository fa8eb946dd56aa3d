"""A phone that is removed is kept for a while, and comes back as it was."""

from __future__ import annotations

import sqlite3
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HOSTILE_PASSWORD, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound
from ztp_server.services.opening import Services
from ztp_server.services.removed_phones import RETENTION

PARIS = Actor("token:paris", (Grant(ROLES["editor"], "paris"),))
VIEWER = Actor("token:viewer", (Grant(ROLES["viewer"]),))


async def audited(services: Services) -> list[tuple[str, str]]:
    async with services.store.read() as session:
        return [(row.action, row.subject) for row in await session.audit.page(below=None, limit=3)]


async def test_a_removed_phone_comes_back_with_its_id_lines_passwords_and_uploads(office: Services) -> None:
    before = (await office.phones.edit(ADMIN, VVX, {}, {"custom.secret.pin": "1&2", "rtp_dscp": "10"})).phone
    async with office.store.write() as session:
        await session.uploads.put(before.id, "{mac}-app.log", zlib.compress(b"log"), 3)

    await office.phones.remove(ADMIN, VVX)
    with pytest.raises(NotFound):
        await office.phones.get(ADMIN, VVX)
    restored = await office.removed_phones.restore(ADMIN, "00:04:F2:AA:BB:CC")

    after = await office.phones.get(ADMIN, VVX)
    assert after == restored
    assert (after.id, after.lines, after.line_keys, after.settings) == (
        before.id, before.lines, before.line_keys, before.settings,
    )  # fmt: skip
    assert after.lines[0].password == HOSTILE_PASSWORD and after.revision > before.revision
    async with office.store.read() as session:
        assert await session.uploads.get(after.id, "{mac}-app.log") == b"log"
    assert [row async for row in office.removed_phones.all(ADMIN)] == []
    assert (await audited(office))[:2] == [("phone.restored", VVX), ("phone.removed", VVX)]


async def test_what_is_kept_of_a_removed_phone_is_sealed(office: Services, data: Path) -> None:
    await office.phones.remove(ADMIN, VVX)

    with sqlite3.connect(data / "ztp.db") as database:
        (record,) = database.execute("SELECT record FROM removed_phones").fetchone()
    database.close()
    assert record.startswith("v2:1:") and "1001" not in record and HOSTILE_PASSWORD not in record


async def test_the_address_of_a_removed_phone_is_free_and_then_it_cannot_come_back(office: Services) -> None:
    gone = await office.phones.get(ADMIN, VVX)
    await office.phones.remove(ADMIN, VVX)
    second = (await office.phones.add(ADMIN, sample_phone(name="Second"))).phone

    with pytest.raises(Conflict, match=f"phone {VVX} exists already: 'Second'"):
        await office.removed_phones.restore(ADMIN, gone.id)
    await office.phones.remove(ADMIN, VVX)

    assert (await office.removed_phones.restore(ADMIN, VVX)).id == second.id
    assert {row.id async for row in office.removed_phones.all(ADMIN)} == {gone.id}


async def test_a_phone_whose_base_settings_or_site_are_gone_says_so(office: Services) -> None:
    await office.sites.add(ADMIN, "oslo", "Oslo", {"time_zone": "Europe/Oslo"})
    await office.base_settings.add(ADMIN, "other", "", "vvx-411", {})
    for fields, named in (({"base_settings": "other"}, "base_settings"), ({"site": "oslo"}, "site")):
        mac = {"base_settings": VVX, "site": OTHER_VVX}[named]
        await office.phones.edit(ADMIN, mac, fields, {})
        await office.phones.remove(ADMIN, mac)
    await office.base_settings.remove(ADMIN, "other")
    await office.sites.remove(ADMIN, "oslo")

    for mac, named in ((VVX, "base_settings"), (OTHER_VVX, "site")):
        with pytest.raises(BadValue) as refused:
            await office.removed_phones.restore(ADMIN, mac)
        assert refused.value.field == named
    assert len([row async for row in office.removed_phones.all(ADMIN)]) == 2


async def test_removed_phones_are_listed_newest_first_in_parts(office: Services) -> None:
    for mac in (VVX, OTHER_VVX):
        await office.phones.remove(ADMIN, mac)

    (first,) = await office.removed_phones.page(ADMIN, limit=1)
    (second,) = await office.removed_phones.page(ADMIN, (first.at, first.id), limit=2)

    assert (first.hardware_id, second.hardware_id) == (OTHER_VVX, VVX)
    assert (first.actor, first.site, first.category, first.name) == ("test", "madrid", "managed", "Lobby")


async def test_who_sees_and_brings_back_removed_phones_needs_the_permission_there(office: Services) -> None:
    await office.phones.remove(ADMIN, VVX)

    assert await office.removed_phones.page(PARIS) == []
    with pytest.raises(NotFound):
        await office.removed_phones.restore(PARIS, VVX)
    with pytest.raises(Forbidden, match="phones:add"):
        await office.removed_phones.restore(VIEWER, VVX)
    with pytest.raises(BadValue):
        await office.removed_phones.restore(ADMIN, "no phone")
    with pytest.raises(NotFound):
        await office.removed_phones.restore(ADMIN, OTHER_VVX)


async def test_after_a_while_a_removed_phone_is_gone_for_good_with_what_it_sent(office: Services) -> None:
    phone = await office.phones.get(ADMIN, VVX)
    async with office.store.write() as session:
        await session.uploads.put(phone.id, "{mac}-app.log", zlib.compress(b"log"), 3)
    await office.phones.remove(ADMIN, VVX)
    removed_at = (await office.removed_phones.page(ADMIN))[0].at

    assert await office.removed_phones.purge(removed_at + RETENTION) == 0
    assert await office.removed_phones.purge(removed_at + RETENTION + timedelta(seconds=1)) == 1

    assert await office.removed_phones.page(ADMIN) == []
    async with office.store.read() as session:
        assert await session.uploads.get(phone.id, "{mac}-app.log") is None
    assert (await audited(office))[0] == ("phone.purged", VVX)
    assert await office.removed_phones.purge(datetime.now(UTC) + RETENTION) == 0
