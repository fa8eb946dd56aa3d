"""Who is logged in on phones, in both databases."""

from __future__ import annotations

from tests.conftest import ADMIN, HD400, HOSTILE_PASSWORD, OTHER_VVX, VVX, sample_phone
from tests.store.test_store import office, open_one, url
from ztp_server.domain.phone import Line
from ztp_server.services.opening import Services
from ztp_server.store.users import OnPhone

__all__ = ["office", "open_one", "url"]

DESK, SECOND_DESK = "0004f2dddd01", "0004f2dddd02"


async def test_who_is_logged_in_is_known_found_kept_and_told(office: Services) -> None:
    await office.users.add(ADMIN, "ana", "Ana", "", (Line("3001", password=HOSTILE_PASSWORD), Line("3002")))
    for mac in (DESK, SECOND_DESK):
        await office.phones.add(ADMIN, sample_phone(mac, name=mac, lines=(), line_keys=()))
    await office.phones.edit(ADMIN, VVX, {"user": "ana"}, {})
    profile = {"settings": {"sip_server": "guest"}, "line": {"user": "900", "password": HOSTILE_PASSWORD}}
    await office.sites.edit(ADMIN, "madrid", None, {"logged_out": profile}, merge=True)
    desk, vvx = [(await office.phones.get(ADMIN, mac)).id for mac in (DESK, VVX)]

    async def macs(**filters: str) -> set[str]:
        return {row["hardware_id"] for row in (await office.phone_list.page(ADMIN, filters)).items}

    async with office.store.read() as session:
        assert await session.users.logged_in(["ana", "bob"]) == [OnPhone("ana", vvx, True)]
        assert (await session.users.lines_of(["ana"]))["ana"][0].password == HOSTILE_PASSWORD
        assert (await session.sites.get("madrid")).logged_out.line == Line("900", password=HOSTILE_PASSWORD)
        before = await session.last_change()
    await office.logged_in.log_in(ADMIN, DESK, "ana")
    assert await macs(logged_in="yes") == {DESK, OTHER_VVX, HD400}
    assert await macs(logged_in="no") == {VVX, SECOND_DESK}
    assert await macs(logged_in="yes,no") == {DESK, OTHER_VVX, HD400, VVX, SECOND_DESK}
    async with office.store.read() as session:
        assert await session.users.logged_in(["ana"]) == [OnPhone("ana", desk, False)]
        (phone, _, _), *_ = (await session.phones.find_running([VVX])).values()
        assert phone.logged_out and phone.holder == "-"
        kept = {one.hardware_id: one.holder for one in await session.standing_proofs.of([VVX, DESK, OTHER_VVX])}
        assert kept == {VVX: "-", DESK: "ana", OTHER_VVX: ""}
        changes = await session.standing_proofs.changes_after(before, 100)
        assert {("phone", VVX), ("phone", DESK)} <= set(changes.found)
        assert (await session.phone_widths.of_ids([vvx])).logged_out
        assert not (await session.phone_widths.of_ids([desk])).logged_out
    files = await office.phones.preview(ADMIN, VVX, None, True, "test")
    assert b"900" in b"".join(files.values())
    told = (await office.why.explain(ADMIN, VVX)).findings
    assert "nobody is logged in on it: it gets the logged-out profile of site madrid" in str(told)
    assert "user ana is logged in on it" in str((await office.why.explain(ADMIN, DESK)).findings)
