"""Base settings: their revisions, what an edit would do, and who may do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.audit import AuditRecord
from ztp_server.domain.event import CheckIn
from ztp_server.domain.phone import Line
from ztp_server.errors import BadValue, Conflict, Forbidden, InUse, NotFound, Stale
from ztp_server.services.opening import Services

BASE = "vvx-standard"
VIEWER = Actor("viewer", (Grant(ROLES["viewer"]),))
NOBODY = Actor("nobody")
OF_PARIS = Actor("paris", (Grant(ROLES["admin"], "paris"), Grant(frozenset({"base_settings:view"}))))


async def audit(services: Services, subject: str = BASE) -> list[AuditRecord]:
    """What the audit tells of a subject, newest first."""
    async with services.store.read() as session:
        return await session.audit.page(below=None, limit=100, subject=subject)


def diff_of(files: Any) -> str:
    """The lines that a diff takes away and adds, of all files."""
    return "\n".join(li for diff in files.values() for li in diff.splitlines() if li[:1] in "+-")


# ---- revisions ------------------------------------------------------------------------------------------------------


async def test_every_edit_is_a_revision_with_its_author_and_reason(office: Services) -> None:
    reason = 'louder & "clearer" 😀'
    edited = await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": "40"}, reason=reason)

    assert edited.record.revision == 2
    newest, first = await office.base_settings_revisions.page(ADMIN, BASE)
    assert (newest.number, newest.author, newest.reason) == (2, "test", reason)
    assert (first.number, first.reason) == (1, "") and first.at <= newest.at
    [older] = await office.base_settings_revisions.page(ADMIN, BASE, before=2)
    assert older == first
    base, made = await office.base_settings_revisions.get(ADMIN, BASE, 2)
    assert made == newest and base.settings["rtp_dscp"] == 40


async def test_an_edit_that_changes_nothing_makes_no_revision_and_no_record(office: Services) -> None:
    before = await audit(office)
    edited = await office.base_settings.edit(ADMIN, BASE, BASE, {"dtmf_payload_type": "102"}, reason="again")
    assert edited.changes == () and edited.record.revision == 1
    assert len(await office.base_settings_revisions.page(ADMIN, BASE)) == 1
    assert await audit(office) == before


async def test_an_edit_is_written_down_with_what_was_and_what_is(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": 40, "admin_password": "other"}, reason="why not")
    [changed, _added] = await audit(office)
    assert (changed.action, changed.actor, changed.reason) == ("base_settings.changed", "test", "why not")
    assert changed.before["revision"] == 1 and changed.after["revision"] == 2
    assert "settings.rtp_dscp" not in changed.before and changed.after["settings.rtp_dscp"] == 40
    assert changed.before["settings.admin_password"] != changed.after["settings.admin_password"]
    assert "other" not in repr(changed) and "Ad&min1" not in repr(changed)


async def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": "40"}, revision=1)
    for write in (
        office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": "41"}, revision=1),
        office.base_settings.revert(ADMIN, BASE, 1, revision=1),
        office.base_settings.remove(ADMIN, BASE, revision=1),
    ):
        with pytest.raises(Stale):
            await write
    assert (await office.base_settings.get(ADMIN, BASE)).settings["rtp_dscp"] == 40


async def test_a_revert_is_a_new_revision_with_the_old_settings_and_their_secrets(office: Services) -> None:
    first = await office.base_settings.get(ADMIN, BASE)
    await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": 40, "admin_password": "other"})
    reverted = await office.base_settings.revert(ADMIN, BASE, 1)

    assert reverted.record == replace(first, revision=3)
    assert await office.base_settings.get(ADMIN, BASE) == replace(first, revision=3)
    newest = (await office.base_settings_revisions.page(ADMIN, BASE))[0]
    assert newest.reason == "back to 1" and (await audit(office))[0].action == "base_settings.reverted"


async def test_a_revert_is_checked_against_the_phones_of_today(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"codecs": "audio/G7221"})
    await office.base_settings.edit(ADMIN, BASE, None, {"codecs": None})
    await office.phones.edit(ADMIN, VVX, {"model": "vvx-450"}, {})
    with pytest.raises(BadValue, match=rf"{VVX}.*codecs"):
        await office.base_settings.revert(ADMIN, BASE, 2)
    with pytest.raises(NotFound, match="revision 99"):
        await office.base_settings.revert(ADMIN, BASE, 99)
    assert (await office.base_settings.get(ADMIN, BASE)).revision == 3


@pytest.mark.parametrize("number", [0, 99, 2**31, 2**70])
async def test_a_revision_that_never_was_is_not_found(office: Services, number: int) -> None:
    with pytest.raises(NotFound):
        await office.base_settings.get(ADMIN, BASE, number)
    assert len(await office.base_settings_revisions.page(ADMIN, BASE, before=2**70)) == 1


# ---- differences ----------------------------------------------------------------------------------------------------


async def test_a_diff_tells_settings_and_what_they_make_of_a_phones_files(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"dtmf_payload_type": 104, "language": "Spanish_Spain"})
    diff = await office.base_settings_revisions.diff(ADMIN, BASE, 1, files=True)

    assert (diff.before, diff.after) == (1, 2)
    assert [(c.name, c.before, c.after) for c in diff.changes] == [
        ("settings.dtmf_payload_type", 102, 104),
        ("settings.language", None, "Spanish_Spain"),
    ]
    assert diff.sample and diff.sample.phone in (VVX, OTHER_VVX)
    assert "-" in diff_of(diff.sample.files) and "104" in diff_of(diff.sample.files)


async def test_a_diff_shows_the_phone_that_is_asked_for_and_no_other_family(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"dtmf_payload_type": 104})
    for phone in (VVX, OTHER_VVX):
        diff = await office.base_settings_revisions.diff(ADMIN, BASE, 1, 2, phone=phone.upper())
        assert diff.sample and diff.sample.phone == phone
    with pytest.raises(BadValue, match=r"^phone: .*4xxHD"):
        await office.base_settings_revisions.diff(ADMIN, BASE, 1, 2, phone=HD400)
    with pytest.raises(NotFound):
        await office.base_settings_revisions.diff(ADMIN, BASE, 1, 2, phone="0004f2000000")


async def test_a_diff_of_base_settings_without_phones_has_no_files(office: Services) -> None:
    await office.base_settings.clone(ADMIN, BASE, "unused")
    diff = await office.base_settings_revisions.diff(ADMIN, "unused", 1, 1, files=True)
    assert diff.changes == () and diff.sample is None


@pytest.mark.parametrize(("base", "phone"), [(BASE, VVX), ("400hd", HD400)])
async def test_a_changed_secret_is_told_in_diffs_and_never_shown(office: Services, base: str, phone: str) -> None:
    await office.base_settings.edit(ADMIN, base, None, {"admin_password": "hunter2"})
    diff = await office.base_settings_revisions.diff(ADMIN, base, 1, 2, phone=phone)
    [change] = diff.changes
    assert (change.before, change.after) == ("***", "*** (another one)")
    assert diff.sample and "assword" in diff_of(diff.sample.files), "in the clear here, as the hash of a mark there"
    for secret in ("hunter2", "Ad&min1", "s3cret", HOSTILE_PASSWORD):
        assert secret not in repr(diff)


# ---- before saving --------------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_it_would_do_and_writes_nothing(office: Services) -> None:
    await office.phones.edit(ADMIN, OTHER_VVX, {"model": "vvx-450"}, {})
    before = await audit(office)
    change = {"dtmf_payload_type": 104, "custom.made.up": "1", "firmware_version": "6.4.9.9999"}
    tried = await office.base_settings.edit(ADMIN, BASE, None, change, dry_run=True)

    assert [c.name for c in tried.changes] == [
        *("settings.custom.made.up", "settings.dtmf_payload_type", "settings.firmware_version")
    ]
    assert tried.affected.phones == 2 and tried.affected.models == {"vvx-411": 1, "vvx-450": 1}
    assert tried.affected.sites == {"madrid": 2} and tried.affected.base_settings == {BASE: 2}
    assert {s.model: "104" in diff_of(s.files) for s in tried.samples} == {"vvx-411": True, "vvx-450": True}
    assert any("made.up" in w for w in tried.warnings) and any("no image of 6.4.9.9999" in w for w in tried.warnings)
    assert (await office.base_settings.get(ADMIN, BASE)).revision == 1 and await audit(office) == before


async def test_a_saved_edit_says_how_many_phones_it_touches_and_renders_none(office: Services) -> None:
    edited = await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": 40})
    assert edited.affected.phones == 2 and edited.samples == ()


async def test_a_dry_run_refuses_what_saving_would_refuse(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {"model": "vvx-450"}, {})
    with pytest.raises(BadValue, match=VVX):
        await office.base_settings.edit(ADMIN, BASE, None, {"codecs": "audio/G7221"}, dry_run=True)


async def test_a_dry_run_shows_few_phones_however_many_models_there_are(office: Services) -> None:
    models = ["vvx-101", "vvx-201", "vvx-250", "vvx-350", "vvx-501", "vvx-601"]
    for number, model in enumerate(models):
        phone = sample_phone(f"0004f200000{number}", model=model, lines=(Line(f"3{number}"),), line_keys=())
        await office.phones.add(ADMIN, phone)
    tried = await office.base_settings.edit(ADMIN, BASE, None, {"dtmf_payload_type": 104}, dry_run=True)
    assert len(tried.samples) == len({s.model for s in tried.samples}) == 5 and tried.affected.phones == 8


async def test_the_merge_of_a_patch_unsets_what_is_not_set_without_complaint(office: Services) -> None:
    with pytest.raises(BadValue, match=r"settings\.language: is not set"):
        await office.base_settings.edit(ADMIN, BASE, None, {"language": None})
    edited = await office.base_settings.edit(ADMIN, BASE, None, {"language": None}, merge=True)
    assert edited.changes == ()


# ---- making and removing --------------------------------------------------------------------------------------------


async def test_a_clone_has_everything_of_the_other_and_says_where_from(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"rtp_dscp": 40})
    clone = await office.base_settings.clone(ADMIN, BASE, "copy", HOSTILE_NAME, {"rtp_dscp": 41}, reason="lobby")

    kept = await office.base_settings.get(ADMIN, "copy")
    assert kept == clone.record and (kept.name, kept.model, kept.revision) == (HOSTILE_NAME, "vvx-411", 1)
    assert kept.settings == {"dtmf_payload_type": 102, "admin_password": "Ad&min1", "rtp_dscp": 41}
    [added] = await audit(office, "copy")
    assert added.after["cloned_from"] == f"{BASE}@2" and added.reason == "lobby"
    with pytest.raises(Conflict):
        await office.base_settings.clone(ADMIN, BASE, "400hd")
    with pytest.raises(BadValue, match=r"^id"):
        await office.base_settings.clone(ADMIN, BASE, "Not An Id")


async def test_the_template_of_a_model_is_what_base_settings_for_it_begin_with(office: Services) -> None:
    template = await office.base_settings_revisions.template(ADMIN, "audiocodes-405hd")
    await office.base_settings.add(ADMIN, "bare", "", "audiocodes-405hd", {})
    await office.sites.add(ADMIN, "bare", "", {"time_zone": "Etc/UTC", "sip_server": "sip.example.net"})
    bare = sample_phone(
        "00908f000001", model="audiocodes-405hd", site="bare", base_settings="bare", lines=(), line_keys=()
    )
    await office.phones.add(ADMIN, bare)
    own = {row.name: row.value for row in await office.phones.explain(ADMIN, "00908f000001")}
    said_by_site = {"time_zone", "sip_server"}
    assert {n: d.value.value for n, d in template.items() if n not in said_by_site} == {
        n: own[n] for n in template if n not in said_by_site
    }
    assert {d.value.source for d in template.values()} > {"product default"}
    with pytest.raises(NotFound, match="did you mean"):
        await office.base_settings_revisions.template(ADMIN, "audiocodes-405h")


async def test_what_phones_use_is_not_removed_and_the_refusal_names_the_first_of_them(office: Services) -> None:
    for number in range(30):
        await office.phones.add(ADMIN, sample_phone(f"0004f20000{number:02x}", name=f"A {number:02}"))
    with pytest.raises(InUse, match="in use by 32 phones: 0004f2000000, ") as caught:
        await office.base_settings.remove(ADMIN, BASE)
    assert caught.value.count == 32 and len(caught.value.phones) == 20
    assert caught.value.phones[0]["name"] == "A 00" and caught.value.phones[0]["hardware_id"] == "0004f2000000"
    assert len(await office.base_settings.all(ADMIN)) == 2


async def test_a_refusal_names_only_phones_that_the_one_who_asks_may_see(office: Services) -> None:
    await office.sites.add(ADMIN, "paris", "", {"sip_server": "sip.example.net"})
    await office.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    deletes = Grant(frozenset({"base_settings:delete"}))
    for who, seen in (
        (Actor("paris", (*OF_PARIS.grants, deletes)), [OTHER_VVX]),
        (Actor("blind", (deletes,)), []),
    ):
        with pytest.raises(InUse, match="in use by 2 phones") as caught:
            await office.base_settings.remove(who, BASE)
        assert [phone["hardware_id"] for phone in caught.value.phones] == seen


async def test_removed_base_settings_stay_whole_in_the_audit(office: Services) -> None:
    await office.base_settings.clone(ADMIN, BASE, "copy")
    await office.base_settings.remove(ADMIN, "copy", reason="not needed")
    removed = (await audit(office, "copy"))[0]
    assert (removed.action, removed.reason, removed.after) == ("base_settings.removed", "not needed", {})
    assert removed.before["model"] == "vvx-411" and removed.before["settings.dtmf_payload_type"] == 102
    with pytest.raises(NotFound):
        await office.base_settings.get(ADMIN, "copy")


# ---- who may --------------------------------------------------------------------------------------------------------


async def test_the_admin_password_is_revealed_with_a_reason_that_is_written_down(office: Services) -> None:
    assert await office.base_settings.reveal(ADMIN, BASE, "locked out") == {"admin_password": "Ad&min1"}
    revealed = (await audit(office))[0]
    assert (revealed.action, revealed.reason, revealed.before, revealed.after) == (
        *("base_settings.revealed", "locked out"), {}, {},
    )  # fmt: skip
    for who, reason, error in ((ADMIN, " ", BadValue), (VIEWER, "x", Forbidden), (OF_PARIS, "x", Forbidden)):
        with pytest.raises(error):
            await office.base_settings.reveal(who, BASE, reason)
    assert (await audit(office))[0] == revealed


async def test_who_may_only_look_changes_nothing(office: Services) -> None:
    service, revisions = office.base_settings, office.base_settings_revisions
    for who in (VIEWER, OF_PARIS):
        assert len(await service.all(who)) == 2 and (await service.get(who, BASE)).id == BASE
        for write in (
            service.add(who, "new", "", "vvx-411", {}),
            service.clone(who, BASE, "new"),
            service.edit(who, BASE, None, {"rtp_dscp": 40}),
            service.edit(who, BASE, None, {"rtp_dscp": 40}, dry_run=True),
            service.revert(who, BASE, 1),
            service.remove(who, BASE),
        ):
            with pytest.raises(Forbidden):
                await write
    for read in (
        service.all(NOBODY),
        service.get(NOBODY, BASE),
        revisions.page(NOBODY, BASE),
        revisions.get(NOBODY, BASE, 1),
        revisions.diff(NOBODY, BASE, 1, 1),
        revisions.template(NOBODY, "vvx-411"),
    ):
        with pytest.raises(Forbidden):
            await read


async def test_no_files_are_shown_of_phones_that_the_one_who_asks_may_not_see(office: Services) -> None:
    await office.base_settings.edit(ADMIN, BASE, None, {"dtmf_payload_type": 104})
    revisions = office.base_settings_revisions
    assert (await revisions.diff(OF_PARIS, BASE, 1, 2, files=True)).sample is None
    with pytest.raises(NotFound, match=f"no phone {VVX}"):
        await revisions.diff(OF_PARIS, BASE, 1, 2, phone=VVX)
    edits = Actor("editor", (Grant(frozenset({"base_settings:view", "base_settings:edit"})),))
    tried = await office.base_settings.edit(edits, BASE, None, {"dtmf_payload_type": 105}, dry_run=True)
    assert tried.affected.phones == 2 and tried.samples == ()


async def test_the_list_comes_in_pages(office: Services) -> None:
    assert [base.id for base in await office.base_settings.page(ADMIN, "", 1)] == ["400hd"]
    assert [base.id for base in await office.base_settings.page(ADMIN, "400hd", 1)] == [BASE]


async def test_phones_that_run_something_newer_are_counted_before_saving(office: Services) -> None:
    async with office.store.write() as session:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        for mac in (VVX, OTHER_VVX):
            await session.check_ins.note([CheckIn(mac, f"{mac}.cfg", at, 200, "e", "127.0.0.1", "network", "6.4.0.1")])
    await office.phones.edit(ADMIN, OTHER_VVX, {}, {"firmware_version": "6.4.0.1"})
    tried = await office.base_settings.edit(ADMIN, BASE, None, {"firmware_version": "5.9.8.5760"}, dry_run=True)
    assert any("1 vvx-411 said to run a newer one" in warning for warning in tried.warnings)
    of_site = await office.sites.edit(ADMIN, "madrid", None, {"firmware_version": "5.9.8.5760"}, dry_run=True)
    assert any("1 vvx-411 said to run a newer one" in warning for warning in of_site.warnings)
