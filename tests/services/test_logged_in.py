"""Users logged out of phones and in again: what becomes of records, files, explanations, jobs and accounts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX, sample_phone
from tests.services.told_phones import Messages, told_by, until
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound, Refused
from ztp_server.services.given_phones import still_registered
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import Selection
from ztp_server.services.views import site_view

DESK, SECOND_DESK = "0004f2dddd01", "0004f2dddd02"
ANA = (Line("3001", "auth3001", HOSTILE_PASSWORD, HOSTILE_NAME, "Ana"), Line("3002", password="ana's second"))
GUEST = {"user": "900", "password": HOSTILE_PASSWORD, "display_name": HOSTILE_NAME}
PROFILE = {"settings": {"sip_server": "guest.example.net", "digit_map": "<112>&"}, "line": GUEST}


@pytest.fixture
async def desks(office: Services) -> Services:
    """The common office with two hot desks, one with two modules' worth of nothing but a speed dial, and two users."""
    await office.users.add(ADMIN, "ana", HOSTILE_NAME, "3001", ANA)
    await office.users.add(ADMIN, "bob", "Bob", "", (Line("4001", password="bob's"),))
    for mac in (DESK, SECOND_DESK):
        keys = (LineKey("speed_dial", "+34600000000", "Home"),)
        await office.phones.add(ADMIN, sample_phone(mac, name=mac, lines=(), line_keys=keys))
    return office


async def files_of(services: Services, mac: str) -> str:
    """All files of a phone, secrets and all."""
    files = await services.phones.preview(ADMIN, mac, None, True, "test")
    return b"".join(files.values()).decode()


async def phone(services: Services, mac: str) -> Phone:
    return await services.phones.get(ADMIN, mac)


async def actions(services: Services, subject: str) -> list[str]:
    return [record.action for record in (await services.audit.page(ADMIN, subject=subject))[0]]


async def test_a_phone_with_lines_of_its_own_keeps_them_and_its_user_in_its_record(desks: Services) -> None:
    await desks.phones.edit(ADMIN, VVX, {"user": "ana"}, {})
    before = await phone(desks, VVX)
    out = (await desks.logged_in.log_out(ADMIN, VVX, "night")).phone
    assert (out.logged_out, out.user, out.lines, out.line_keys) == (True, "ana", before.lines, before.line_keys)
    assert out.revision == before.revision + 1 and out == await phone(desks, VVX)
    text = await files_of(desks, VVX)
    assert 'address="1001"' not in text and "Sales" in text and "600000000" in text
    # Once more is no change.
    assert (await desks.logged_in.log_out(ADMIN, VVX)).phone.revision == out.revision
    back = (await desks.logged_in.log_in(ADMIN, VVX)).phone
    assert (back.logged_out, back.lines) == (False, before.lines)
    assert 'reg.1.address="1001"' in await files_of(desks, VVX)
    done = [action for action in await actions(desks, VVX) if action != "phone.revealed"]
    assert done[:2] == ["phone.logged_in", "phone.logged_out"]


async def test_a_hot_desk_gets_the_lines_of_who_is_logged_in_on_it(desks: Services) -> None:
    written = await desks.logged_in.log_in(ADMIN, DESK, "ana")
    assert (written.phone.user, written.phone.lines, list(written.warnings)) == ("ana", (), [])
    text = await files_of(desks, DESK)
    assert 'reg.1.address="3001"' in text and 'reg.2.address="3002"' in text and 'reg.1.auth.userId="auth3001"' in text
    assert (await desks.logged_in.log_out(ADMIN, DESK)).phone.user == ""
    assert "3001" not in await files_of(desks, DESK)
    assert await desks.users.phones(ADMIN, "ana") == []


