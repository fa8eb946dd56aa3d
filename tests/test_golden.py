"""Golden files: whole answers, as phones get them.

A file under tests/golden holds a request (`METHOD name`, then headers, `listener` and `certificate` if they are not
plain HTTP and none), a line of dashes, and the whole answer. `ZTP_UPDATE_GOLDEN=1 pytest tests/test_golden.py` writes
the answers anew: read every difference before you keep it. The phones that are asked for are below, and in the TOML
files beside the golden ones: a table `base_settings.<id>` and one `phones.<MAC>` for each, as the doors show them.
"""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from lxml import etree

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, Response, World, fill, options, sample_phone
from ztp_server.app import App
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.pki.authority import make_device_authority
from ztp_server.xml_parameters import section_entries

FOLDER = Path(__file__).parent / "golden"
GOLDEN = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.golden"))
DASHES = "-" * 40
MAKERS = ("poly", "audiocodes")

# Two certificates in form only: what a phone makes of them is its own affair.
FIRST_CA = "-----BEGIN CERTIFICATE-----\nRmlyc3Q=\n-----END CERTIFICATE-----"
SECOND_CA = "-----BEGIN CERTIFICATE-----\nU2Vjb25k\n-----END CERTIFICATE-----"

SITES: Mapping[str, Mapping[str, Any]] = {
    "sydney": {"sip_server": "sip.example.net", "time_zone": "Australia/Sydney"},
    "kolkata": {"sip_server": "sip.example.net", "time_zone": "Asia/Kolkata"},
    "closed": {
        "sip_server": "sip.example.net",
        "time_zone": "Etc/UTC",
        "logged_out.sip_server": "guest.example.net",
        "logged_out.mwi_enabled": "off",
        "logged_out.line": Line("900", "guest", HOSTILE_PASSWORD, "Guest & Co", "Guest"),
    },
    "lan": {"sip_server": "10.9.8.7", "sip_transport": "udp", "time_zone": "Etc/UTC"},
}

# What all phones below share: one line, no keys.
PLAIN = sample_phone(name="Plain", lines=(Line("1010", password="p10"),), line_keys=())
HD400 = replace(PLAIN, model="audiocodes-405hd", base_settings="400hd")

EVERYTHING = {
    "language": "Spanish_Spain",
    "time_format": "12h",
    "date_format": "D,Md",
    "rtp_dscp": "34",
    "sip_dscp": "40",
    "rtp_port_start": "20000",
    "rtp_port_count": "100",
    "codecs": "audio/PCMA,audio/G729,audio/G7221,audio/iLBC",
    "dtmf_method": "sip_info",
    "tls_ca": f"{FIRST_CA}\n{SECOND_CA}",
    "mutual_auth": "off",
    "srtp": "required",
    "sip_transport": "tcp",
    "sip_port": "5070",
    "register_expires": "600",
    "calls_per_line": "4",
    "failback_mode": "new_requests",
    "failback_timeout": "120",
    "outbound_proxy": "sbc.example.net:5081",
    "mwi_address": "*97",
    "firmware_version": "5.9.7.4477",
    "poll_period": "3600",
    "check_sync_reboots": "on",
    "provisioning_url": "https://phones.example.org/ztp",
    "timezone_discovery": "on",
    "user_password": "Us%er",
    "web_ui_enabled": "off",
    "rest_api_enabled": "on",
    "vlan_id": "120",
    "lldp_enabled": "off",
    "cdp_enabled": "off",
    "syslog_server": "log.example.net",
    "syslog_level": "debug",
    "digit_map": "[2-9]11|0T|+x.T",
    "emergency_numbers": "112,911",
}

