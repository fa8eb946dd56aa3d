"""Who speaks last is heard; what a phone cannot be told is refused when it is written, naming where it was said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_PASSWORD, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.opening import Services

PLAIN_HD400 = sample_phone(
    "00908f445566", model="audiocodes-405hd", base_settings="400hd", lines=(Line("2002"),), line_keys=()
)


async def explained(services: Services, mac: str, name: str) -> Any:
    return next(row for row in await services.phones.explain(ADMIN, mac) if row.name == name)


async def test_the_last_layer_that_speaks_wins_and_covers_the_others_in_order(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"register_expires": "1000"})
    await office.base_settings.edit(ADMIN, "vvx-standard", None, {"register_expires": "2000"})
    await office.phones.edit(ADMIN, VVX, {}, {"register_expires": "3000"})

    phone = await explained(office, VVX, "register_expires")
    other = await explained(office, OTHER_VVX, "register_expires")

    assert (phone.value, phone.source) == (3000, "phone")
    assert [(v.value, v.source) for v in phone.underneath] == [
        (2000, "base settings vvx-standard"), (1000, "site madrid"), (3600, "product default"),
    ]  # fmt: skip
    assert (other.value, other.source) == (2000, "base settings vvx-standard")


async def test_a_value_that_is_unset_is_inherited_again(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"register_expires": "3000"})
    await office.phones.edit(ADMIN, VVX, {}, {"register_expires": None})
    assert (await explained(office, VVX, "register_expires")).source == "product default"


async def test_the_same_value_written_again_still_says_who_wrote_it(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"register_expires": "3600"})
    assert (await explained(office, VVX, "register_expires")).source == "phone"


async def test_a_family_speaks_before_a_site(office: Services) -> None:
    row = await explained(office, HD400, "redundancy")
    assert (row.value, row.source) == ("simultaneous", "family AudioCodes 4xxHD")
    await office.sites.add(ADMIN, "paris", "", {"redundancy": "simultaneous"})
    await office.phones.edit(ADMIN, HD400, {"site": "paris"}, {})
    row = await explained(office, HD400, "redundancy")
    assert row.source == "site paris" and row.underneath[0].source == "family AudioCodes 4xxHD"


async def test_explain_hides_secrets_on_every_layer(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"admin_password": "phone-pass", "custom.x.password": "raw-pass"})
    rows = await office.phones.explain(ADMIN, VVX)
    assert "-pass" not in repr(rows) and "Ad&min1" not in repr(rows)
    assert (await explained(office, VVX, "custom.x.password")).value == "***"


# ---- not proven -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"redundancy": "failover"}, "settings.redundancy", "failover is not proven on AudioCodes 4xxHD (proven: si"),
        ({"date_format": "D,Md"}, "settings.date_format", "D,Md is not proven"),
        ({"time_zone": "Europe/Madrid"}, "settings.time_zone", "last week of a month, not proven on AudioCodes 4xxHD"),
        ({"contacts": "Ann=1"}, "settings.contacts", "not proven on AudioCodes 4xxHD: use"),
        ({"held_enabled": "on"}, "settings.held_enabled", "not on AudioCodes 4xxHD: the phone has no HELD client"),
        ({"tls_minimum": "1.2"}, "settings.tls_minimum", "not on AudioCodes 4xxHD: the phone has no such parameter"),
        ({"failback_timeout": "90"}, "settings.failback_timeout", "not proven on AudioCodes 4xxHD: use"),
        ({"syslog_server": "log"}, "settings.syslog_server", "not proven on AudioCodes 4xxHD: use"),
        ({"dtmf_method": "sip_info"}, "settings.dtmf_method", "sip_info is not proven"),
        ({"firmware_update": "window"}, "settings.firmware_update", "window is not proven on AudioCodes 4xxHD"),
        ({"calls_per_line": "9"}, "settings.calls_per_line", "9 is not proven on AudioCodes 4xxHD"),
        ({"custom.nopath": "1"}, "settings.custom.nopath", "not the name of a parameter of AudioCodes 4xxHD"),
    ],
)  # fmt: skip
async def test_what_is_not_proven_for_a_family_is_refused_in_base_settings_and_on_a_phone(
    office: Services, settings: dict[str, str], field: str, says: str
) -> None:
    for write in (
        office.base_settings.edit(ADMIN, "400hd", None, settings),
        office.base_settings.add(ADMIN, "new", "", "audiocodes-405hd", settings),
        office.phones.edit(ADMIN, HD400, {}, settings),
    ):
        with pytest.raises(BadValue) as refusal:
            await write
        assert refusal.value.field == field and says in refusal.value.reason
    assert (await office.base_settings.get(ADMIN, "400hd")).revision == 1
    with pytest.raises(NotFound):
        await office.base_settings.get(ADMIN, "new")


async def test_a_blf_key_is_refused_where_it_is_not_proven(office: Services) -> None:
    with pytest.raises(BadValue) as refusal:
        await office.phones.edit(ADMIN, HD400, {}, {}, None, [LineKey("speed_dial", "1"), LineKey("blf", "1003")])
    assert refusal.value.field == "line_keys.2.type"
    assert "blf is not proven on AudioCodes 405HD (proven: line, speed_dial): use custom" in str(refusal.value)
    keys = [LineKey("speed_dial", "1"), LineKey("blf", "1003"), LineKey("park", "7")]
    await office.phones.edit(ADMIN, HD400, {"model": "audiocodes-440hd"}, {}, None, keys[:2])
    with pytest.raises(BadValue, match=r"line_keys\.3\.type: park is not proven on AudioCodes 4xxHD"):
        await office.phones.edit(ADMIN, HD400, {}, {}, None, keys)


async def test_a_shared_line_is_refused_where_it_is_not_proven(office: Services) -> None:
    shared = [Line("2001", shared=True)]
    await office.phones.edit(ADMIN, HD400, {}, {}, shared)
    with pytest.raises(BadValue, match=r"lines\.1\.shared: shared lines are not proven on AudioCodes 420HD"):
        await office.phones.edit(ADMIN, HD400, {"model": "audiocodes-420hd"}, {})


async def test_summer_time_that_begins_or_ends_in_a_last_week_is_refused_where_that_is_not_proven(
    office: Services,
) -> None:
    await office.phones.edit(ADMIN, HD400, {}, {"time_zone": "America/New_York"})
    await office.phones.edit(ADMIN, HD400, {}, {"time_zone": "Australia/Adelaide"})
    with pytest.raises(BadValue) as refusal:
        await office.phones.edit(ADMIN, HD400, {}, {"time_zone": "Europe/Madrid"})
    assert refusal.value.field == "settings.time_zone"
    assert "gmt_offset=+01:00, dst_start=M3.5.0/02:00, dst_stop=M10.5.0/03:00" in refusal.value.reason


async def test_the_last_week_can_be_set_by_hand_where_it_is_not_proven(office: Services) -> None:
    by_hand = {"gmt_offset": "+01:00", "dst_start": "M3.5.0/02:00", "dst_stop": "M10.5.0/03:00"}
    await office.phones.edit(ADMIN, HD400, {}, by_hand)
    await office.sites.edit(ADMIN, "madrid", None, {"time_zone": "Europe/Madrid"})
    assert (await explained(office, HD400, "dst_start")).value == "M3.5.0/02:00"


async def test_a_user_longer_than_an_auth_user_may_be_needs_one_of_its_own(office: Services) -> None:
    long = Line("4" * 36, "station-7")
    await office.phones.edit(ADMIN, HD400, {}, {}, [long])
    with pytest.raises(BadValue, match=r"lines\.1\.auth_user: 36 characters, AudioCodes 4xxHD takes at most 35"):
        await office.phones.edit(ADMIN, HD400, {}, {}, [replace(long, auth_user="")])


@pytest.mark.parametrize(
    "settings",
    [
        {"redundancy": "failover"},
        {"dtmf_method": "in_band"},
        {"sip_transport": "dns"},
        {"date_format": "D,Md"},
        {"mwi_address": "NULL"},
        {"digit_map": "x" * 300},
        {"language": " edge"},
        {"admin_password": " edge-secret"},
        {"codecs": "audio/iLBC"},
    ],
)
async def test_what_a_site_says_and_a_family_cannot_spell_is_refused_naming_the_site(
    services: Services, settings: dict[str, str]
) -> None:
    await services.sites.add(ADMIN, "madrid", "", settings)
    await services.base_settings.add(ADMIN, "400hd", "", "audiocodes-405hd", {})

    with pytest.raises(BadValue) as refusal:
        await services.phones.add(ADMIN, PLAIN_HD400)

    (name,) = settings
    assert refusal.value.field == f"settings.{name}" and "site madrid" in refusal.value.reason
    assert "edge-secret" not in str(refusal.value)
    assert await services.phones.all(ADMIN) == []


async def test_a_zone_of_a_site_that_a_family_cannot_follow_is_refused_naming_the_site(services: Services) -> None:
    await services.sites.add(ADMIN, "madrid", "", {"time_zone": "Europe/Madrid"})
    await services.base_settings.add(ADMIN, "400hd", "", "audiocodes-405hd", {})
    with pytest.raises(BadValue) as refusal:
        await services.phones.add(ADMIN, PLAIN_HD400)
    assert refusal.value.field == "settings.time_zone" and "site madrid" in refusal.value.reason


@pytest.mark.parametrize("change", [{"dtmf_method": "in_band"}, {"mwi_address": "NULL"}])
async def test_a_change_of_a_site_that_a_phone_there_cannot_follow_is_refused_naming_the_phone(
    office: Services, change: dict[str, str]
) -> None:
    before = await office.sites.get(ADMIN, "madrid")
    with pytest.raises(BadValue) as refusal:
        await office.sites.edit(ADMIN, "madrid", None, change)
    assert HD400 in str(refusal.value) and next(iter(change)) in str(refusal.value)
    assert await office.sites.get(ADMIN, "madrid") == before


async def test_a_raw_parameter_is_refused_at_a_site(office: Services) -> None:
    with pytest.raises(BadValue, match=r"settings\.custom\.a: .*not to a site"):
        await office.sites.edit(ADMIN, "madrid", None, {"custom.a": "1"})


# ---- what a model has -----------------------------------------------------------------------------------------------


async def test_a_codec_that_a_model_lacks_is_refused_with_those_it_has(office: Services) -> None:
    with pytest.raises(BadValue) as refusal:
        await office.phones.edit(ADMIN, VVX, {}, {"codecs": "audio/G722,audio/opus"})
    assert refusal.value.field == "settings.codecs"
    assert "VVX 411 has no audio/opus; it has audio/G722, audio/PCMU, audio/PCMA, audio/G729" in refusal.value.reason


async def test_base_settings_may_name_a_codec_of_any_model_and_each_phone_is_checked_with_its_own(
    office: Services,
) -> None:
    await office.base_settings.add(ADMIN, "with-g7221", "", "vvx-450", {"codecs": "audio/G7221"})
    await office.phones.edit(ADMIN, VVX, {"base_settings": "with-g7221"}, {})
    with pytest.raises(BadValue, match=r"settings\.codecs: VVX 450 has no audio/G7221; it has .*with-g7221"):
        await office.phones.edit(ADMIN, VVX, {"model": "vvx-450"}, {})


async def test_a_default_codec_that_a_model_lacks_is_left_out(office: Services) -> None:
    await office.phones.add(ADMIN, replace(PLAIN_HD400, model="audiocodes-405"))
    assert (await explained(office, PLAIN_HD400.hardware_id, "codecs")).value == ["audio/PCMU", "audio/PCMA"]


async def test_more_lines_or_keys_than_a_model_has_are_refused(office: Services) -> None:
    lines = [Line(str(n)) for n in range(3)]
    with pytest.raises(BadValue, match=r"3 lines, AudioCodes 405HD has 2"):
        await office.phones.edit(ADMIN, HD400, {}, {}, lines)
    blf = [LineKey("line", line=1), *(LineKey("blf", str(n)) for n in range(12))]
    with pytest.raises(BadValue, match=r"line_keys[.\d]*: 13 keys, VVX 411 has 12"):
        await office.phones.edit(ADMIN, VVX, {}, {}, None, blf)
    dials = [LineKey("speed_dial", str(n)) for n in range(10)]
    with pytest.raises(BadValue, match=r"line_keys[.\d]*: 10 speed dials, AudioCodes 405HD has 9"):
        await office.phones.edit(ADMIN, HD400, {}, {}, None, dials)


async def test_a_range_of_ports_beyond_the_last_is_refused(office: Services) -> None:
    with pytest.raises(BadValue, match="rtp_port"):
        await office.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": "65500"})


async def test_a_model_that_would_lose_lines_cannot_take_the_place_of_a_larger_one(office: Services) -> None:
    with pytest.raises(BadValue, match=r"2 lines, VVX 101 has 1"):
        await office.phones.edit(ADMIN, VVX, {"model": "vvx-101"}, {})


# ---- records --------------------------------------------------------------------------------------------------------


async def test_a_revision_of_base_settings_never_changes(office: Services) -> None:
    first = await office.base_settings.get(ADMIN, "vvx-standard")
    second = await office.base_settings.edit(ADMIN, "vvx-standard", "Renamed", {"rtp_dscp": "40"})
    third = await office.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": None})

    assert (second.record.revision, third.record.revision) == (2, 3)
    assert (await office.base_settings.get(ADMIN, "vvx-standard", 1)).settings == first.settings
    assert (await office.base_settings.get(ADMIN, "vvx-standard", 2)).settings == {**first.settings, "rtp_dscp": 40}
    assert (await office.base_settings.get(ADMIN, "vvx-standard")).settings == first.settings


async def test_a_change_of_base_settings_that_a_phone_cannot_follow_is_refused_naming_the_phone(
    office: Services,
) -> None:
    await office.phones.edit(ADMIN, VVX, {"model": "vvx-450"}, {})
    with pytest.raises(BadValue, match=rf"phone {VVX}: settings\.codecs"):
        await office.base_settings.edit(ADMIN, "vvx-standard", None, {"codecs": "audio/G7221"})
    assert (await office.base_settings.get(ADMIN, "vvx-standard")).revision == 1


async def test_what_phones_use_cannot_be_removed(office: Services) -> None:
    with pytest.raises(Conflict, match="site madrid is in use by 3 phones"):
        await office.sites.remove(ADMIN, "madrid")
    with pytest.raises(Conflict, match="base settings 400hd are in use by 1 phone"):
        await office.base_settings.remove(ADMIN, "400hd")
    assert await office.sites.get(ADMIN, "madrid") and await office.base_settings.get(ADMIN, "400hd")


async def test_secrets_are_sealed_in_the_database(office: Services, data: Path) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"held_token": "site-secret-token"})
    await office.phones.edit(ADMIN, VVX, {}, {"custom.x.password": "raw-secret-value"})
    secrets = [HOSTILE_PASSWORD, "Ad&min1", "s3cret", "site-secret-token", "raw-secret-value"]

    with closing(sqlite3.connect(data / "ztp.db")) as database:
        text = "\n".join(
            json.dumps(row, default=str) for t in tables(database) for row in database.execute(f"SELECT * FROM {t}")
        )

    assert "madrid" in text
    for secret in secrets:
        assert json.dumps(secret)[1:-1] not in text and json.dumps(secret) not in text
    for path in everything(data):
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()]


def everything(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.is_file()]


def tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


async def test_a_sealed_secret_moved_to_another_place_does_not_open(office: Services, data: Path) -> None:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("UPDATE lines SET password = (SELECT max(password) FROM lines) WHERE position = 1")
        database.commit()
    moved = [phone.lines[0].password for phone in await office.phones.all(ADMIN)]
    # At most the one that stands where it stood.
    assert [is_unreadable(password) for password in moved].count(False) <= 1
    assert all("does not open" in password for password in moved if is_unreadable(password))


async def test_a_sealed_setting_moved_to_another_site_does_not_open(office: Services, data: Path) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"held_token": "secret"})
    await office.sites.add(ADMIN, "paris", "", {})
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("UPDATE sites SET settings = (SELECT settings FROM sites WHERE id = 'madrid')")
        database.commit()
    assert (await office.sites.get(ADMIN, "madrid")).settings["held_token"] == "secret"
    found = (await office.sites.get(ADMIN, "paris")).settings["held_token"]
    assert is_unreadable(found) and "sites/paris" in found and "secret" not in found


async def test_no_event_and_no_audit_record_holds_a_secret(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"held_token": "token-hunter2"})
    await office.base_settings.edit(ADMIN, "vvx-standard", None, {"admin_password": "pass-hunter2"})
    await office.phones.edit(
        ADMIN, VVX, {}, {"custom.a.secret": "raw-hunter2"}, [Line("1", password="line-hunter2")], []
    )
    await office.phones.preview(ADMIN, VVX, None, True)
    await office.phones.remove(ADMIN, OTHER_VVX)

    async with office.store.read() as session:
        events = await session.events.latest()
        records = await session.audit.page(below=None, limit=1000)

    assert {"site.changed", "base_settings.changed", "phone.changed", "phone.revealed", "phone.removed"} <= {
        record.action for record in records
    }
    assert {record.actor for record in records} == {"test"}
    for secret in ("hunter2", HOSTILE_PASSWORD, "Ad&min1", "s3cret"):
        assert secret not in repr(events) and secret not in repr(records)


async def test_a_record_holds_no_secret_in_its_repr(office: Services) -> None:
    assert HOSTILE_PASSWORD not in repr(await office.phones.get(ADMIN, VVX))
