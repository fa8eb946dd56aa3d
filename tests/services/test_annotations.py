"""Where each line of a phone's file comes from, told in an administrator's words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, OTHER_VVX, VVX, sample_phone
from tests.test_golden import add_everything
from ztp_server.config import shipped_folder
from ztp_server.domain.access import Actor, Grant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line
from ztp_server.errors import Forbidden, NotFound
from ztp_server.services.annotations import AnnotatedLine, Origin
from ztp_server.services.opening import Services

VVX_FILE, HD400_FILE = f"{VVX}-settings.cfg", f"{HD400}.cfg"


async def annotated(services: Services, file: str = VVX_FILE, reveal: bool = False) -> list[AnnotatedLine]:
    return (await services.annotations.annotate(ADMIN, file[:12], file, reveal))[file]


async def line_of(services: Services, text: str, file: str = VVX_FILE) -> AnnotatedLine:
    """The only line that begins so."""
    (found,) = [line for line in await annotated(services, file) if line.text.strip().startswith(text)]
    return found


def source_of(template: str, text: str) -> str:
    """`template:line` of the only line of a shipped template that holds a text."""
    lines = (shipped_folder("templates") / template).read_text("utf-8").split("\n")
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return f"{template}:{number}"


@pytest.mark.parametrize("reveal", [False, True])
async def test_the_lines_are_those_of_the_preview_for_every_phone_of_the_golden_files(
    services: Services, reveal: bool
) -> None:
    world: Any = SimpleNamespace(services=services)
    await add_everything(world)
    for phone in await services.phones.all(ADMIN):
        files = await services.annotations.annotate(ADMIN, phone.hardware_id, None, reveal)
        bodies = await services.phones.preview(ADMIN, phone.hardware_id, None, reveal)
        assert list(files) == list(bodies)
        for name, lines in files.items():
            assert "\n".join([*(line.text for line in lines), ""]).removesuffix("\n") == bodies[
                name
            ].decode().removesuffix("\n")
            assert [line.number for line in lines] == list(range(1, len(lines) + 1))


async def test_a_setting_is_named_with_its_layer_and_the_line_of_the_template_that_wrote_it(office: Services) -> None:
    line = await line_of(office, "tone.dtmf.rfc2833Payload=")

    assert line.text == '    tone.dtmf.rfc2833Payload="102"'
    assert line.sources == (source_of("poly/parts/media.cfg.j2", "tone.dtmf.rfc2833Payload="),)
    assert line.settings == (Origin("settings.dtmf_payload_type", "base settings vvx-standard", 1),)
    assert line.because == (Origin("renders.dtmf_payload_type", "family VVX"),)


async def test_a_value_of_the_phone_covers_those_of_its_base_settings_and_of_the_product(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"dtmf_payload_type": "99"})
    line = await line_of(office, "tone.dtmf.rfc2833Payload=")
    assert line.settings == (Origin("settings.dtmf_payload_type", "phone", 2),)


async def test_what_a_line_of_the_phone_says_is_named_by_its_number_and_field(office: Services) -> None:
    assert (await line_of(office, "reg.1.displayName=")).settings == (Origin("lines.1.display_name", "phone"),)
    assert (await line_of(office, "reg.2.auth.password=")).settings == (Origin("lines.2.password", "phone"),)


async def test_an_empty_field_of_a_line_gives_way_to_the_user_that_speaks_for_it(office: Services) -> None:
    assert (await line_of(office, "reg.1.auth.userId=")).settings == (Origin("lines.1.auth_user", "phone"),)
    for name in ("auth.userId", "displayName", "label"):
        assert (await line_of(office, f"reg.2.{name}=")).settings == (Origin("lines.2.user", "phone"),)


async def test_a_key_is_named_by_its_place_in_the_record_of_the_phone(office: Services) -> None:
    line = await line_of(office, "attendant.resourceList.1.address=")
    assert (line.settings, line.because) == (
        (Origin("line_keys.2.value", "phone"),),
        (Origin("line_keys.2.type", "phone"),),
    )
    assert (await line_of(office, "attendant.resourceList.1.label=")).settings == (
        Origin("line_keys.2.label", "phone"),
    )


async def test_a_key_that_the_family_adds_is_not_taken_for_one_of_the_phone(office: Services) -> None:
    keys = (LineKey("blf", "1003"), LineKey("speed_dial", "2", "Two"))
    await office.phones.edit(ADMIN, VVX, {}, {}, None, keys)

    mine = await line_of(office, "attendant.resourceList.1.label=")
    added = await line_of(office, "lineKey.3.category=")

    assert mine.settings == (Origin("line_keys.1.value", "phone"),)
    assert Origin("line_keys", "family VVX, which needs a key for line 1") in added.settings


async def test_a_line_that_a_choice_led_to_names_everything_that_was_asked(office: Services) -> None:
    line = await line_of(office, "network/lan/vlan/mode=", HD400_FILE)
    assert line.settings == ()
    assert line.because == tuple(
        Origin(f"settings.{name}", "product default") for name in ("cdp_enabled", "lldp_enabled", "vlan_id")
    )


async def test_the_clock_is_told_by_the_settings_it_was_worked_out_from(office: Services) -> None:
    by_zone = await line_of(office, "tcpIpApp.sntp.gmtOffset=")
    await office.phones.edit(ADMIN, VVX, {}, {"gmt_offset": "+02:00"})
    by_hand = await line_of(office, "tcpIpApp.sntp.gmtOffset=")

    assert by_zone.settings == (Origin("settings.time_zone", "site madrid", 1),)
    assert Origin("settings.gmt_offset", "phone", 1) in by_hand.settings
    assert "settings.time_zone" not in [origin.name for origin in by_hand.settings]


async def test_the_address_of_the_server_is_its_own_until_a_setting_says_another(office: Services) -> None:
    before = await line_of(office, "device.prov.serverName=")
    await office.sites.edit(ADMIN, "madrid", None, {"provisioning_url": "https://phones.example.org/"})
    after = await line_of(office, "device.prov.serverName=")

    assert before.settings == (Origin("server.url", "server"),)
    assert after.settings == (Origin("settings.provisioning_url", "site madrid", 1),)


async def test_a_firmware_path_says_who_wished_for_the_version_and_what_became_of_it(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"firmware_version": "5.9.7.4477"})
    line = await line_of(office, "APP_FILE_PATH=", f"{VVX}.cfg")
    reason = "no image of 5.9.7.4477 yet: asked for, the phone keeps what it runs"
    assert "fw/5.9.7.4477/sip.ld" in line.text
    assert line.settings == (
        Origin("settings.firmware_update", "product default"),
        Origin("settings.firmware_version", "site madrid", 1),
        Origin("firmware", reason),
    )


async def test_a_contact_is_told_by_the_setting_of_contacts(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"contacts": [f"{HOSTILE_NAME}=112"]})
    line = await line_of(office, "<ct>112</ct>", f"{VVX}-directory.xml")
    assert line.settings == (Origin("settings.contacts", "site madrid", 1),)


async def test_a_raw_parameter_in_a_line_format_says_whose_place_it_took(office: Services) -> None:
    settings = {"custom.voip/media/media_port": "30000", "custom.voip/media/rtp_mute_on_hold": "1"}
    await office.phones.edit(ADMIN, HD400, {}, settings)

    replacing = await line_of(office, "voip/media/media_port=", HD400_FILE)
    added = await line_of(office, "voip/media/rtp_mute_on_hold=", HD400_FILE)

    assert (replacing.text, replacing.sources) == ("voip/media/media_port=30000", ())
    assert replacing.replaces == (source_of("audiocodes/hd400/settings.cfg.j2", "voip/media/media_port="),)
    assert replacing.settings == (Origin("settings.custom.voip/media/media_port", "phone"),)
    assert (added.sources, added.replaces) == ((), ())


async def test_a_raw_parameter_in_a_file_of_attributes_is_a_value_like_others(office: Services) -> None:
    await office.base_settings.edit(ADMIN, "vvx-standard", None, {"custom.up.welcomeText": HOSTILE_NAME})
    line = await line_of(office, "up.welcomeText=", f"{VVX}-custom.cfg")
    assert line.settings == (Origin("settings.custom.up.welcomeText", "base settings vvx-standard"),)
    assert line.sources == (source_of("poly/custom.cfg.j2", "custom[name]"),)


async def test_secrets_are_hidden_until_they_are_revealed_and_that_is_written_down(office: Services) -> None:
    hidden = await annotated(office)
    async with office.store.read() as session:
        before = await session.audit.page(below=None, limit=10)
    shown = await annotated(office, reveal=True)
    async with office.store.read() as session:
        after = await session.audit.page(below=None, limit=10)

    assert not any(secret in repr(hidden) for secret in ("p&lt;a", '"second"', "Ad&amp;min1"))
    assert '    reg.2.auth.password="***"' in [line.text for line in hidden]
    assert '    reg.2.auth.password="second"' in [line.text for line in shown]
    assert "phone.revealed" not in [record.action for record in before]
    assert [r.after for r in after if r.action == "phone.revealed"] == [{"files": [VVX_FILE]}]


async def test_who_may_see_a_phone_may_not_reveal_its_passwords(office: Services) -> None:
    viewer = Actor("test", (Grant(frozenset({"phones:view"}), "madrid"),))

    assert await office.annotations.annotate(viewer, VVX, VVX_FILE, False)
    with pytest.raises(Forbidden, match="phones:reveal"):
        await office.annotations.annotate(viewer, VVX, VVX_FILE, True)
    for text in (VVX, "0004f2999999"):  # One who may see nothing does not learn which phones there are.
        with pytest.raises(NotFound, match=f"no phone {text}"):
            await office.annotations.annotate(replace(viewer, grants=()), text, VVX_FILE, False)
    async with office.store.read() as session:
        assert "phone.revealed" not in [row.action for row in await session.audit.page(below=None, limit=9)]


async def test_all_files_of_a_phone_come_by_name_and_another_name_is_not_found(office: Services) -> None:
    files = await office.annotations.annotate(ADMIN, OTHER_VVX, None, False)
    assert f"{OTHER_VVX}-settings.cfg" in files and len(files) > 2
    with pytest.raises(NotFound, match=f"{OTHER_VVX}-settings.cfg"):
        await office.annotations.annotate(ADMIN, OTHER_VVX, VVX_FILE, False)
    with pytest.raises(NotFound):
        await office.annotations.annotate(ADMIN, "0004f2999999", None, False)


async def test_a_phone_of_a_category_without_files_says_so(office: Services) -> None:
    other = sample_phone("0004f2aabbee", category="unmanaged", lines=(Line("7"),), base_settings="", line_keys=())
    async with office.store.write() as session:
        await session.phones.add([other])
    with pytest.raises(NotFound, match="is unmanaged: it is given no files"):
        await office.annotations.annotate(ADMIN, "0004f2aabbee", None, False)