async def test_a_changed_password_of_a_user_reaches_the_phone_that_borrows_it(desks: Services) -> None:
    await desks.logged_in.log_in(ADMIN, DESK, "bob")
    revision = (await phone(desks, DESK)).revision
    await desks.users.edit(ADMIN, "bob", lines=[Line("4001", password="an & other")])
    assert "an &amp; other" in await files_of(desks, DESK)
    assert (await phone(desks, DESK)).revision == revision + 1
    await desks.users.edit(ADMIN, "bob", name="Robert")
    assert (await phone(desks, DESK)).revision == revision + 1


async def test_a_user_is_on_one_phone_at_a_time(desks: Services) -> None:
    await desks.phones.edit(ADMIN, VVX, {"user": "ana"}, {})
    await desks.phones.add(ADMIN, Phone("browser", "", "", "madrid", "", "webrtc", user="ana"))
    first = await desks.logged_in.log_in(ADMIN, DESK, "ana")
    assert first.warnings == [f"user ana was logged out of phone {VVX} at site madrid"]
    assert (await phone(desks, VVX)).logged_out
    second = await desks.logged_in.log_in(ADMIN, SECOND_DESK, "ana")
    assert second.warnings == [f"user ana was logged out of phone {DESK} at site madrid"]
    assert (await phone(desks, DESK)).user == ""
    shown = {row["name"]: row["logged_in"] for row in await desks.users.phones(ADMIN, "ana")}
    assert shown == {HOSTILE_NAME: False, SECOND_DESK: True, "browser": None}
    # Back at her own phone she is on none of the others.
    assert (await desks.logged_in.log_in(ADMIN, VVX)).warnings == [
        f"user ana was logged out of phone {SECOND_DESK} at site madrid"
    ]
    await desks.users.add(ADMIN, "guest", "Guest")
    no_lines = await desks.logged_in.log_in(ADMIN, SECOND_DESK, "guest")
    assert no_lines.warnings == ["user guest has no lines, so the phone has none either"]
    # Somebody else takes the place of who sits there.
    await desks.logged_in.log_in(ADMIN, DESK, "bob")
    assert (await desks.logged_in.log_in(ADMIN, DESK, "ana")).warnings[-1] == "user bob was logged out of it"


async def test_no_other_way_puts_a_user_on_two_hot_desks(desks: Services) -> None:
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    with pytest.raises(Conflict, match="logged in on another phone"):
        await desks.phones.edit(ADMIN, SECOND_DESK, {"user": "ana"}, {})
    csv = f"hardware_id,user\n{SECOND_DESK},ana\n".encode()
    report = await desks.phone_import.run(ADMIN, [csv], "update", partial=True)
    assert [row.column for row in report.rows] == ["user"] and "another phone" in report.problems[0]
    twice = f"hardware_id,user\n{DESK},bob\n{SECOND_DESK},bob\n".encode()
    report = await desks.phone_import.run(ADMIN, [twice], "update", partial=True)
    assert [row.result for row in report.rows] == ["updated", "refused"]
    await desks.phones.remove(ADMIN, DESK)
    await desks.logged_in.log_in(ADMIN, SECOND_DESK, "bob")
    with pytest.raises(Conflict):
        await desks.removed_phones.restore(ADMIN, DESK)


async def test_a_phone_is_not_given_lines_it_has_no_room_for(desks: Services) -> None:
    many = tuple(Line(f"5{number:03}", password="x") for number in range(40))
    await desks.users.add(ADMIN, "many", "Many", lines=many)
    with pytest.raises(BadValue, match="40 lines"):
        await desks.logged_in.log_in(ADMIN, DESK, "many")
    await desks.logged_in.log_in(ADMIN, DESK, "bob")
    with pytest.raises(BadValue, match="40 lines"):
        await desks.users.edit(ADMIN, "bob", lines=many)
    assert len((await desks.users.get(ADMIN, "bob")).lines) == 1
    csv = f"hardware_id,user\n{SECOND_DESK},many\n".encode()
    report = await desks.phone_import.run(ADMIN, [csv], "update", partial=True)
    assert "40 lines" in report.problems[0]


