"""What a user changed on a phone: kept for that phone alone, sifted, given back at each boot, and gone when it is off.

Such a file goes above all of ours, so most of this is about those who would send one in a phone's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, OTHER_VVX, VVX, World
from tests.phone_http.conftest import Ztp
from ztp_server.config import shipped_folder
from ztp_server.domain.overrides import named, shown
from ztp_server.domain.parameters import parse_names
from ztp_server.store.schema_history import check_ins, events
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog
from ztp_server.xml_parameters import MOST_PARAMETERS, read_attributes

PHONE, WEB = f"{VVX}-phone.cfg", f"{VVX}-web.cfg"
OWN_FILE = f"{VVX}-settings.cfg"
HARMLESS = {"divert.1.contact": "1002", "divert.fwd.1.enabled": "1", "up.backlight.timeout": "40"}
EMPTY = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<PHONE_CONFIG><OVERRIDES/></PHONE_CONFIG>\n'

# One of each kind that would make the phone somebody else's.
HOSTILE = {
    "reg.1.address": "9999",
    "reg.1.auth.password": "stolen-secret",
    "reg.1.server.1.address": "evil.example",
    "reg.2.outboundProxy.address": "evil.example",
    "voIpProt.server.1.address": "evil.example",
    "voIpProt.SIP.outboundProxy.address": "evil.example",
    "voIpProt.SIP.specialEvent.checkSync.alwaysReboot": "1",
    "voIpProt.SIP.mtls.enable": "0",
    "device.set": "1",
    "device.prov.serverName": "http://evil.example/",
    "device.prov.serverName.set": "1",
    "device.auth.localAdminPassword": "owned",
    "device.sec.TLS.customCaCert1": "-----BEGIN CERTIFICATE-----",
    "sec.TLS.customCaCert.1": "-----BEGIN CERTIFICATE-----",
    "sec.TLS.SIP.strictCertCommonNameValidation": "0",
    "sec.srtp.enable": "0",
    "prov.polling.enabled": "0",
    "httpd.enabled": "1",
    "httpd.cfg.enabled": "1",
    "apps.push.serverRootURL": "http://evil.example/",
    "apps.restapi.enabled": "1",
    "dialplan.digitmap": "x.T",
    "dialplan.routing.emergency.1.value": "999",
    "dialplan.routing.server.1.address": "evil.example",
    "feature.E911.HELD.server": "http://evil.example/",
    "locInfo.source": "MS_E911_LIS",
    "upgrade.custom.server.url": "http://evil.example/",
    "log.level.change.sip": "0",
    "tcpIpApp.sntp.address": "evil.example",
    "tcpIpApp.port.rtp.mediaPortRangeStart": "2",
    "efk.efklist.1.action.string": "1900$Tinvite$",
    "softkey.1.action": "http://evil.example/",
    "mb.main.home": "http://evil.example/",
    "dir.corp.address": "evil.example",
    "exchange.server.url": "http://evil.example/",
    "nat.ip": "192.0.2.1",
    "attendant.resourceList.1.address": "sip:x@evil.example",
    "saf.1": "http://evil.example/x.wav",
    "call.autoAnswer.SIP": "1",
    "call.autoOffHook.1.contact": "1900",
    "se.rt.default.type": "answer",
    "phoneLock.lockState": "1",
    "up.screenCapture.enabled": "1",
    "prov.autoConfigUpload.enabled": "0",
}


def body(parameters: Mapping[str, str]) -> bytes:
    """A file as phones write it."""
    root = ElementTree.Element("PHONE_CONFIG")
    ElementTree.SubElement(root, "OVERRIDES", dict(parameters))
    return ElementTree.tostring(root, xml_declaration=True, encoding="UTF-8")


def parameters(answer: bytes) -> dict[str, str]:
    return {name: value for element in ElementTree.fromstring(answer).iter() for name, value in element.attrib.items()}


async def sent(world: World, given: Mapping[str, str] | bytes, file: str = PHONE, **how: Any) -> int:
    """The status of an upload of a phone that has booted: it has its own file."""
    await world.ask(OWN_FILE)
    return (await world.ask(file, method="PUT", body=given if isinstance(given, bytes) else body(given), **how)).status


async def from_address(world: World, address: str, method: str, file: str, content: bytes = b"") -> str:
    """The status line of a request that comes from another address of this machine."""
    port = world.app.listeners["http"].address.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    head = f"{method} /{file} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + content)
    status = (await reader.readline()).decode().split()[1]
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return status


async def reported(world: World) -> list[tuple[str, str, str]]:
    """Events about overrides: action, subject, reason."""
    await world.app.check_ins.flush()
    async with world.services.store.database.reading() as connection:
        rows = await connection.execute(sa.select(events).where(events.c.action.like("overrides.%")))
        return [(row.action, row.subject, row.detail.get("reason", "")) for row in rows]


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def switch_off(world: World) -> None:
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"persist_user_settings": "off"})


async def test_what_a_user_changed_is_given_back(world: World) -> None:
    assert (await world.ask(PHONE)).status == 404
    assert await sent(world, HARMLESS) == 201
    assert await sent(world, {"lcl.ml.lang": "French_France"}, WEB) == 201
    first, second = await world.ask(PHONE), await world.ask(WEB)

    assert parameters(first.body) == HARMLESS
    assert parameters(second.body) == {"lcl.ml.lang": "French_France"}
    assert first.headers["Content-Type"] == "text/xml" and first.headers["ETag"]


async def test_the_next_upload_replaces_the_whole_file(world: World) -> None:
    assert await sent(world, HARMLESS) == 201
    assert await sent(world, {"up.backlight.timeout": "10"}) == 204

    assert parameters((await world.ask(PHONE)).body) == {"up.backlight.timeout": "10"}


async def test_the_same_changes_are_the_same_bytes_whatever_their_order(world: World) -> None:
    await sent(world, HARMLESS)
    first = await world.ask(PHONE)
    await sent(world, dict(reversed(HARMLESS.items())))
    second = await world.ask(PHONE)

    assert (first.body, first.headers["ETag"]) == (second.body, second.headers["ETag"])
    again = await world.ask(PHONE, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304


async def test_it_outlives_a_restart(world: World) -> None:
    await sent(world, HARMLESS)
    await world.restart()

    assert parameters((await world.ask(PHONE)).body) == HARMLESS


async def test_a_phone_asks_how_long_its_file_is(world: World) -> None:
    await sent(world, HARMLESS)
    whole, head = await world.ask(PHONE), await world.ask(PHONE, method="HEAD")

    assert (head.status, int(head.headers["Content-Length"])) == (200, len(whole.body))


async def test_each_phone_has_its_own(world: World) -> None:
    await sent(world, HARMLESS)

    assert (await world.ask(f"{OTHER_VVX}-phone.cfg")).status == 404
    assert (await world.ask(PHONE, listener="mtls", device=world.device("poly", OTHER_VVX))).status == 404


async def test_they_go_with_the_phone(world: World) -> None:
    phone = await world.services.phones.get(ADMIN, VVX)
    await sent(world, HARMLESS)
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.phones.add(ADMIN, phone)

    assert (await world.ask(PHONE)).status == 404


# --- What is in it


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_would_take_the_phone_over_is_dropped(world: World, name: str) -> None:
    await sent(world, {name: HOSTILE[name], **HARMLESS})

    assert parameters((await world.ask(PHONE)).body) == HARMLESS


async def test_a_file_of_nothing_but_hostile_parameters_is_kept_as_an_empty_one(world: World) -> None:
    assert await sent(world, HOSTILE) == 201

    assert (await world.ask(PHONE)).text == EMPTY


async def test_dropped_names_are_reported_and_never_their_values(world: World) -> None:
    await sent(world, {"reg.1.auth.password": "stolen-secret", "device.set": "1", **HARMLESS})

    assert await reported(world) == [("overrides.dropped", VVX, "-phone.cfg: device.set, reg.1.auth.password")]


async def test_a_flood_of_uploads_is_not_a_flood_of_events(world: World) -> None:
    for number in range(20):
        await sent(world, {f"reg.1.x{number}": "1"})

    assert len(await reported(world)) == 1


async def test_uploads_in_the_name_of_thousands_are_not_as_many_events(world: World) -> None:
    for _again in range(2):
        for number in range(2000):
            world.app.check_ins.report("overrides.refused", f"{number:012x}", "has a DOCTYPE")
    world.app.check_ins.report("firmware.damaged", "another matter", "bytes differ")

    assert len(await reported(world)) == 100
    async with world.services.store.read() as session:
        assert (await session.events.latest(1))[0].action == "firmware.damaged"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("divert.1.contact", "sip:1900@evil.example"),
        ("divert.1.contact", "evil.example"),
        ("divert.1.contact", "1" * 33),
        ("lcl.ml.lang", "../../x"),
        ("lcl.ml.lang", "http://evil.example/"),
        ("up.backlight.timeout", "4" * 1000),
        ("up.backlight.timeout", "1\n"),
        ("up.backlight.timeout", '" device.set="1'),
        ("up.backlight.timeout", "<&>"),
        ("up.backlight.timeout", "é😀"),
        ("up.backlight.timeout.", "1"),
        ("UP.BACKLIGHT.TIMEOUT", "1"),
        ("divert.0.contact", "1"),
        ("divert.01.contact", "1"),
        ("divert.1234.contact", "1"),
        ("divert.\u0663.contact", "1"),
        ("divert.1.contact.x", "1"),
        ("x.divert.1.contact", "1"),
    ],
)
async def test_a_harmless_name_with_a_strange_value_or_index_is_dropped(world: World, name: str, value: str) -> None:
    await sent(world, {name: value, "up.headsetMode": "1"})

    assert parameters((await world.ask(PHONE)).body) == {"up.headsetMode": "1"}


async def test_a_name_in_a_namespace_is_another_name(world: World) -> None:
    given = b'<a xmlns:x="urn:x"><b x:up.headsetMode="1"/><x:c up.backlight.timeout="5"/></a>'
    await sent(world, given)

    assert parameters((await world.ask(PHONE)).body) == {"up.backlight.timeout": "5"}


async def test_of_one_parameter_in_two_elements_the_first_stands(world: World) -> None:
    await sent(world, b'<a><b up.headsetMode="1"/><b up.headsetMode="0"/></a>')

    assert parameters((await world.ask(PHONE)).body) == {"up.headsetMode": "1"}


def bomb() -> bytes:
    """Entities of entities: a few hundred bytes that come to 10 GB where they are expanded."""
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    entities = [f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in pairs]
    return f'<!DOCTYPE a [<!ENTITY a "{"x" * 100}">{"".join(entities)}]><a up.headsetMode="&i;"/>'.encode()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "not well-formed XML"),
        (b"hello", "not well-formed XML"),
        (b'<a up.headsetMode="1">', "not well-formed XML"),
        (b'<a up.headsetMode="1" up.headsetMode="2"/>', "not well-formed XML"),
        (b'<a up.headsetMode="&unknown;"/>', "not well-formed XML"),
        (b'<a x:up.headsetMode="1"/>', "not well-formed XML"),
        (b'<a up.headsetMode="1\x00"/>', "not well-formed XML"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a up.headsetMode="1"/>', "has a DOCTYPE"),
        (b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a up.headsetMode="&e;"/>', "has a DOCTYPE"),
        (bomb(), "has a DOCTYPE"),
        ('<?xml version="1.0" encoding="UTF-16"?><a up.headsetMode="1"/>'.encode("utf-16"), "not UTF-8"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a b="\xe9"/>', "not UTF-8"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>', "not well-formed XML"),
        (b"<a " + b" ".join(b'p%d="1"' % n for n in range(MOST_PARAMETERS + 1)) + b"/>", "more than 1000 parameters"),
    ],
    ids=[f"{number}" for number in range(14)],
)
async def test_what_no_phone_writes_is_refused_and_reported(world: World, given: bytes, reason: str) -> None:
    await sent(world, HARMLESS)

    assert await sent(world, given) == 404
    assert parameters((await world.ask(PHONE)).body) == HARMLESS, "what was there before stays"
    assert await reported(world) == [("overrides.refused", VVX, f"-phone.cfg: {reason}")]


def test_made_up_names_are_not_remembered_and_do_not_hold_anybody_up() -> None:
    """lxml keeps every name a thread ever read: 8000 uploads took 500 MB, and then none with a new name was read."""
    names = {f"{n:_>40}" for n in range(MOST_PARAMETERS)}
    for number in range(300):
        read_attributes(b"<a " + b" ".join(f'a{number}x{name}=""'.encode() for name in names) + b"/>")
    before = _resident()
    for number in range(300, 900):
        read_attributes(b"<a " + b" ".join(f'a{number}x{name}=""'.encode() for name in names) + b"/>")
    assert _resident() - before < 10_000_000


async def test_an_upload_over_the_limit_is_refused(world: World) -> None:
    assert await sent(world, b"<a>" + b" " * 65_536 + b"</a>") == 413
    assert (await world.ask(PHONE)).status == 404


async def test_a_declared_encoding_does_not_change_how_a_file_is_read(world: World) -> None:
    await sent(world, b'<?xml version="1.0" encoding="UTF-7"?><a divert.1.contact="+ADE-"/>')

    assert parameters((await world.ask(PHONE)).body) == {"divert.1.contact": "+ADE-"}


# --- Who may send it


async def test_an_address_that_fetched_no_file_of_the_phone_sends_nothing(world: World) -> None:
    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == 404

    await world.ask(OWN_FILE)
    assert await from_address(world, "127.0.0.2", "PUT", PHONE, body(HARMLESS)) == "404"
    assert (await world.ask(PHONE)).status == 404


async def test_the_file_of_another_phone_makes_no_address_this_phones(world: World) -> None:
    for name in (f"{OTHER_VVX}.cfg", f"{OTHER_VVX}-settings.cfg", "000000000000.cfg", f"{VVX}-nothing.cfg"):
        await world.ask(name)

    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == 404


async def test_what_was_only_uploaded_or_refused_proves_no_address(world: World) -> None:
    await world.ask(f"{VVX}-app.log", method="PUT", body=b"x")
    await world.ask(f"{VVX}-app.log")
    await world.ask(OWN_FILE, method="PUT", body=b"x")
    await world.app.check_ins.flush()

    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == 404


async def test_the_fetch_counts_before_and_after_it_is_written_down(world: World) -> None:
    await world.ask(OWN_FILE)
    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == 201
    await world.restart()
    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == 204


@pytest.mark.parametrize(("hours", "status"), [(23.9, 201), (24.1, 404)])
async def test_an_address_is_the_phones_for_24_hours(world: World, hours: float, status: int) -> None:
    await world.ask(OWN_FILE)
    await world.restart()
    async with world.services.store.database.writing() as connection:
        then = datetime.now(UTC) - timedelta(hours=hours)
        await connection.execute(sa.update(check_ins).values(at=then))

    assert (await world.ask(PHONE, method="PUT", body=body(HARMLESS))).status == status


async def test_a_certificate_needs_no_address(world: World) -> None:
    device = world.device("poly", VVX)

    answer = await world.ask(PHONE, method="PUT", body=body(HARMLESS), listener="mtls", device=device)
    assert answer.status == 201


async def test_the_certificate_of_another_phone_sends_nothing(world: World) -> None:
    await world.ask(OWN_FILE)
    device = world.device("poly", OTHER_VVX)

    assert await sent(world, HARMLESS, listener="mtls", device=device) == 404


async def test_a_phone_without_proof_neither_sends_nor_gets_anything(world: World) -> None:
    await sent(world, HARMLESS)
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})

    assert (await world.ask(PHONE, method="PUT", body=body({}))).status == 404
    assert (await world.ask(PHONE)).status == 404


# --- On and off


async def test_off_refuses_uploads_and_serves_an_empty_file(world: World) -> None:
    await sent(world, HARMLESS)
    await switch_off(world)

    assert await sent(world, {"up.headsetMode": "1"}) == 404
    answers = [await world.ask(name) for name in (PHONE, WEB)]
    assert [(a.status, a.text, a.headers["Content-Type"]) for a in answers] == [(200, EMPTY, "text/xml")] * 2


async def test_a_phone_is_told_whether_to_send_its_changes(world: World) -> None:
    assert 'prov.autoConfigUpload.enabled="1"' in (await world.ask(OWN_FILE)).text
    await switch_off(world)
    assert 'prov.autoConfigUpload.enabled="0"' in (await world.ask(OWN_FILE)).text


async def test_on_again_gives_back_what_was_kept(world: World) -> None:
    await sent(world, HARMLESS)
    await switch_off(world)
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"persist_user_settings": "on"})

    assert parameters((await world.ask(PHONE)).body) == HARMLESS


async def test_a_family_without_such_files_sends_none(world: World) -> None:
    await world.ask("00908f112233.cfg")

    assert (await world.ask("00908f112233-phone.cfg", method="PUT", body=body(HARMLESS))).status == 404


# --- At rest, and for people


async def test_nothing_of_it_is_readable_in_the_database(world: World) -> None:
    await sent(world, {"divert.1.contact": "0034600111222", "reg.1.auth.password": "stolen-secret"})
    await world.app.stop()

    on_disk = b"".join(path.read_bytes() for path in world.data.glob("ztp.db*"))
    assert on_disk, "where is the database?"
    for secret in (b"0034600111222", b"divert.1.contact", b"stolen-secret"):
        assert secret not in on_disk
    await world.restart()


async def test_a_stored_file_of_one_phone_does_not_open_for_another(world: World) -> None:
    await sent(world, HARMLESS)
    other = await world.services.phones.get(ADMIN, OTHER_VVX)
    async with world.services.store.database.writing() as connection:
        await connection.exec_driver_sql("UPDATE uploads SET phone_id = ?", (other.id,))

    assert (await world.ask(f"{OTHER_VVX}-phone.cfg")).status == 503


async def test_a_rule_that_was_tightened_holds_for_what_was_kept_before(world: World) -> None:
    await sent(world, HARMLESS)
    text = (shipped_folder("templates") / "poly/vendor.toml").read_text()
    (world.data / "templates/poly").mkdir(parents=True)
    (world.data / "templates/poly/vendor.toml").write_text(text.replace('"divert.#.contact", ', ""))
    await world.restart()
    assert world.services.templates.snapshot.problems == ()

    left = {name: value for name, value in HARMLESS.items() if name != "divert.1.contact"}
    assert parameters((await world.ask(PHONE)).body) == left


async def test_an_administrator_sees_what_was_changed_and_clears_it(world: World, ztp: Ztp) -> None:
    await sent(world, HARMLESS)
    view = json.loads(await ztp("phone", "show", VVX))["user_overrides"]

    assert list(view) == ["-phone.cfg"]
    assert view["-phone.cfg"]["parameters"] == HARMLESS and view["-phone.cfg"]["at"]

    await ztp("phone", "clear-overrides", VVX)
    # A 404 would leave the phone with what it has, to send it again.
    assert [(await world.ask(name)).text for name in (PHONE, WEB)] == [EMPTY, EMPTY]
    async with world.services.store.read() as session:
        (record,) = await session.audit.page(below=None, limit=1)
    assert (record.action, record.subject) == ("overrides.cleared", VVX)
    assert await reported(world) == []


def test_what_may_be_kept_are_parameters_of_the_firmware() -> None:
    folder = shipped_folder("templates")
    rule = load_catalog(read_folder(folder)).vendors["poly"].overrides
    assert rule
    kept = [name for row in rule.keep for name in row.names]

    assert sorted(set(kept) - parse_names((folder / "poly/parameters.txt").read_text()).keys()) == []
    assert len(kept) == len(set(kept))


def test_a_value_whose_name_sounds_like_a_secret_is_not_shown() -> None:
    given = {"x.password": "1", "reg.1.auth.userId": "2", "reg.1.pin": "3", "up.headsetMode": "4"}

    assert shown(given) == {"reg.1.auth.userId": "***", "reg.1.pin": "***", "up.headsetMode": "4", "x.password": "***"}


def test_names_from_the_network_are_named_only_when_they_are_plain_and_few() -> None:
    assert named(["a.b", "\u202ea", "x" * 200, "{urn:x}y"]) == "a.b, 3 more"
    assert named([f"p{n}" for n in range(1000)]).endswith("p19, 980 more")
