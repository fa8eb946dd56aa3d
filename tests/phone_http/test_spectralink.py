"""Handsets on Wi-Fi: they share the names of another maker's files, and must not get that maker's bootstrap file, whose
CA could take the place of the one that their network is entered with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ADMIN, HD400_UA, VVX, VVX_UA, Response, World, sample_phone
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line
from ztp_server.simulator.simulation import SimulationReport, run_simulation

HANDSET, UNKNOWN = "00907a0e7fe5", "00907affffff"
MODEL = "spectralink-8440"
# What it really says is not known: the first two are guesses, and nothing may depend on them.
GUESSED = [
    "FileTransport SpectraLink-SL_8440-UA/5.1.0.123 Type/Application",
    "FileTransport PolycomSpectraLink-SL_8440-UA/4.0.2.456 (SN:00907a0e7fe5) Type/Updater",
]
USER_AGENTS = ["", "curl/8", "SomethingElse/1.0", *GUESSED]


def parameters(*answers: Response) -> dict[str, str]:
    assert {answer.status for answer in answers} == {200}
    return {k: v for a in answers for e in ElementTree.fromstring(a.body).iter() for k, v in e.attrib.items()}


async def add_handset(world: World, **settings: str) -> None:
    await world.services.base_settings.add(ADMIN, "handsets", "", MODEL, {"admin_password": "Ad&min1"})
    handset = sample_phone(
        HANDSET, model=MODEL, base_settings="handsets", settings=settings,
        lines=(Line("1010", password="p10"),), line_keys=(LineKey("speed_dial", "1011", "Ward"),),
    )  # fmt: skip
    await world.services.phones.add(ADMIN, handset)


async def boot(world: World, mac: str = HANDSET) -> SimulationReport:
    """A handset out of its box, which DHCP sends to plain HTTP."""
    catalog = world.services.templates.catalog
    return await run_simulation(
        catalog, mac, MODEL, world.url("http"), ca=None, cert=None, key=None, roots=None, whole_firmware=False
    )


@pytest.mark.parametrize("user_agent", USER_AGENTS)
async def test_an_unknown_handset_gets_the_bootstrap_file_under_its_own_name(world: World, user_agent: str) -> None:
    master = await world.ask(f"{UNKNOWN.upper()}.cfg", user_agent=user_agent)
    assert parameters(master)["CONFIG_FILES"] == "spectralink-first.cfg"

    told = parameters(await world.ask("spectralink-first.cfg", user_agent=user_agent))
    assert told["device.prov.serverName"] == world.url("http")
    assert not [name for name in told if name.startswith(("reg.", "device.auth", "device.sec", "device.wifi"))]


async def test_it_never_asks_for_the_name_that_belongs_to_others_as_well(world: World) -> None:
    report = await boot(world, UNKNOWN)

    asked = [exchange.url.rpartition("/")[2] for stage in report.stages for exchange in stage.boot.exchanges]
    assert f"{UNKNOWN}.cfg" in asked and "spectralink-first.cfg" in asked
    assert "000000000000.cfg" not in asked
    assert report.failure.startswith("no line would register")


@pytest.mark.parametrize("user_agent", GUESSED)
async def test_if_it_asks_for_that_name_by_one_of_the_likely_brands_it_gets_no_ca(
    world: World, user_agent: str
) -> None:
    ours = await world.ask("000000000000.cfg", user_agent=user_agent)
    theirs = await world.ask("000000000000.cfg", user_agent=VVX_UA)

    assert parameters(ours)["CONFIG_FILES"] == "spectralink-first.cfg"
    assert "device.sec.TLS.customCaCert1" in parameters(theirs)


@pytest.mark.parametrize("user_agent", [*USER_AGENTS, VVX_UA, HD400_UA])
async def test_the_phone_record_decides_what_its_names_mean(world: World, user_agent: str) -> None:
    await add_handset(world)

    master = parameters(await world.ask(f"{HANDSET}.cfg", user_agent=user_agent))
    settings = parameters(await world.ask(f"{HANDSET}-settings.cfg", user_agent=user_agent))
    directory = await world.ask(f"{HANDSET}-directory.xml", user_agent=user_agent)

    assert master["CONFIG_FILES"] == f"{HANDSET}-settings.cfg"
    assert settings["reg.1.auth.userID"] == settings["reg.1.auth.userId"] == "1010"
    assert b"<ct>1011</ct>" in directory.body


@pytest.mark.parametrize("user_agent", USER_AGENTS)
async def test_a_handset_without_proof_is_answered_as_an_unknown_one(world: World, user_agent: str) -> None:
    await add_handset(world)
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})

    for rest in (".cfg", "-settings.cfg", "-directory.xml", "-custom.cfg"):
        for listener in ("http", "https"):
            one, other = [
                await world.ask(f"{mac}{rest}", listener=listener, user_agent=user_agent) for mac in (HANDSET, UNKNOWN)
            ]
            assert (one.status, one.body) == (other.status, other.body), (rest, listener)


async def test_over_https_nothing_empties_it(world: World) -> None:
    for name in (f"{UNKNOWN}.cfg", "000000000000.cfg", "spectralink-first.cfg"):
        answer = await world.ask(name, listener="https", user_agent=GUESSED[0])
        assert (answer.status, answer.body) == (404, b"")


async def test_a_new_handset_stays_at_plain_http_and_gets_no_ca(world: World) -> None:
    await add_handset(world)

    report = await boot(world)

    assert not report.failure
    assert {stage.folder for stage in report.stages} == {world.url("http")}
    assert not [stage for stage in report.stages if stage.ca_installed]
    assert "device.sec.TLS.customCaCert1" not in report.flash.held
    assert [(r.user, r.server, r.transport) for r in report.registrations] == [("1010", "sip.example.net", "TLS")]


async def test_with_our_ca_it_comes_back_over_https(world: World) -> None:
    await add_handset(world, **{"spectralink.install_ca": "on", "provisioning_url": world.url("https")})

    report = await boot(world)

    assert not report.failure
    assert report.stages[-1].folder == world.url("https")
    assert [stage for stage in report.stages if stage.ca_installed]
    assert [r.user for r in report.registrations] == ["1010"]
    # SIP leaves the profile in which our CA is now the only one.
    held = report.stages[-1].boot.parameters
    assert held["sec.TLS.profileSelection.SIP"] == "ApplicationProfile1"


async def test_the_setting_alone_writes_no_ca_where_it_would_be_of_no_use(world: World) -> None:
    await add_handset(world, **{"spectralink.install_ca": "on"})

    written = parameters(await world.ask(f"{HANDSET}-settings.cfg"))

    assert not [name for name in written if name.startswith("device.sec")]


async def test_where_it_may_not_trust_the_answer_dhcp_can_still_fetch_it_back(world: World) -> None:
    await add_handset(world, provisioning_url=world.url("https"))

    untrusted = parameters(await world.ask(f"{HANDSET}-settings.cfg"))
    await world.services.phones.edit(ADMIN, HANDSET, {}, {"spectralink.install_ca": "on"})
    trusted = parameters(await world.ask(f"{HANDSET}-settings.cfg"))

    assert "device.dhcp.bootSrvUseOpt" not in untrusted
    assert trusted["device.dhcp.bootSrvUseOpt"] == "Static"


async def test_nothing_is_written_about_the_network_it_is_reached_by(world: World) -> None:
    await add_handset(world)

    written = parameters(await world.ask(f"{HANDSET}-settings.cfg"))

    assert not [name for name in written if name.startswith(("device.wifi", "device.net", "device.baseProfile"))]


async def test_the_path_of_its_firmware_names_the_model_because_it_may_not(world: World, tmp_path: Path) -> None:
    await add_handset(world, firmware_version="5.1.0.123")
    image = tmp_path / "sip.ld"
    image.write_bytes(b"firmware of a handset")
    await world.services.firmware.add(ADMIN, image, [MODEL], "5.1.0.123", False)

    path = parameters(await world.ask(f"{HANDSET}.cfg", user_agent=""))["APP_FILE_PATH"]

    assert (await world.ask(path, user_agent="")).body == b"firmware of a handset"
    for name in ("sip.ld", path.replace("8440", "8452"), path.replace("sip.ld", "3111-36150-001.sip.ld")):
        assert (await world.ask(name, user_agent="")).status == 404


async def test_other_makers_phones_are_as_they_were(world: World) -> None:
    await add_handset(world)
    vvx = await world.services.phones.get(ADMIN, VVX)
    await world.services.phones.add(ADMIN, replace(vvx, hardware_id="00907a000001", name="VVX with a strange address"))

    assert b"<APPLICATION" in (await world.ask("00907a000001.cfg", user_agent=GUESSED[0])).body
    assert (await world.ask("0004f2999999.cfg", user_agent="")).status == 404