@pytest.mark.parametrize(
    ("mac", "user", "refused"),
    [(DESK, "", BadValue), (DESK, "nobody' OR 1=1", BadValue), (VVX, "ana", BadValue), (DESK, "a\0b", BadValue)],
)
async def test_who_cannot_be_logged_in_is_refused(desks: Services, mac: str, user: str, refused: Any) -> None:
    before = await phone(desks, mac)
    with pytest.raises(refused):
        await desks.logged_in.log_in(ADMIN, mac, user)
    assert await phone(desks, mac) == before


async def test_nobody_logs_in_on_a_phone_that_is_given_no_files(desks: Services) -> None:
    added = await desks.phones.add(ADMIN, Phone("browser", "", "", "madrid", "", "webrtc", user="ana"))
    for work in (desks.logged_in.log_out, desks.logged_in.log_in):
        with pytest.raises(Conflict, match="webrtc"):
            await work(ADMIN, added.phone.id)


async def test_who_may_only_restart_phones_logs_out_and_not_in(desks: Services) -> None:
    await desks.sites.add(ADMIN, "oslo", "", {"sip_server": "sip.example.net"})
    operator = Actor("token:night", (Grant(ROLES["operator"], "madrid"),))
    editor = Actor("token:day", (Grant(ROLES["editor"], "madrid"),))
    # Of a user's passwords whoever is believed to be the phone gets to know.
    for lend in (
        desks.logged_in.log_in(editor, DESK, "ana"),
        desks.phones.edit(editor, DESK, {"user": "ana"}, {}),
        desks.phones.add(editor, replace(await phone(desks, DESK), hardware_id="0004f2999999", user="ana", id="")),
    ):
        with pytest.raises(Forbidden, match="phones:approve"):
            await lend
    new = "hardware_id,name,model,site,base_settings,user\n0004f2999999,New,vvx-411,madrid,vvx-standard,ana\n"
    for text in (f"hardware_id,user\n{DESK},ana\n", new):
        report = await desks.phone_import.run(editor, [text.encode()], "upsert", partial=True)
        assert "phones:approve" in report.problems[0]
    assert (await phone(desks, DESK)).user == ""
    editor = Actor("token:day", (Grant(ROLES["editor"] | {"phones:approve"}, "madrid"),))
    await desks.logged_in.log_in(editor, DESK, "ana")
    await desks.logged_in.log_out(operator, DESK)
    with pytest.raises(Forbidden):
        await desks.logged_in.log_in(operator, DESK, "ana")
    await desks.phones.edit(ADMIN, SECOND_DESK, {"site": "oslo"}, {})
    with pytest.raises(NotFound):
        await desks.logged_in.log_out(operator, SECOND_DESK)
    # A phone elsewhere is not named to who may not log anybody out there.
    await desks.logged_in.log_in(ADMIN, SECOND_DESK, "ana")
    with pytest.raises(Conflict) as refused:
        await desks.logged_in.log_in(editor, DESK, "ana")
    assert SECOND_DESK not in str(refused.value) and "oslo" not in str(refused.value)
    assert (await phone(desks, SECOND_DESK)).user == "ana" and (await phone(desks, DESK)).user == ""


