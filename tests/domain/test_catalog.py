"""What a requested name can mean, and who a User-Agent is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.config import shipped_folder
from ztp_server.domain.catalog import Seen
from ztp_server.domain.file_rules import FirmwareRule, UploadRule
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

CATALOG = load_catalog(read_folder(shipped_folder("templates")))
MAC = "0004f2aabbcc"


@pytest.mark.parametrize(
    ("user_agent", "seen"),
    [
        # reference/poly.md, A2: every family.
        ("FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application", Seen("poly", "vvx-500", "5.9.7.4477")),
        ("FileTransport PolycomVVX-VVX_500-UA/5.9.7.47435 Type/Updater", Seen("poly", "vvx-500", "")),
        ("FileTransport PolycomSoundPointIP-SPIP_550-UA/4.0.15.1047 (SN:0004a11a1a1a) Type/Application",
         Seen("poly", "soundpoint-ip-550", "4.0.15.1047", "0004a11a1a1a")),
        ("FileTransport PolycomSoundPointIP-SPIP_335-UA/3.2.1.0078", Seen("poly", "soundpoint-ip-335", "3.2.1.0078")),
        ("FileTransport PolycomSoundStationIP-SSIP_6000-UA/4.0.4.2906 Type/Application",
         Seen("poly", "soundstation-ip-6000", "4.0.4.2906")),
        ("FileTransport PolycomSoundStationIP-SSIP_6000-UA/5.0.3.1667 Type/Updater",
         Seen("poly", "soundstation-ip-6000", "")),
        ("FileTransport PolycomRealPresenceTrio-Trio_8800-UA/7.2.2.1094 (SN:12345) Type/Application",
         Seen("poly", "trio-8800", "7.2.2.1094", "")),
        ("FileTransport PolyCCX-CCX_600-UA/8.0.2.3267 (SN:482567b5313f) Type/Application",
         Seen("poly", "ccx-600", "8.0.2.3267", "482567b5313f")),
        ("FileTransport PolyEdge-Edge_E450-UA/8.0.0.15602 Type/Application", Seen("poly", "edge-e450", "8.0.0.15602")),
        ("FileTransport PolycomVVX-VVX_411-UA/5.9.7.4477 (SN:0004F2AABBCC) Type/Application",
         Seen("poly", "vvx-411", "5.9.7.4477", MAC)),
        # reference/audiocodes-and-others.md, A.
        ("AUDC-IPPhone/2.2.8.61 (440HDG-Rev0; 00908F602AAC)",
         Seen("audiocodes", "audiocodes-440hd", "2.2.8.61", "00908f602aac")),
        ("AUDC-IPPhone/2.0.0_build_15 (420HD; 00908F3BBCBA)",
         Seen("audiocodes", "audiocodes-420hd", "2.0.0_build_15", "00908f3bbcba")),
        ("AUDC/3.4.6.604 AUDC-IPPhone-C450HD_UC_3.4.6.604/1", Seen("audiocodes", "audiocodes-c450hd", "3.4.6.604")),
        ("AUDC-IPPhone-430HD_UC_2.0.13.121/1.0.0000.0", Seen("audiocodes", "audiocodes-430hd", "2.0.13.121")),
        ("AUDC-IPPhone/2.2.8.61 (405HD-Rev0; 00908F112233)",
         Seen("audiocodes", "audiocodes-405hd", "2.2.8.61", "00908f112233")),
        ("AUDC-IPPhone/2.2.8.61 (405-Rev0; 00908F112233)",
         Seen("audiocodes", "audiocodes-405", "2.2.8.61", "00908f112233")),
        # Nobody we know.
        ("", Seen()),
        ("curl/8.0", Seen()),
        ("Mozilla/5.0 FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application", Seen()),
        ("FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application\nX", Seen()),
    ],
)  # fmt: skip
def test_a_user_agent_tells_maker_model_firmware_and_mac(user_agent: str, seen: Seen) -> None:
    assert CATALOG.identify(user_agent) == seen


def test_a_boot_loaders_version_is_not_that_of_the_phone() -> None:
    seen = CATALOG.identify("FileTransport PolycomVVX-VVX_411-UA/5.9.7.47435 Type/Updater")
    assert seen.model == "vvx-411" and seen.firmware == ""


@given(st.text(max_size=300))
def test_any_user_agent_is_somebody_or_nobody(user_agent: str) -> None:
    seen = CATALOG.identify(user_agent)
    assert seen.vendor in ("", *CATALOG.vendors) and seen.model in ("", *CATALOG.models)


@pytest.mark.parametrize("written", [MAC, MAC.upper(), "00:04:f2:aa:bb:cc", "00-04-F2-AA-BB-CC", "0004.f2aa.bbcc"])
@pytest.mark.parametrize("rest", [".cfg", "-settings.cfg", "-DIRECTORY.XML", "-boot.log", ""])
def test_a_name_with_a_mac_in_any_notation_speaks_of_that_phone(written: str, rest: str) -> None:
    requested = CATALOG.match(written + rest)
    assert requested.mac == MAC and requested.candidates


def test_a_name_that_two_makers_share_means_either() -> None:
    assert {c.vendor for c in CATALOG.match(f"{MAC}.cfg").candidates} == {"audiocodes", "poly", "spectralink"}


def test_the_name_for_all_phones_is_about_none() -> None:
    requested = CATALOG.match("000000000000.cfg")
    assert requested.mac is None and [c.vendor for c in requested.candidates] == ["poly", "spectralink"]


def test_logs_are_uploads_and_images_are_firmware() -> None:
    for log in CATALOG.match(f"{MAC}-app.log").candidates:
        assert isinstance(log.rule, UploadRule)
    for name, caught in {
        "fw/5.9.7.4477/3111-48450-001.sip.ld": {"version": "5.9.7.4477", "part": "3111-48450-001"},
        "fw/5.9.7.4477/sip.ld": {"version": "5.9.7.4477"},
        "3111-48450-001.sip.ld": {"part": "3111-48450-001"},
        "sip.ld": {},
        "405HD.img": {"model": "405HD"},
        "fw/3.4/405HD.img": {"version": "3.4", "model": "405HD"},
    }.items():
        (found,) = CATALOG.match(name).candidates
        assert isinstance(found.rule, FirmwareRule) and dict(found.captured) == caught, name


@pytest.mark.parametrize(
    "path",
    ["", "/", "x", f"{MAC}", "..", f"../{MAC}.cfg", f"a/{MAC}.cfg", f"{MAC}.cfg/", f"{MAC}.cfg\0", f"{MAC}.cfg\n",
     f"{MAC}-other.cfg", f"{MAC}{MAC}.cfg", "01005e000001.cfg", "ffffffffffff.cfg", "fw/../sip.ld", "fw//sip.ld",
     "fw/a/b/c/sip.ld", "fw/.hidden/sip.ld", "3111-48450-001.3111-48450-001.sip.ld", "fw/1/..sip.ld", "sip.ld\n",
     "{mac}.cfg", "fw/{version}/sip.ld"],
)  # fmt: skip
def test_any_other_name_means_nothing(path: str) -> None:
    requested = CATALOG.match(path)
    rules = [c.rule.pattern for c in requested.candidates]
    assert rules == (["{mac}"] if path == MAC else [])


@given(st.text(max_size=200))
def test_any_name_means_something_declared_or_nothing(path: str) -> None:
    for candidate in CATALOG.match(path).candidates:
        assert candidate.vendor in CATALOG.vendors and ".." not in path.split("/")


def test_an_address_block_confirms_a_maker() -> None:
    assert [CATALOG.vendor_of_oui(mac) for mac in (MAC, "00908f112233", "0a0000000000")] == ["poly", "audiocodes", None]


def test_every_vvx_of_the_reference_is_there_and_the_two_that_are_none_are_not() -> None:
    numbers = [101, 150, 201, 250, 300, 301, 310, 311, 350, 400, 401, 410, 411, 450, 500, 501, 600, 601, 1500]
    assert {f"vvx-{n}" for n in numbers} == {m for m in CATALOG.models if m.startswith("vvx-")}


def test_a_model_is_found_by_its_part_number() -> None:
    assert (found := CATALOG.model_by_part("poly", "3111-48450-001")) and found.id == "vvx-411"
    assert CATALOG.model_by_part("poly", "") is None and CATALOG.model_by_part("audiocodes", "") is None


@pytest.mark.parametrize("version", ["1." * 200 + "1", "9" * 65, "...", "5.9..7", "5.9.7."])
def test_a_version_that_no_phone_has_is_none(version: str) -> None:
    """Versions are remembered while they are compared, so that somebody could fill the memory with long ones."""
    seen = CATALOG.identify(f"FileTransport PolycomVVX-VVX_411-UA/{version} Type/Application")
    assert seen == Seen("poly", "vvx-411", "")
