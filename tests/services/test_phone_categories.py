"""The four categories of phones: what each has, what it refuses, and the connection of those configured elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.access import PERMISSIONS, ROLES, Actor, Grant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, LineChange, Phone
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound, Stale
from ztp_server.services.opening import Services

MADRID = Actor("token:madrid", (Grant(ROLES["viewer"] | {"phones:edit"}, "madrid"),))
PARIS = Actor("token:paris", (Grant(frozenset(PERMISSIONS), "paris"),))


def other_phone(category: str, **fields: Any) -> Phone:
    return Phone(**{"name": HOSTILE_NAME, "hardware_id": "", "model": "", "site": "madrid", "base_settings": "",
                    "category": category, **fields})  # fmt: skip


@pytest.fixture
async def staffed(office: Services) -> Services:
    """The office with a person and another site, whose phones are in browsers."""
    await office.users.add(ADMIN, "ana", "Ana & Co", "4001")
    await office.users.add(ADMIN, "bo", "Bo", "4002")
    await office.users.add(ADMIN, "nobody", "No extension")
    browsers = {"webrtc_url": "wss://sip.example.net/ws", "ice_servers": ["stun:stun.example.net"]}
    await office.sites.add(ADMIN, "paris", "Paris", {"sip_server": "sip.example.net", **browsers})
    return office


async def audited(services: Services, action: str) -> list[Any]:
    async with services.store.read() as session:
        return await session.audit.page(below=None, limit=100, action=action)


@pytest.mark.parametrize(
    ("category", "fields", "named"),
    [
        ("unmanaged", {"model": "vvx-411"}, "model"),
        ("unmanaged", {"base_settings": "vvx-standard"}, "base_settings"),
        ("unmanaged", {"remote_address": "+34600000000"}, "remote_address"),
        ("unmanaged", {"line_keys": (LineKey("blf", "1"),)}, "line_keys"),
        ("unmanaged", {"settings": {"rtp_dscp": 46}}, "settings.rtp_dscp"),
        ("unmanaged", {"settings": {"custom.a": "1"}}, "settings.custom.a"),
        ("unmanaged", {"settings": {"standalone": "on"}}, "settings.standalone"),
        ("unmanaged", {"settings": {"sip_port": 70_000}}, "settings.sip_port"),
        ("unmanaged", {"hardware_id": "printer"}, "hardware_id"),
        ("unmanaged", {"lines": (Line(""),)}, "lines.1.user"),
        ("unmanaged", {"lines": (Line("1"),) * 65}, "lines.65"),
        ("unmanaged", {"user": "carl"}, "user"),
        ("unmanaged", {"site": "atlantis"}, "site"),
        ("webrtc", {}, "user"),
        ("webrtc", {"user": "nobody"}, "user"),
        ("webrtc", {"user": "ana", "hardware_id": VVX}, "hardware_id"),
        ("webrtc", {"user": "ana", "lines": (Line("4002"),)}, "lines.1.user"),
        ("webrtc", {"user": "ana", "lines": (Line("4001"), Line("4002"))}, "lines.2"),
        ("webrtc", {"user": "ana", "settings": {"sip_port": 5070}}, "settings.sip_port"),
        ("remote", {}, "remote_address"),
        ("remote", {"remote_address": "+34600000000", "lines": (Line("1"),)}, "lines"),
        ("remote", {"remote_address": "+34600000000", "settings": {"sip_server": "a.example"}}, "settings"),
        ("managed", {"remote_address": "+34600000000"}, "remote_address"),
        ("managed", {"hardware_id": "desk.example.net", "model": "vvx-411"}, "hardware_id"),
        ("managed", {"hardware_id": OTHER_VVX, "model": "vvx-411"}, "base_settings"),
        ("desktop", {}, "category"),
    ],
)
async def test_a_field_that_a_category_has_not_or_lacks_is_named(
    staffed: Services, category: str, fields: dict[str, Any], named: str
) -> None:
    before = await staffed.phones.all(ADMIN)

    with pytest.raises(BadValue) as refused:
        await staffed.phones.add(ADMIN, other_phone(category, **fields))

    assert refused.value.field == named
    assert await staffed.phones.all(ADMIN) == before


@pytest.mark.parametrize(
    "address",
    ["+1", "+123456789012345", "sip:ana@example.net", "sips:ana@[2001:db8::1]:5061", "SIP:a%20b@192.0.2.1;user=phone"],
)
async def test_a_remote_phone_is_a_number_or_a_sip_address(office: Services, address: str) -> None:
    written = await office.phones.add(ADMIN, other_phone("remote", remote_address=address))

    assert written.phone.remote_address.lower() == address.lower()
    assert written.phone.remote_address[:3] in (address[:3], "sip")
    assert written.warnings == [] and written.passwords == {}


@pytest.mark.parametrize(
    "address",
    ["34600000000", "+0123", "+1234567890123456", "+34 600", "sip:ana:secret@example.net", "sip:", "sip:ana@",
     "sip:ana@example.net:70000", "sip:ana@example.net?body=x", "sip:ana@-x.net", "sip:ana@1.2.3", "tel:+34600",
     "sip:a b@example.net", "sip:ana@" + "a" * 260, "+34600\n"],
)  # fmt: skip
async def test_what_is_no_address_of_a_remote_phone_is_refused(office: Services, address: str) -> None:
    with pytest.raises(BadValue) as refused:
        await office.phones.add(ADMIN, other_phone("remote", remote_address=address.replace("\n", "\n1")))

    assert refused.value.field == "remote_address" and "secret" not in str(refused.value)


async def test_the_category_of_a_phone_stays(office: Services) -> None:
    with pytest.raises(BadValue, match="category: is managed and stays so"):
        await office.phones.edit(ADMIN, VVX, {"category": "remote"}, {})


async def test_an_unmanaged_phone_may_go_by_its_mac_its_host_name_or_its_id_alone(office: Services) -> None:
    by_name = (await office.phones.add(ADMIN, other_phone("unmanaged", hardware_id="Door.Example.NET."))).phone
    by_mac = (await office.phones.add(ADMIN, other_phone("unmanaged", hardware_id="00:11:22:33:44:55"))).phone
    by_id = (await office.phones.add(ADMIN, other_phone("unmanaged"))).phone

    assert await office.phones.get(ADMIN, "DOOR.example.net") == by_name
    assert await office.phones.get(ADMIN, "0011.2233.4455") == by_mac
    assert await office.phones.get(ADMIN, by_id.id.upper()) == by_id and by_id.hardware_id == ""


async def test_an_unmanaged_phone_is_given_no_file_as_if_it_was_unknown(office: Services) -> None:
    await office.phones.remove(ADMIN, VVX)
    await office.phones.add(ADMIN, other_phone("unmanaged", hardware_id=VVX))

    async with office.store.read() as session:
        assert await session.phones.find_running([VVX]) == {}
        assert VVX not in {wish.hardware_id for wish in await session.phones.firmware_wishes()}
    with pytest.raises(NotFound, match="is unmanaged: it is given no files"):
        await office.phones.preview(ADMIN, VVX, None, False)


async def test_sites_and_base_settings_are_edited_beside_phones_of_every_category(staffed: Services) -> None:
    for category, fields in (
        ("unmanaged", {}),
        ("webrtc", {"user": "ana"}),
        ("remote", {"remote_address": "+34600000000"}),
    ):
        await staffed.phones.add(ADMIN, other_phone(category, **fields))

    await staffed.sites.edit(ADMIN, "madrid", None, {"sip_server": "sip9.example.net"})
    await staffed.base_settings.edit(ADMIN, "vvx-standard", None, {"firmware_version": "9.9.9"})

    assert (await staffed.phones.firmware(ADMIN, VVX))[1].wanted == "9.9.9"


async def test_passwords_of_an_unmanaged_phone_are_made_and_shown_once(office: Services) -> None:
    written = await office.phones.add(
        ADMIN, other_phone("unmanaged", lines=(Line("5001"), Line("5002", password="o&wn")))
    )

    assert list(written.passwords) == [1] and len(written.passwords[1]) == 20
    assert [line.password for line in written.phone.lines] == [written.passwords[1], "o&wn"]
    assert written.passwords[1] not in repr(written)
    hidden = await office.connections.get(ADMIN, written.phone.id)
    assert [account.password for account in hidden.accounts] == ["***", "***"]
    assert written.passwords[1] not in repr(await audited(office, "phone.added"))


async def test_a_connection_is_what_site_and_phone_say_over_the_defaults(office: Services) -> None:
    door = other_phone("unmanaged", lines=(Line("5001", "auth", "p", HOSTILE_NAME),), settings={"sip_transport": "udp"})
    phone = (await office.phones.add(ADMIN, door)).phone

    found = await office.connections.get(ADMIN, phone.id)

    assert (found.server, found.server_secondary) == ("sip.example.net", "sip2.example.net")
    assert (found.transport, found.port, found.register_expires) == ("udp", 5060, 3600)
    (account,) = found.accounts
    assert (account.user, account.auth_user, account.display_name) == ("5001", "auth", HOSTILE_NAME)
    assert account.address == "sip:5001@sip.example.net"
    await office.phones.edit(ADMIN, phone.id, {}, {"sip_port": 5099, "sip_transport": None})
    changed = await office.connections.get(ADMIN, phone.id)
    assert (changed.transport, changed.port) == ("tls", 5099)


async def test_a_managed_phone_has_a_connection_too_and_a_remote_one_has_none(office: Services) -> None:
    remote = (await office.phones.add(ADMIN, other_phone("remote", remote_address="+34600000000"))).phone

    assert (await office.connections.get(ADMIN, VVX)).server == "sip.example.net"
    with pytest.raises(NotFound, match="calls go to its remote_address"):
        await office.connections.get(ADMIN, remote.id)


async def test_passwords_are_revealed_to_those_who_may_for_a_reason_that_is_kept(office: Services) -> None:
    phone = (await office.phones.add(ADMIN, other_phone("unmanaged", lines=(Line("5001", password="s&cret"),)))).phone

    with pytest.raises(BadValue, match="reason"):
        await office.connections.get(ADMIN, phone.id, reveal=True, reason=" ")
    with pytest.raises(Forbidden, match="phones:reveal"):
        await office.connections.get(MADRID, phone.id, reveal=True, reason="curious")
    assert await audited(office, "phone.revealed") == []
    found = await office.connections.get(ADMIN, phone.id, reveal=True, reason="the door was reset")

    assert found.accounts[0].password == "s&cret"
    (record,) = await audited(office, "phone.revealed")
    assert (record.actor, record.subject, record.reason) == ("test", phone.id, "the door was reset")
    assert "s&cret" not in repr(record)


async def test_a_webrtc_phone_registers_as_its_user_at_the_sites_websocket(staffed: Services) -> None:
    written = await staffed.phones.add(ADMIN, other_phone("webrtc", user="ana", site="paris"))

    found = await staffed.connections.get(ADMIN, written.phone.id)

    assert written.warnings == [] and written.phone.lines == (Line("4001", password=written.passwords[1]),)
    assert (found.websocket_url, found.ice_servers) == ("wss://sip.example.net/ws", ["stun:stun.example.net"])
    assert (found.transport, found.srtp) == ("wss", "required")
    assert found.accounts[0].address == "sip:4001@sip.example.net"


async def test_a_webrtc_phone_where_no_browser_can_connect_is_warned_of(staffed: Services) -> None:
    written = await staffed.phones.add(ADMIN, other_phone("webrtc", user="ana"))

    assert written.warnings == ["site: madrid has no webrtc_url, so no browser knows where to connect"]


async def test_a_webrtc_phone_that_goes_to_another_user_gets_another_line_and_password(staffed: Services) -> None:
    first = await staffed.phones.add(ADMIN, other_phone("webrtc", user="ana", site="paris"))

    renamed = await staffed.phones.edit(ADMIN, first.phone.id, {"name": "New"}, {})
    moved = await staffed.phones.edit(ADMIN, first.phone.id, {"user": "bo"}, {})

    assert renamed.phone.lines == first.phone.lines and renamed.passwords == {}
    assert moved.phone.lines[0].user == "4002" and moved.passwords[1] != first.passwords[1]


async def test_a_new_password_is_made_on_request(office: Services) -> None:
    written = await office.connections.new_password(ADMIN, VVX, 2)

    after = await office.phones.get(ADMIN, VVX)
    assert after.lines[1].password == written.passwords[2] != "second"
    assert after.lines[0] == sample_phone().lines[0]
    with pytest.raises(BadValue, match="line"):
        await office.connections.new_password(ADMIN, VVX, 3)


async def test_a_phone_without_a_sip_server_is_warned_of(office: Services) -> None:
    await office.sites.add(ADMIN, "oslo", "Oslo", {})

    written = await office.phones.add(ADMIN, other_phone("unmanaged", site="oslo"))

    assert written.warnings == ["settings.sip_server: neither the phone nor site oslo names a SIP server"]


async def test_the_mac_of_another_maker_is_warned_of_and_taken(office: Services) -> None:
    foreign = await office.phones.add(ADMIN, sample_phone("00908fffffff"))
    unknown = await office.phones.add(ADMIN, sample_phone("0a0b0c0d0e0f"))
    own = await office.phones.edit(ADMIN, "0a0b0c0d0e0f", {"hardware_id": "0004f2ffffff"}, {})

    (warning,) = foreign.warnings
    assert warning == "hardware_id: 00908fffffff is an address of AudioCodes, and VVX 411 is made by Poly"
    assert unknown.warnings == [
        "hardware_id: 0a0b0c0d0e0f is in no address block of Poly that is known here; is it the MAC of a VVX 411?"
    ]
    assert own.warnings == []


async def test_what_is_odd_is_said_of_what_was_changed_alone(office: Services) -> None:
    first = await office.phones.edit(ADMIN, VVX, {}, {"custom.no.such": "1", "firmware_version": "9.9.9"})
    second = await office.phones.edit(ADMIN, VVX, {"name": "New"}, {})

    assert [text.split(":")[0] for text in first.warnings] == ["custom.no.such", f"phone {VVX}"]
    assert second.warnings == []


async def test_an_edit_that_changes_nothing_writes_nothing(office: Services) -> None:
    before = await office.phones.get(ADMIN, VVX)

    written = await office.phones.edit(ADMIN, VVX, {"name": before.name}, {"rtp_dscp": None}, unset_any=True)

    assert written.phone == await office.phones.get(ADMIN, VVX) == before
    assert await audited(office, "phone.changed") == []


async def test_a_setting_that_is_not_set_can_be_unset_by_a_merge_alone(office: Services) -> None:
    with pytest.raises(BadValue, match=r"settings\.rtp_dscp: is not set here"):
        await office.phones.edit(ADMIN, VVX, {}, {"rtp_dscp": None})


async def test_an_edit_of_what_somebody_else_changed_is_refused(office: Services) -> None:
    read = await office.phones.get(ADMIN, VVX)
    await office.phones.edit(ADMIN, VVX, {"name": "First"}, {}, revision=read.revision)

    for change in (
        office.phones.edit(ADMIN, VVX, {"name": "Second"}, {}, revision=read.revision),
        office.phones.remove(ADMIN, VVX, revision=read.revision),
    ):
        with pytest.raises(Stale):
            await change
    assert (await office.phones.get(ADMIN, VVX)).name == "First"


async def test_who_may_not_see_a_phone_is_told_that_there_is_none(staffed: Services) -> None:
    phone = await staffed.phones.get(ADMIN, VVX)

    for text in (VVX, phone.id):
        for ask in (
            staffed.phones.get(PARIS, text),
            staffed.phones.edit(PARIS, text, {"name": "x"}, {}),
            staffed.phones.remove(PARIS, text),
            staffed.phones.explain(PARIS, text),
            staffed.phones.preview(PARIS, text, None, False),
            staffed.connections.get(PARIS, text),
            staffed.overrides.clear(PARIS, text),
        ):
            with pytest.raises(NotFound, match=f"^no phone {text}$"):
                await ask
    with pytest.raises(Conflict) as refused:
        await staffed.phones.add(PARIS, sample_phone(site="paris"))
    assert "madrid" not in str(refused.value)
    assert await staffed.phones.all(PARIS) == []


async def test_who_moves_a_phone_needs_the_permission_at_both_places(staffed: Services) -> None:
    with pytest.raises(Forbidden, match="at site paris"):
        await staffed.phones.edit(MADRID, VVX, {"site": "paris"}, {})
    with pytest.raises(Forbidden, match="at site atlantis"):
        await staffed.phones.edit(MADRID, VVX, {"site": "atlantis"}, {})
    with pytest.raises(Forbidden, match="phones:add at site madrid"):
        await staffed.phones.add(MADRID, sample_phone("0004f2000001"))
    with pytest.raises(Forbidden, match="phones:delete"):
        await staffed.phones.remove(MADRID, VVX)


async def test_standalone_is_shown_whoever_says_it(office: Services) -> None:
    phone = await office.phones.get(ADMIN, VVX)
    assert (await office.phones.view(phone))["standalone"] is False

    await office.base_settings.edit(ADMIN, "vvx-standard", None, {"standalone": "on"})
    assert (await office.phones.view(phone))["standalone"] is True
    own = (await office.phones.edit(ADMIN, VVX, {}, {"standalone": "off"})).phone
    assert (await office.phones.view(own))["standalone"] is False


async def test_many_phones_are_read_and_replaced_at_once_or_not_at_all(office: Services) -> None:
    many = [sample_phone(f"0004f2{n:06x}", lines=(Line(str(n), password=f"p{n}"),)) for n in range(1, 1203)]
    async with office.store.write() as session:
        ids = [phone.id for phone in await session.phones.add([replace(p, line_keys=()) for p in many])]
    async with office.store.read() as session:
        read = await session.phones.get_many([*reversed(ids), "f" * 32])
    assert [phone.id for phone in read] == ids[::-1]

    async with office.store.write() as session:
        await session.phones.replace_many([replace(phone, name="é😀", settings={"rtp_dscp": 1}) for phone in read])
    with pytest.raises(Stale):
        async with office.store.write() as session:
            fresh = await session.phones.get_many(ids)
            await session.phones.replace_many([replace(phone, name="late") for phone in [*fresh[:-1], read[0]]])
    async with office.store.read() as session:
        after = await session.phones.get_many(ids)
    assert {(phone.name, phone.revision) for phone in after} == {("é😀", 2)}
    assert [phone.lines[0].password for phone in after] == [f"p{n}" for n in range(1, 1203)]


async def test_a_line_keeps_the_password_of_its_user_wherever_it_goes(office: Services) -> None:
    lines = (LineChange("1002"), LineChange("1001", label="x"), LineChange("1003"), LineChange("1002", password="new"))

    after = (await office.phones.edit(ADMIN, VVX, {}, {}, lines)).phone

    own = sample_phone().lines
    assert [line.password for line in after.lines] == ["second", own[0].password, "", "new"]


async def test_a_phone_of_an_unmanaged_category_says_where_its_settings_come_from(office: Services) -> None:
    phone = (await office.phones.add(ADMIN, other_phone("unmanaged", settings={"sip_server": "own.example"}))).phone

    found = {row.name: row for row in await office.phones.explain(ADMIN, phone.id)}

    assert (found["sip_server"].value, found["sip_server"].overridden) == ("own.example", True)
    assert [value.source for value in found["sip_server"].underneath] == ["site madrid", "product default"]
    assert "codecs" not in found and HD400 not in found