async def test_the_profile_of_the_site_is_what_a_logged_out_phone_gets(desks: Services) -> None:
    await desks.phones.edit(ADMIN, VVX, {}, {"digit_map": "own", "mwi_address": "*97"})
    revision = (await desks.sites.get(ADMIN, "madrid")).revision
    edited = await desks.sites.edit(ADMIN, "madrid", None, {"logged_out": PROFILE}, merge=True)
    assert edited.record.revision == revision + 1
    assert "guest.example.net" not in await files_of(desks, VVX)
    await desks.logged_in.log_out(ADMIN, VVX)
    text = await files_of(desks, VVX)
    assert 'reg.1.address="900"' in text and "guest.example.net" in text and "&lt;112&gt;&amp;" in text
    assert "reg.2.address" not in text and 'reg.1.auth.password="' in text
    # It says so of every value, above all other layers.
    rows = {row.name: row for row in await desks.phones.explain(ADMIN, VVX)}
    told = rows["digit_map"]
    assert (told.value, told.layer, told.source) == (
        "<112>&", "logged-out profile", "logged-out profile of site madrid"
    )  # fmt: skip
    assert told.underneath[0].value == "own" and rows["mwi_address"].source == "phone"
    lines = (await desks.annotations.annotate(ADMIN, VVX, None, False))[f"{VVX}-settings.cfg"]
    sources = {origin.name: origin.source for line in lines for origin in (*line.settings, *line.because)}
    assert sources["lines.1.user"] == sources["settings.digit_map"] == "logged-out profile of site madrid"
    # The keys of line 2 are not there, and those behind it are still called what the record calls them.
    assert "line_keys.2.value" in sources and not any(HOSTILE_PASSWORD in line.text for line in lines)
    # A desk that belongs to nobody has it as well.
    assert 'reg.1.address="900"' in await files_of(desks, DESK)
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    lines = (await desks.annotations.annotate(ADMIN, DESK, None, False))[f"{DESK}-settings.cfg"]
    assert "user ana" in {origin.source for line in lines for origin in line.settings}
    connection = await desks.connections.get(ADMIN, VVX)
    assert ([a.user for a in connection.accounts], connection.server) == (["900"], "guest.example.net")


async def test_a_profile_is_merged_redacted_and_sealed(desks: Services) -> None:
    sites = desks.sites
    await sites.edit(ADMIN, "madrid", None, {"logged_out": PROFILE}, merge=True)
    await sites.edit(ADMIN, "madrid", None, {"logged_out": {"line": {"user": "900", "label": "Guest"}}}, merge=True)
    await sites.edit(ADMIN, "madrid", None, {"logged_out": {"settings": {"digit_map": None}}}, merge=True)
    site = await sites.get(ADMIN, "madrid")
    assert site.logged_out.settings == {"sip_server": "guest.example.net"}
    assert site.logged_out.line == Line("900", "", HOSTILE_PASSWORD, "", "Guest")
    assert HOSTILE_PASSWORD not in str(site_view(site, desks.templates.catalog.settings))
    records, _ = await desks.audit.page(ADMIN, limit=50)
    assert HOSTILE_PASSWORD not in str(records) and "logged_out.line.password" in str(records)
    async with desks.store.database.reading() as connection:
        stored = (await connection.exec_driver_sql("SELECT logged_out FROM sites")).all()
    assert HOSTILE_PASSWORD not in str(stored) and "sealed" in str(stored)
    # Another user's line has nothing of this one; and without anything it is as before.
    await sites.edit(ADMIN, "madrid", None, {"logged_out.line": {"user": "901"}}, merge=True)
    assert (await sites.get(ADMIN, "madrid")).logged_out.line == Line("901")
    await sites.edit(ADMIN, "madrid", None, {"logged_out": None}, merge=True)
    assert not (await sites.get(ADMIN, "madrid")).logged_out


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"settings": {"emergency_numbers": ["112"]}}, "logged_out.settings.emergency_numbers"),
        ({"settings": {"held_token": "t"}}, "logged_out.settings.held_token"),
        ({"settings": {"provisioning_url": "https://x.example.net/"}}, "logged_out.settings.provisioning_url"),
        ({"settings": {"firmware_version": "5.9.0"}}, "logged_out.settings.firmware_version"),
        ({"settings": {"expansion_modules": 1}}, "logged_out.settings.expansion_modules"),
        ({"settings": {"custom.a.b": "1"}}, "logged_out.settings.custom.a.b"),
        ({"settings": {"no_such": 1}}, "logged_out.settings.no_such"),
        ({"settings": {"codecs": []}}, "logged_out.settings.codecs"),
        ({"line": {"user": ""}}, "logged_out.line.user"),
        ({"line": {"user": "a\0b"}}, "logged_out.line.user"),
        ({"line": {"user": "9" * 129}}, "logged_out.line.user"),
    ],
)
async def test_a_profile_that_cannot_be_is_refused_by_its_field(
    desks: Services, profile: dict[str, Any], field: str
) -> None:
    before = await desks.sites.get(ADMIN, "madrid")
    with pytest.raises(BadValue) as refused:
        await desks.sites.edit(ADMIN, "madrid", None, {"logged_out": profile}, merge=True)
    assert refused.value.field == field and await desks.sites.get(ADMIN, "madrid") == before


