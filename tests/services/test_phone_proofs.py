"""What administrators make for phones to prove themselves with: shown once, written down, gone when it should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant, granted
from ztp_server.domain.audit import AuditRecord
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import PhoneProofs, token_hash
from ztp_server.domain.template_context import Server
from ztp_server.errors import BadValue, Conflict, Forbidden, ImportRefused, NotFound
from ztp_server.services.opening import Services
from ztp_server.services.phone_import import Order
from ztp_server.services.proof_views import proofs_view
from ztp_server.services.retention import forget_old
from ztp_server.store.schema_trust import digest_credentials, phone_tokens, provisioning_windows

CSV = (
    b"hardware_id,name,category,model,site,base_settings,line1_user\n"
    b"0004f2000001,One,managed,vvx-411,madrid,vvx-standard,1\n"
    b"0004f2000002,Two,managed,vvx-411,madrid,vvx-standard,2\n"
    b",Door,unmanaged,,madrid,,5001\n"
)


async def kept(office: Services, mac: str = VVX) -> PhoneProofs:
    async with office.store.read() as session:
        return await session.phone_proofs.of_phone((await session.phones.get(mac)).id)


async def audit_of(office: Services) -> list[AuditRecord]:
    """All records, the newest first."""
    return list((await office.audit.page(ADMIN, limit=1000))[0])


async def everything_written(office: Services) -> str:
    """The audit, the events and the list of changes, as text."""
    async with office.store.read() as session:
        changes = (await session._connection.execute(sa.text("SELECT kind, key FROM changes"))).all()
    events, _ = await office.events.page(ADMIN, limit=1000)
    return "\n".join(map(repr, [*await audit_of(office), *events, *changes]))


async def actions(office: Services) -> list[str]:
    return [record.action for record in reversed(await audit_of(office))]


async def takes(office: Services, *proofs: str, mac: str = VVX) -> None:
    """Let these count for a phone."""
    await office.phones.edit(ADMIN, mac, {"proofs": proofs or None}, {})


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(office: Services) -> None:
    made = await office.phone_proofs.new_token(ADMIN, VVX, "bootstrap", "new desk")
    has = await kept(office)
    assert has.bootstrap and has.bootstrap.hash == token_hash(made.token) and len(made.token) >= 39
    assert made.addresses == [f"{scheme}://ztp.example.net/t/{made.token}/" for scheme in ("http", "https")]
    assert has.steady is not None, "a phone that comes with it once has to come again"
    written = await everything_written(office)
    assert "phone_token.made" in written and "new desk" in written
    shown = json.dumps(proofs_view(await office.phone_proofs.show(ADMIN, VVX)))
    async with office.store.read() as session:
        steady = session.phone_proofs.token(has.steady)
    for secret in (made.token, steady, has.bootstrap.hash, has.bootstrap.number, has.steady.number):
        assert secret not in written + shown + repr(made)

    again = await office.phone_proofs.new_token(ADMIN, VVX, "bootstrap")
    after = await kept(office)
    assert after.bootstrap and after.bootstrap.hash == token_hash(again.token) != has.bootstrap.hash
    assert after.steady == has.steady, "the phone may have it in its files"
    await office.phone_proofs.remove_token(ADMIN, VVX, "bootstrap")
    with pytest.raises(NotFound, match="no bootstrap token"):
        await office.phone_proofs.remove_token(ADMIN, VVX, "bootstrap")
    assert (await kept(office)).bootstrap is None


async def test_where_a_token_can_be_used_is_said_before_it_is_made(office: Services) -> None:
    urls = office.address.server.urls
    office.address.server = Server(urls, "")
    made = await office.phone_proofs.new_token(ADMIN, VVX)
    assert made.addresses[0].startswith("https://") and not made.warnings, "everybody knows that CA"

    await office.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})
    assert len((await office.phone_proofs.new_token(ADMIN, VVX)).addresses) == 1
    office.address.server = Server(urls, "a CA of our own")
    assert "must trust that CA already" in (await office.phone_proofs.new_token(ADMIN, VVX)).warnings[0]
    for left, match in (("http", "plain HTTP gives no secrets at site madrid"), ("mtls", "--phone-http are off")):
        office.address.server = Server({left: urls[left]}, "")
        before = await kept(office)
        with pytest.raises(Conflict, match=match):
            await office.phone_proofs.new_token(ADMIN, VVX)
        assert await kept(office) == before


async def test_a_steady_token_that_is_replaced_leaves_the_phone_outside(office: Services) -> None:
    assert not (await office.phone_proofs.new_token(ADMIN, VVX, "steady")).warnings
    first = (await kept(office)).steady
    assert first
    async with office.store.write() as session:
        await session.phone_proofs.use_first(first, "10.1.2.3", datetime.now(UTC))
    made = await office.phone_proofs.new_token(ADMIN, VVX, "steady")
    assert "still asks with the token that this one replaces" in made.warnings[0]
    with pytest.raises(BadValue, match="kind: must be one of bootstrap, steady"):
        await office.phone_proofs.new_token(ADMIN, VVX, "☎\x00")


async def test_a_window_comes_with_what_the_phone_needs_afterwards(office: Services) -> None:
    opened = await office.phone_proofs.open_window(ADMIN, VVX, 90, "unpacked")
    has = await kept(office)
    assert has.window and has.window.until - has.window.opened_at == timedelta(minutes=90)
    assert has.steady and opened.steady_made and opened.afterwards.kind == "token" and not opened.warnings

    again = await office.phone_proofs.open_window(ADMIN, VVX)
    assert not again.steady_made and (await kept(office)).steady == has.steady
    assert [a for a in await actions(office) if a.startswith(("window", "phone_token"))] == [
        *("window.opened", "phone_token.made", "window.opened")
    ]
    await office.phone_proofs.close_window(ADMIN, VVX, "done")
    with pytest.raises(NotFound, match="no window is open"):
        await office.phone_proofs.close_window(ADMIN, VVX)
    assert (await kept(office)).steady == has.steady


async def test_how_a_phone_goes_on_after_its_window_is_said_and_warned_of(office: Services) -> None:
    office.address.trusted_makers = frozenset({"poly"})
    certified = await office.phone_proofs.open_window(ADMIN, VVX)
    assert (certified.afterwards.kind, certified.steady_made, certified.warnings) == ("certificate", False, [])
    office.address.trusted_makers = frozenset()

    await takes(office, "window", "digest", "network", mac=OTHER_VVX)
    at_home = await office.phone_proofs.open_window(ADMIN, OTHER_VVX)
    assert at_home.afterwards.kind == "network" and "127.0.0.0/8" in at_home.warnings[0]
    await office.phone_proofs.set_digest(ADMIN, OTHER_VVX)
    # Where nobody is asked for a login there is no use for one.
    assert (await office.phone_proofs.open_window(ADMIN, OTHER_VVX)).afterwards.kind == "network"
    office.address.logins = {"https": ["d/"]}
    assert (await office.phone_proofs.open_window(ADMIN, OTHER_VVX)).afterwards.kind == "digest"

    await takes(office, "window", mac=HD400)
    lost = await office.phone_proofs.open_window(ADMIN, HD400)
    assert lost.afterwards.kind == "" and "gets no others" in lost.warnings[0]


@pytest.mark.parametrize("layer", ["site", "base settings", "phone"])
async def test_no_token_is_promised_where_somebody_set_the_address_of_another_server(
    office: Services, layer: str
) -> None:
    async def told(url: str) -> None:
        if layer == "site":
            await office.sites.edit(ADMIN, "madrid", None, {"provisioning_url": url})
        elif layer == "phone":
            await office.phones.edit(ADMIN, VVX, {}, {"provisioning_url": url})
        else:
            await office.base_settings.edit(ADMIN, "vvx-standard", None, {"provisioning_url": url})

    office.address.trusted_makers = frozenset({"poly"})
    await takes(office, "certificate", "token", "window")
    await told("https://a.example/")
    lost = await office.phone_proofs.open_window(ADMIN, VVX)
    assert (lost.afterwards.kind, lost.steady_made) == ("", False)
    assert "https://a.example/, its provisioning_url" in lost.warnings[0]
    tried = await office.phone_import.run(ADMIN, [CSV], "create", dry_run=True, open_window=60)
    assert ("by their address at most" in " ".join(tried.warnings)) == (layer != "phone")
    # One that names this server is as good as none.
    await told("https://ZTP.example.net:443")
    opened = await office.phone_proofs.open_window(ADMIN, VVX)
    assert (opened.afterwards.kind, opened.steady_made, opened.warnings) == ("token", True, [])


async def test_what_is_set_last_says_where_a_phone_comes_back(office: Services) -> None:
    await takes(office, "token", "window")
    await office.sites.edit(ADMIN, "madrid", None, {"provisioning_url": "https://a.example/"})
    await office.phones.edit(ADMIN, VVX, {}, {"provisioning_url": ""})

    assert (await office.phone_proofs.open_window(ADMIN, VVX)).afterwards.kind == "token"


async def test_what_does_not_count_is_not_made(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate,network"})
    for make in (office.phone_proofs.new_token, office.phone_proofs.open_window, office.phone_proofs.set_digest):
        with pytest.raises(BadValue, match=r"site madrid does not take .*only: certificate, network") as refused:
            await make(ADMIN, VVX)
        assert refused.value.field == "proofs"
    await takes(office, "window")
    await office.phone_proofs.open_window(ADMIN, VVX)
    with pytest.raises(BadValue, match="the phone does not take token, only: window"):
        await office.phone_proofs.new_token(ADMIN, VVX)
    for minutes in (0, -1, 10_081):
        with pytest.raises(BadValue, match="minutes: must be 1 to 10080"):
            await office.phone_proofs.open_window(ADMIN, VVX, minutes)

    door = Phone("Door", "", "", "madrid", "", category="unmanaged", lines=(Line("7"),))
    door = (await office.phones.add(ADMIN, door)).phone
    with pytest.raises(NotFound, match="is unmanaged: it is given no files"):
        await office.phone_proofs.open_window(ADMIN, door.id)
    with pytest.raises(BadValue, match="proofs: is not a field of an unmanaged phone"):
        await office.phones.edit(ADMIN, door.id, {"proofs": ()}, {})


async def test_a_digest_password_is_shown_when_it_is_made_and_by_reason(office: Services) -> None:
    made = await office.phone_proofs.set_digest(ADMIN, VVX)
    assert made.user == VVX and len(made.password) == 24 and made.password not in repr(made)
    mine = await office.phone_proofs.set_digest(ADMIN, OTHER_VVX, "Ops&<'", "p<a;s&s'%41")
    assert mine.user == "Ops&<'" and (await kept(office, OTHER_VVX)).digest
    with pytest.raises(Conflict, match="another phone proves itself as"):
        await office.phone_proofs.set_digest(ADMIN, OTHER_VVX, VVX)
    for wrong in ({"user": 'a"b'}, {"user": "a:b"}, {"user": "é"}, {"password": "short"}, {"password": "with a space"}):
        with pytest.raises(BadValue) as refused:
            await office.phone_proofs.set_digest(ADMIN, VVX, **wrong)
        assert refused.value.field in wrong and not {*wrong.values()} & {*str(refused.value).split(": ")}
    assert (await kept(office)).digest, "what is refused changes nothing"

    with pytest.raises(BadValue, match="reason"):
        await office.phone_proofs.reveal_digest(ADMIN, VVX, " ")
    assert await office.phone_proofs.reveal_digest(ADMIN, VVX, "the phone was reset") == made
    written = await everything_written(office)
    assert "phone.revealed" in written and "digest.set" in written
    assert made.password not in written and mine.password not in written
    async with office.store.read() as session:
        rows = (await session._connection.execute(sa.select(digest_credentials.c.password))).scalars().all()
    assert len(rows) == 2 and not {made.password, mine.password} & {*rows}

    await office.phone_proofs.remove_digest(ADMIN, VVX)
    for gone in (office.phone_proofs.remove_digest(ADMIN, VVX), office.phone_proofs.reveal_digest(ADMIN, VVX, "x")):
        with pytest.raises(NotFound, match="no Digest credential"):
            await gone


async def test_a_password_that_does_not_open_is_replaced_and_taken_away_all_the_same(office: Services) -> None:
    await office.phone_proofs.set_digest(ADMIN, VVX)
    async with office.store.write() as session:
        await session._connection.execute(sa.update(digest_credentials).values(password="v2:1:AAAA"))
    shown = await office.phone_proofs.show(ADMIN, VVX)
    assert shown.has.digest and shown.has.digest.user == VVX
    made = await office.phone_proofs.set_digest(ADMIN, VVX)
    assert await office.phone_proofs.reveal_digest(ADMIN, VVX, "to see") == made


async def _all_made(office: Services, mac: str = VVX) -> None:
    await office.phone_proofs.new_token(ADMIN, mac)
    await office.phone_proofs.open_window(ADMIN, mac)
    await office.phone_proofs.set_digest(ADMIN, mac)


async def test_a_blocked_phone_has_nothing_left_and_is_given_nothing_back(office: Services) -> None:
    await _all_made(office)
    blocked = await office.phone_proofs.block(ADMIN, VVX, "stolen")
    assert blocked.proofs == () and await kept(office) == PhoneProofs()
    assert (await office.phones.get(ADMIN, VVX)) == blocked
    with pytest.raises(BadValue, match="ztp phone unblock 0004f2aabbcc"):
        await office.phone_proofs.open_window(ADMIN, VVX)
    assert "blocked" in (await office.phone_status.get(ADMIN, VVX)).reason
    shown = proofs_view(await office.phone_proofs.show(ADMIN, VVX))
    assert (shown["blocked"], shown["proofs"], shown["source"]) == (True, [], "phone")

    again = await office.phone_proofs.block(ADMIN, VVX)
    assert again.revision == blocked.revision
    freed = await office.phone_proofs.unblock(ADMIN, VVX)
    assert freed.proofs is None and await kept(office) == PhoneProofs()
    assert "blocked" not in (await office.phone_status.get(ADMIN, VVX)).reason
    records = [r for r in await audit_of(office) if "blocked" in r.action]
    assert [(r.action, r.before, r.after, r.reason) for r in records] == [
        ("phone.unblocked", {"proofs": []}, {}, ""),
        ("phone.blocked", {}, {"proofs": []}, "stolen"),
    ]
    # One that was never blocked keeps what it has of its own.
    await takes(office, "token")
    assert (await office.phone_proofs.unblock(ADMIN, VVX)).proofs == ("token",)


async def test_a_phone_with_a_damaged_record_can_be_blocked(office: Services) -> None:
    await _all_made(office)
    async with office.store.write() as session:
        await session._connection.execute(sa.text("UPDATE lines SET password = 'v2:1:AAAA'"))
    assert (await office.phone_proofs.block(ADMIN, VVX)).proofs == ()


@pytest.mark.parametrize("how", ["another MAC", "an empty list", "removed", "imported as blocked"])
async def test_what_was_made_for_a_phone_goes_with_it(office: Services, how: str) -> None:
    await _all_made(office)
    await _all_made(office, OTHER_VVX)
    phone = await office.phones.get(ADMIN, VVX)
    if how == "another MAC":
        await office.phones.edit(ADMIN, VVX, {"hardware_id": "0004f2777777"}, {})
    elif how == "an empty list":
        await office.phones.edit(ADMIN, VVX, {"proofs": ()}, {})
    elif how == "removed":
        await office.phones.remove(ADMIN, VVX)
        await office.removed_phones.restore(ADMIN, phone.id)
    else:
        await office.phone_import.run(ADMIN, [f"id,proofs\n{phone.id},none\n".encode()], "update")
    async with office.store.read() as session:
        assert await session.phone_proofs.of_phone(phone.id) == PhoneProofs()
        told = (await session._connection.execute(sa.text("SELECT kind, key FROM changes ORDER BY seq"))).all()
        for table in (phone_tokens, provisioning_windows, digest_credentials):
            rows = (await session._connection.execute(sa.select(table.c.phone_id))).scalars().all()
            assert rows, "those of the other phone stay"
    assert [tuple(row) for row in told].count(("proof", VVX)) >= 5, "other processes are told"
    assert (await kept(office, OTHER_VVX)).window


async def test_the_proofs_of_a_phone_are_put_in_order_and_checked(office: Services) -> None:
    written = await office.phones.edit(ADMIN, VVX, {"proofs": ("network", "token", "token")}, {})
    assert written.phone.proofs == ("token", "network")
    with pytest.raises(BadValue, match="proofs: 'magic' is none of"):
        await office.phones.edit(ADMIN, VVX, {"proofs": ("magic",)}, {})
    new = await office.phones.add(ADMIN, sample_phone("0004f2777777", proofs=()))
    assert new.phone.proofs == ()
    record = next(r for r in await audit_of(office) if r.subject == VVX)
    assert (record.before, record.after) == ({}, {"proofs": ["token", "network"]})
    await office.phones.remove(ADMIN, "0004f2777777")
    assert (await office.removed_phones.restore(ADMIN, "0004f2777777")).proofs == (), "it stays blocked"


async def test_windows_that_are_over_are_not_shown_and_are_forgotten(office: Services) -> None:
    await office.phone_proofs.open_window(ADMIN, VVX)
    await office.phone_proofs.open_window(ADMIN, OTHER_VVX, 120)
    async with office.store.write() as session:
        phone = await session.phones.get(VVX)
        mine = provisioning_windows.c.phone_id == phone.id
        past = datetime.now(UTC) - timedelta(seconds=1)
        await session._connection.execute(sa.update(provisioning_windows).where(mine).values(until=past))
    assert (await office.phone_proofs.show(ADMIN, VVX)).has.window is None
    assert (await kept(office)).window is not None
    assert (await forget_old(office.store))["provisioning_windows"] == 1
    assert (await kept(office)).window is None and (await kept(office, OTHER_VVX)).window


async def test_an_import_opens_windows_only_when_it_is_asked_to(office: Services) -> None:
    report = await office.phone_import.run(ADMIN, [CSV], "create")
    assert (report.created, report.windows) == (3, 0) and await kept(office, "0004f2000001") == PhoneProofs()
    for mac in ("0004f2000001", "0004f2000002"):
        await office.phones.remove(ADMIN, mac)

    tried = await office.phone_import.run(ADMIN, [CSV], "create", dry_run=True, open_window=60)
    assert (tried.windows, tried.warnings) == (2, [])
    report = await office.phone_import.run(ADMIN, [CSV], "create", open_window=60)
    assert (report.created, report.windows) == (3, 2)
    for mac in ("0004f2000001", "0004f2000002"):
        has = await kept(office, mac)
        assert has.window and has.steady and has.window.until - has.window.opened_at == timedelta(minutes=60)
    assert (await actions(office)).count("window.opened") == 2

    again = CSV + b"0004f2000003,Three,managed,vvx-411,madrid,vvx-standard,3\n"
    rows = b"\n".join(line for line in again.split(b"\n") if b"Door" not in line)
    report = await office.phone_import.run(ADMIN, [rows], "upsert", open_window=60)
    assert (report.created, report.unchanged, report.windows) == (1, 2, 1), "those that are there get none"


async def test_an_import_with_windows_is_refused_where_they_cannot_be_opened(office: Services) -> None:
    both = granted(ROLES["editor"] | {"phones:approve"}, "madrid")
    for who in (Actor("token:editor", (Grant(ROLES["editor"]),)), Actor("token:none")):
        with pytest.raises(Forbidden):
            await office.phone_import.run(who, [CSV], "create", open_window=60)
        with pytest.raises(Forbidden):
            await office.phone_import.submit(who, Order("x.csv", open_window=60), [CSV])
    elsewhere = Actor("token:lisbon", (*granted(ROLES["installer"], "lisbon"), *granted(ROLES["editor"], "madrid")))
    with pytest.raises(ImportRefused) as refused:
        await office.phone_import.run(elsewhere, [CSV], "create", open_window=60)
    assert "column site: needs the permission phones:approve" in refused.value.problems[0]
    for minutes, mode in ((10_081, "create"), (-1, "create"), (60, "update")):
        with pytest.raises(BadValue) as wrong:
            await office.phone_import.run(ADMIN, [CSV], mode, open_window=minutes)  # type: ignore[arg-type]
        assert wrong.value.field == "open_window"

    await office.sites.edit(ADMIN, "madrid", None, {"proofs": "token,network"})
    with pytest.raises(ImportRefused) as refused:
        await office.phone_import.run(Actor("token:m", both), [CSV], "create", open_window=60)
    assert refused.value.problems[0] == "line 2, column proofs: site madrid does not take window, only: token, network"
    await office.sites.edit(ADMIN, "madrid", None, {"proofs": "window,network"})
    report = await office.phone_import.run(Actor("token:m", both), [CSV], "create", open_window=60)
    assert report.warnings == [
        "once their windows are closed, 2 of the new phones can prove themselves by their address at most"
    ]


async def test_a_job_that_imports_opens_windows_too(office: Services) -> None:
    job = await office.phone_import.submit(ADMIN, Order("x.csv", open_window=30), [CSV])
    done = await office.job_runner.run(job.id)
    assert (done.state, done.order["open_window"]) == ("done", 30)
    assert (await kept(office, "0004f2000001")).window


async def test_what_a_phone_has_is_explained_and_what_to_do(office: Services) -> None:
    async def explained(**asked: Any) -> str:
        found = await office.why.explain(ADMIN, VVX, **asked)
        return "\n".join([f"{finding.ok} {finding.text}" for finding in found.findings] + list(found.advice))

    assert "None no window is open for it" in await explained()
    await _all_made(office)
    said = await explained()
    assert "True a window is open until" in said and "whoever asks first in its name is believed" in said
    assert "None it has a steady token, made by test at" in said and "HTTP Digest as '0004f2aabbcc'" in said
    has = await kept(office)
    assert has.window and has.bootstrap and has.steady
    async with office.store.write() as session:
        for one in (has.window, has.bootstrap, has.steady):
            await session.phone_proofs.use_first(one, "10.1.2.3", datetime.now(UTC))
    said = await explained(address="10.1.2.3")
    assert (
        "True a window is open until" in said and "bound to 10.1.2.3" in said and "True it has a steady token" in said
    )
    said = await explained(address="10.1.2.4")
    assert said.count("bound to 10.1.2.3: no proof elsewhere") == 2

    await takes(office, "certificate")
    said = await explained()
    assert "its own proofs count: certificate; those of site madrid do not" in said
    assert "it has a token, and the phone does not take token: no proof" in said
    assert "the phone does not take windows" in said and "an address is no proof of this phone" in said
    await office.phone_proofs.block(ADMIN, VVX)
    said = await explained()
    assert "False it is blocked" in said and "ztp phone unblock 0004f2aabbcc" in said and "window" not in said
