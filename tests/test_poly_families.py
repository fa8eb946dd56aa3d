"""What is particular to Poly families, most of all to those that came after VVX: who they say they are, and what they
refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ztp_server.config import shipped_folder
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.support import check_phone, check_room_for_keys, check_texts, keys_of
from ztp_server.domain.vendor import Family
from ztp_server.errors import BadValue
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

CATALOG = load_catalog(read_folder(shipped_folder("templates")))
NEWER = ("trio-8800", "ccx-500", "edge-e450")
NOT_456 = ("vvx-411", *NEWER)


def family_of(model: str) -> Family:
    return CATALOG.family_of(CATALOG.models[model])


@pytest.mark.parametrize(
    ("beginning", "model"),
    [
        ("PolyCCX-CCX_600-UA/8.0.2.3267", "ccx-600"),
        ("PolyCCX-CCX_505-UA/9.4.1.0508", "ccx-505"),
        ("PolyEdge-Edge_E450-UA/8.0.0.15602", "edge-e450"),
        ("PolycomRealPresenceTrio-Trio_8800-UA/7.2.2.1094", "trio-8800"),
        ("PolycomRealPresenceTrio-Trio_C60-UA/7.0.2.1071", "trio-c60"),
    ],
)
@pytest.mark.parametrize("serial", ["", " (SN:482567b5313f)", " (SN:12345)"])
@pytest.mark.parametrize("stage", ["", " Type/Application", " Type/Updater"])
def test_a_phone_is_known_by_its_user_agent(beginning: str, model: str, serial: str, stage: str) -> None:
    seen = CATALOG.identify(f"FileTransport {beginning}{serial}{stage}")

    assert (seen.vendor, seen.model) == ("poly", model)
    assert seen.mac == ("482567b5313f" if "482567" in serial else "")
    assert seen.firmware == ("" if stage.endswith("Updater") else beginning.rpartition("/")[2])


@pytest.mark.parametrize("model", NOT_456)
@pytest.mark.parametrize("password", ["456", "with space", "a<b", "é", "x" * 33])
def test_a_password_that_a_phone_would_not_take_is_refused(model: str, password: str) -> None:
    with pytest.raises(BadValue):
        check_texts(family_of(model), {"admin_password": password})


@pytest.mark.parametrize("model", NOT_456)
@pytest.mark.parametrize("password", ["", "4567", "1456", "Ad&min1", "x" * 32])
def test_other_passwords_are_taken(model: str, password: str) -> None:
    check_texts(family_of(model), {"admin_password": password})


@pytest.mark.parametrize(
    ("kinds", "place"),
    [
        (("line", "blf", "park", "speed_dial"), ""),
        (("line", "speed_dial", "blf"), "line_keys.3.type"),
        (("blf", "line"), "line_keys.2.type"),
        (("line", "none", "blf"), "line_keys.2.type"),
        (("line", "intercom"), "line_keys.2.type"),
        (("blf",), ""),
    ],
)
def test_keys_of_a_phone_that_lays_them_out_itself_stand_in_its_order(kinds: tuple[str, ...], place: str) -> None:
    keys = tuple(LineKey(kind, "" if kind in ("line", "none") else "1002", line=int(kind == "line")) for kind in kinds)
    phone = Phone("p", "482567000001", "ccx-500", "s", "b", lines=(Line("1001"),), line_keys=keys)
    if not place:
        check_phone(family_of("ccx-500"), CATALOG.models["ccx-500"], phone)
        return
    with pytest.raises(BadValue) as refused:
        check_phone(family_of("ccx-500"), CATALOG.models["ccx-500"], phone)
    assert refused.value.field == place


def test_a_phone_that_shows_every_line_has_room_for_that_many_keys_less() -> None:
    model = CATALOG.models["soundpoint-ip-450"]
    keys = (LineKey("line", line=1), LineKey("blf", "1002"), LineKey("blf", "1003"))
    phone = Phone("p", "0004f2000001", model.id, "s", "b", lines=(Line("1001"),), line_keys=keys)
    check_room_for_keys(model, keys_of(family_of(model.id), phone), 0)
    three = replace(phone, lines=(Line("1001"), Line("1002"), Line("1003")))
    with pytest.raises(BadValue, match="5 keys, SoundPoint IP 450 has 3"):
        check_room_for_keys(model, keys_of(family_of(model.id), three), 0)