async def test_a_profile_suits_every_phone_at_its_site_before_anybody_is_logged_out(desks: Services) -> None:
    with pytest.raises(BadValue, match="logged-out profile of site madrid") as refused:
        await desks.sites.edit(ADMIN, "madrid", None, {"logged_out.codecs": "audio/opus"}, merge=True)
    assert refused.value.field == "logged_out.settings.codecs"
    with pytest.raises(BadValue) as refused:  # a family's files cannot carry spaces at an end
        await desks.sites.edit(ADMIN, "madrid", None, {"logged_out.line": {"user": "9", "label": " 9 "}}, merge=True)
    assert refused.value.field == "logged_out.line.label"
    # Nor does a phone come to a site whose profile it cannot be given, and base settings do not make it so.
    await desks.sites.add(ADMIN, "oslo", "", {"logged_out": {"settings": {"codecs": ["audio/iLBC"]}}}, merge=True)
    with pytest.raises(BadValue, match="logged-out profile of site oslo"):
        await desks.phones.edit(ADMIN, HD400, {"site": "oslo"}, {})


async def test_many_are_logged_out_by_a_job_and_back_by_its_undo(desks: Services) -> None:
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    await desks.phones.edit(ADMIN, VVX, {"user": "bob"}, {})
    found = Selection(filter={"site": ["madrid"], "logged_in": ["yes"]})
    job = await desks.logged_in.log_out_many(ADMIN, found, "night", run_here=True)
    await desks.job_runner.run(job.id)
    macs = {(await phone(desks, mac)).id: mac for mac in (VVX, OTHER_VVX, HD400, DESK, SECOND_DESK)}
    states = {macs[item.subject]: item.state for item in await desks.jobs.items(ADMIN, job.id)}
    # Those that belong to nobody are left as they are.
    assert {mac: states[mac] for mac in (VVX, DESK, OTHER_VVX, HD400)} == {
        VVX: "done", DESK: "done", OTHER_VVX: "unchanged", HD400: "unchanged"
    }  # fmt: skip
    assert SECOND_DESK not in states
    assert (await phone(desks, VVX)).logged_out and (await phone(desks, DESK)).user == ""
    await desks.logged_in.log_in(ADMIN, SECOND_DESK, "ana")
    undo = await desks.jobs.undo(ADMIN, job.id, run_here=True)
    await desks.job_runner.run(undo.id)
    undone = {macs[item.subject]: (item.state, item.detail) for item in await desks.jobs.items(ADMIN, undo.id)}
    assert undone[VVX][0] == "done" and not (await phone(desks, VVX)).logged_out
    assert undone[DESK] == ("refused", "user ana is logged in on another phone by now")


async def test_phones_are_found_by_whether_somebody_is_logged_in(desks: Services) -> None:
    async def macs(**filters: str) -> set[str]:
        return {row["hardware_id"] for row in (await desks.phone_list.page(ADMIN, filters)).items}

    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    await desks.logged_in.log_out(ADMIN, VVX)
    assert await macs(logged_in="yes") == {DESK, OTHER_VVX, HD400}
    assert await macs(logged_in="no") == {VVX, SECOND_DESK}
    assert await macs(logged_in="no", user="ana") == set()
    with pytest.raises(BadValue, match="logged_in"):
        await macs(logged_in="maybe")