PHONES: Mapping[str, Phone] = {
    "0004f2000001": replace(
        PLAIN, settings={"custom.up.backlight.idleIntensity": "0", "custom.up.welcomeText": HOSTILE_NAME}
    ),
    "0004f2000002": replace(PLAIN, model="vvx-500", site="kolkata"),
    "0004f2000003": replace(
        PLAIN,
        settings={
            "held_enabled": "on",
            "held_server_url": "https://lis.example.net/held?a=1&b=2",
            "held_secondary_url": "https://lis2.example.net/held",
            "held_token": HOSTILE_PASSWORD,
            "emergency_numbers": "112,911",
        },
    ),
    "0004f2000004": replace(PLAIN, site="sydney"),
    "0004f2000005": replace(PLAIN, site="lan", settings={"srtp": "off", "dtmf_method": "in_band"}),
    "0004f2000006": replace(
        PLAIN,
        settings=EVERYTHING,
        lines=tuple(Line(str(user), password=f"p{user}") for user in range(1011, 1014)),
        line_keys=(
            LineKey("line", line=2),
            LineKey("none"),
            LineKey("speed_dial", "*97", "Voice <mail>"),
            LineKey("blf", "1014@example.net"),
            LineKey("line", line=2),
            LineKey("blf", "1015", "Ü"),
            LineKey("speed_dial", "+34911111111"),
        ),
    ),
    "0004f2000007": replace(PLAIN, settings={"firmware_update": "off", "poll_enabled": "off", "mwi_enabled": "off"}),
    # Its user was taken off it: one line is left, and the keys that are not of the other.
    "0004f2000008": sample_phone(site="closed", logged_out=True),
    "00908f000004": replace(
        HD400,
        site="closed",
        logged_out=True,
        lines=(Line("2010", password="p2010"), Line("2011", password="p2011")),
        line_keys=(LineKey("line", line=2), LineKey("speed_dial", "*97", "Voice mail")),
    ),
    "00908f000001": replace(HD400, site="lan"),
    "00908f000002": replace(
        HD400,
        settings={
            "codecs": "audio/PCMA,audio/opus",
            "rtp_dscp": "34",
            "sip_dscp": "40",
            "rtp_port_start": "20000",
            "tls_ca": f"{FIRST_CA}\n{SECOND_CA}",
            "tls_verify": "off",
            "sip_port": "5070",
            "sip_transport": "tcp",
            "register_expires": "600",
            "calls_per_line": "4",
            "outbound_proxy": "sbc.example.net:5081",
            "mwi_address": "*97",
            "firmware_version": "2.2.16.525",
            "poll_period": "7200",
            "check_sync_reboots": "on",
            "provisioning_url": "https://phones.example.org/ztp/",
            "timezone_discovery": "on",
            "sntp_servers": "ntp9.example.net",
            "time_zone": "Asia/Kolkata",
            "date_format": "EUROPEAN",
            "web_ui_enabled": "off",
            "language": "ENGLISH",
            "digit_map": "[2-9]11;0T",
            "interdigit_timeout": "5",
            "custom.voip/media/rtp_mute_on_hold": "1",
            "custom.voip/media/media_port": "30000",
        },
        lines=(Line("2010", "a2010", "p2010", "Ann & Bob", "Ann"), Line("2011", password="p2011")),
        line_keys=(
            LineKey("speed_dial", "*97", "Voice mail"),
            LineKey("line", line=2),
            LineKey("line", line=1),
            LineKey("speed_dial", "+34911111111"),
        ),
    ),
    "00908f000003": replace(HD400, settings={"poll_enabled": "off", "firmware_update": "off", "mwi_enabled": "off"}),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Every golden request asked once of one server: what it answered, as the file should have it."""
    return asyncio.run(_ask_everything(tmp_path_factory.mktemp("golden")))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_whole_answer_is_the_golden_one(name: str, answers: Mapping[str, str]) -> None:
    path = FOLDER / name
    request = _request_part(path)
    if os.environ.get("ZTP_UPDATE_GOLDEN"):
        path.write_text(f"{request}{DASHES}\n{answers[name]}", "utf-8")

    assert path.read_text("utf-8") == f"{request}{DASHES}\n{answers[name]}"


@pytest.mark.parametrize("name", [n for n in GOLDEN if (FOLDER / n).read_text("utf-8").find("\n<?xml") > 0])
def test_a_golden_xml_file_sets_each_parameter_once(name: str, answers: Mapping[str, str]) -> None:
    body = answers[name].partition("\n\n")[2]
    root = etree.fromstring(body.encode())
    entries = [name for name, _ in section_entries(root)]
    names = entries or [str(parameter) for element in root.iter("*") for parameter in element.attrib]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("audiocodes/") and "cfg" in name])
def test_a_golden_line_file_sets_each_parameter_once(name: str, answers: Mapping[str, str]) -> None:
    lines = answers[name].partition("\n\n")[2].splitlines()
    names = [line.partition("=")[0] for line in lines]

    assert all("=" in line and line == line.strip() for line in lines)
    assert sorted(names) == sorted(set(names))


async def add_everything(world: World) -> None:
    """The common data, and the sites and phones of the golden files."""
    await fill(world.services)
    for site, settings in SITES.items():
        await world.services.sites.add(ADMIN, site, site, {"networks": "127.0.0.0/8", **settings})
    for mac, phone in PHONES.items():
        await world.services.phones.add(ADMIN, replace(phone, hardware_id=mac))
    for path in sorted(FOLDER.glob("*/*.toml")):
        tables = tomllib.loads(path.read_text("utf-8"))
        for base_id, base in tables.get("base_settings", {}).items():
            await world.services.base_settings.add(ADMIN, base_id, "", base["model"], base.get("settings", {}))
        for mac, row in tables["phones"].items():
            await world.services.phones.add(ADMIN, _phone_of(mac, row))


def _phone_of(mac: str, row: Mapping[str, Any]) -> Phone:
    lines = tuple(Line(**_with_words(line)) for line in row.get("lines", [{"user": "1010", "password": "p10"}]))
    keys = tuple(LineKey(**_with_words(key)) for key in row.get("line_keys", []))
    fields = {"name": "Plain", "site": "madrid", **row, "hardware_id": mac, "lines": lines, "line_keys": keys}
    return Phone(**{**fields, "settings": _with_words(row.get("settings", {}))})


def _with_words(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Hostile words by name, so that the files need no escapes of their own."""
    words = {"@NAME": HOSTILE_NAME, "@PASSWORD": HOSTILE_PASSWORD, "@TWO_CAS": f"{FIRST_CA}\n{SECOND_CA}"}
    return {name: words.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}


async def _ask_everything(data: Path) -> Mapping[str, str]:
    for vendor in MAKERS:
        make_device_authority(data / "certs" / vendor, f"test-{vendor}")
    app = await App.start(options(data, ntp_server="ntp.example.org"))
    world = World(app, data, restart=app.stop)
    try:
        await add_everything(world)
        return {name: _written(await _ask(world, FOLDER / name), app) for name in GOLDEN}
    finally:
        await app.stop()


async def _ask(world: World, path: Path) -> Response:
    first, *rest = _request_part(path).splitlines()
    method, target = first.split(" ")
    fields = dict(line.split(": ", 1) for line in rest)
    listener, certificate = fields.pop("listener", "http"), fields.pop("certificate", "")
    user_agent = fields.pop("User-Agent")
    device = world.device(*certificate.split(" ")) if certificate else None
    return await world.ask(
        target, method=method, listener=listener, device=device, user_agent=user_agent, headers=fields
    )


def _request_part(path: Path) -> str:
    return path.read_text("utf-8").partition(DASHES)[0]


def _written(response: Response, app: App) -> str:
    headers: dict[str, Any] = {n: response.headers[n] for n in ("Content-Type", "Location") if n in response.headers}
    text = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"{response.status}\n{_steady(text, app)}\n{_steady(response.text, app)}"


def _steady(text: str, app: App) -> str:
    """Without what differs from run to run: ports, and the CA made at the first start, in the spelling of the file."""
    for listener, port in (("http", 8080), ("https", 8443), ("mtls", 8444)):
        text = text.replace(f"127.0.0.1:{app.listeners[listener].address.port}/", f"ztp.example.net:{port}/")
    ca = app.address.server.ca
    text = text.replace(ca, "(the server's CA)\n")
    text = text.replace(escape(ca, {"\n": "&#10;"}), "(the server's CA, &#10; at the end of each line)")
    assert not [line for line in ca.splitlines()[1:-1] if line in text]
    return text