async def test_an_export_says_who_was_logged_out_and_an_import_reads_it(desks: Services) -> None:
    async def exported() -> bytes:
        export = await desks.phone_export.export(ADMIN, {}, reveal=True, reason="test")
        return b"".join([piece async for piece in export.pieces])

    assert b"logged_out" not in await exported()
    await desks.logged_in.log_out(ADMIN, VVX)
    whole = await exported()
    before = await phone(desks, VVX)
    report = await desks.phone_import.run(ADMIN, [whole], "upsert")
    assert report.unchanged == len(report.rows) and await phone(desks, VVX) == before
    await desks.phones.remove(ADMIN, VVX)
    await desks.phone_import.run(ADMIN, [whole.replace(before.id.encode(), b"")], "upsert")
    assert (await phone(desks, VVX)).logged_out


async def test_what_one_user_changed_on_a_phone_is_not_the_next_ones(desks: Services) -> None:
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    desk = await phone(desks, DESK)
    forwarded = {"divert.1.contact": "600111222"}

    def changed(user: str) -> list[Any]:
        csv = f"hardware_id,user\n{DESK},{user}\n".encode()
        return [
            desks.logged_in.log_in(ADMIN, DESK, user),
            desks.phones.edit(ADMIN, DESK, {"user": user}, {}),
            desks.phone_import.run(ADMIN, [csv], "update"),
        ]

    for way, user in enumerate(("bob", "ana", "bob")):
        async with desks.store.write() as session:
            await session.uploads.put_parameters(desk.id, "{mac}-phone.cfg", forwarded)
        for number, work in enumerate(changed(user)):
            if number == way:
                await work
            else:
                work.close()
        shown = await desks.overrides.of_phone(ADMIN, DESK)
        assert shown["-phone.cfg"]["parameters"] == {}
    # What has nothing to do with who is on it leaves it alone.
    async with desks.store.write() as session:
        await session.uploads.put_parameters(desk.id, "{mac}-phone.cfg", forwarded)
    await desks.phones.edit(ADMIN, DESK, {"name": "New"}, {})
    assert (await desks.overrides.of_phone(ADMIN, DESK))["-phone.cfg"]["parameters"] == forwarded


async def test_borrowed_lines_and_the_one_for_nobody_are_accounts(desks: Services) -> None:
    await desks.sites.edit(ADMIN, "madrid", None, {"logged_out": PROFILE}, merge=True)
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    await desks.logged_in.log_out(ADMIN, VVX)
    export = await desks.registrar_export.export(ADMIN, "kamailio", {"name": [DESK, SECOND_DESK]}, reason="test")
    text = b"".join([piece async for piece in export.pieces]).decode()
    # Ana's two at the site's server, and the guest's at that of the profile, once for all phones.
    assert export.accounts == 3
    for user, domain in (("auth3001", "sip.example.net"), ("3002", "sip.example.net"), ("900", "guest.example.net")):
        assert text.count(f"VALUES ('{user}', '{domain}'") == 1
    # The lines of a phone whose user was taken off it stay accounts.
    export = await desks.registrar_export.export(ADMIN, "kamailio", {"hardware_id": VVX}, reason="test")
    assert export.accounts == 3 and "1002" in b"".join([piece async for piece in export.pieces]).decode()


async def test_a_phone_is_asked_to_fetch_its_files_as_who_was_on_it(desks: Services) -> None:
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    assert await desks.jobs.page(ADMIN) == [], "there is no way to reach it"
    fields = {"domains": "sip.example.net", "address": "udp:127.0.0.1:5999"}
    await desks.platforms.add(ADMIN, "pbx", "", fields)
    await desks.logged_in.log_out(ADMIN, DESK)
    (job,) = await desks.jobs.page(ADMIN)
    desk = await phone(desks, DESK)
    assert (job.kind, job.total) == ("phones.resync", 1) and job.order["were"] == {desk.id: "ana"}
    async with desks.store.read() as session:
        with pytest.raises(Refused):  # it has no line any more
            await desks.messenger.plan(session, desk, "resync")
        plan = await desks.messenger.plan(session, await still_registered(session, desk, "ana"), "resync")
    assert "3001" in str(plan.tries)
    # Nobody is asked about a change that is none, and who moves on is asked for at both places.
    await desks.logged_in.log_out(ADMIN, DESK)
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    await desks.logged_in.log_in(ADMIN, SECOND_DESK, "ana")
    # Nobody began with the first job: it is the one for all of it, with each phone once.
    (job,) = await desks.jobs.page(ADMIN)
    second = await phone(desks, SECOND_DESK)
    assert job.total == 2 and job.order["were"] == {desk.id: "ana"}
    assert [item.subject for item in await desks.jobs.items(ADMIN, job.id)] == [desk.id, second.id]
    # One that was begun, or is somebody else's, is left alone.
    async with desks.store.write() as session:
        await session.jobs.take(job.id, "another", 10)
    await desks.logged_in.log_out(ADMIN, SECOND_DESK)
    await desks.logged_in.log_in(Actor.trusted("local:bob"), DESK, "bob")
    assert [(each.total, each.who.name) for each in await desks.jobs.page(ADMIN)][:2] == [
        (1, "local:bob"), (1, ADMIN.name)
    ]  # fmt: skip


async def test_many_that_are_logged_out_are_asked_by_few_jobs(desks: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ztp_server.services.job_runner.STEP", 1)
    await desks.platforms.add(ADMIN, "pbx", "", {"domains": "sip.example.net", "address": "udp:127.0.0.1:5999"})
    for mac, user in ((DESK, "ana"), (VVX, "bob"), (OTHER_VVX, "bob"), (HD400, "bob")):
        await desks.phones.edit(ADMIN, mac, {"user": user}, {})
    monkeypatch.setattr("ztp_server.services.logged_in.MOST_TOGETHER", 3)
    job = await desks.logged_in.log_out_many(ADMIN, Selection((DESK, VVX, OTHER_VVX, HD400)), "night", run_here=True)
    assert (await desks.job_runner.run(job.id)).summary == {"done": 4}
    asked = [each for each in await desks.jobs.page(ADMIN) if each.kind == "phones.resync"]
    assert [each.total for each in asked] == [1, 3]
    subjects = [item.subject for each in asked for item in await desks.jobs.items(ADMIN, each.id)]
    assert sorted(subjects) == sorted([(await phone(desks, mac)).id for mac in (DESK, VVX, OTHER_VVX, HD400)])
    assert [item.position for item in await desks.jobs.items(ADMIN, asked[1].id)] == [1, 2, 3]


async def test_a_phone_hears_of_who_logs_in_right_after_somebody_was_logged_out(desks: Services) -> None:
    messages = told_by(desks, Messages())
    await desks.logged_in.log_in(ADMIN, DESK, "ana")
    await desks.platforms.add(ADMIN, "pbx", "", {"domains": "sip.example.net", "address": "udp:127.0.0.1:5999"})
    for change in (desks.logged_in.log_out(ADMIN, DESK), desks.logged_in.log_in(ADMIN, DESK, "bob")):
        await change
        job = (await desks.jobs.page(ADMIN))[0]
        running = asyncio.create_task(desks.job_runner.run(job.id))
        await until(lambda: messages.sent)
        await desks.jobs.stop(ADMIN, job.id)
        await running
        assert messages.sent == messages.news == [DESK]
        messages.sent.clear()
        messages.news.clear()
    assert len(await desks.jobs.page(ADMIN)) == 2
