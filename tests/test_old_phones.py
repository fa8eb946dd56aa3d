"""Phones that TLS is beyond are not sent where they cannot get in, and boot loaders are not taken for software."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ztp_server.config import shipped_folder
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.site import Site
from ztp_server.domain.support import check_phone, check_values, speaks_tls
from ztp_server.domain.template_context import Server
from ztp_server.errors import BadValue
from ztp_server.services.address import ServerAddress
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

CATALOG = load_catalog(read_folder(shipped_folder("templates")))
HTTP, HTTPS, MTLS = "http://a:8080/", "https://a:8443/", "https://a:8444/"
ADDRESS = ServerAddress(Server({"http": HTTP, "https": HTTPS, "mtls": MTLS}, ""), frozenset({"poly"}))
LINES = (Line("1"), Line("2"))
SITE = Site("madrid", "Madrid")


def kind(model_id: str) -> tuple[Any, Any, Any]:
    model = CATALOG.models[model_id]
    return CATALOG.vendor_of(model), CATALOG.family_of(model), model


@pytest.mark.parametrize(
    ("model", "running", "url"),
    [
        ("soundpoint-ip-550", "4.0.15.1047", HTTPS),
        ("soundpoint-ip-550", "4.1.0.0001", HTTPS),
        ("soundpoint-ip-550", "4.0.14.1580", HTTP),
        ("soundpoint-ip-550", "3.1.3.0439", HTTP),
        ("soundpoint-ip-550", "", HTTP),
        ("soundpoint-ip-330", "3.3.5.0247", HTTP),
        ("soundpoint-ip-501", "3.1.8.0070", HTTP),
        ("vvx-411", "", MTLS),
    ],
)
def test_a_phone_comes_back_where_it_can_get_in(model: str, running: str, url: str) -> None:
    vendor, family, row = kind(model)
    settings = {"provisioning_url": ""}
    assert ADDRESS.steady_url(vendor, family, row, running) == url
    assert ADDRESS.phone_url(vendor, family, row, SITE, settings, running) == url


@pytest.mark.parametrize("model", ["soundpoint-ip-550", "audiocodes-320hd", "spectralink-8440"])
def test_where_plain_http_gives_nothing_a_phone_that_came_over_tls_is_not_sent_there(model: str) -> None:
    settings = {"provisioning_url": ""}
    no_secrets = replace(SITE, plain_secrets=False)
    assert ADDRESS.phone_url(*kind(model), SITE, settings, "") == HTTP
    assert ADDRESS.phone_url(*kind(model), no_secrets, settings, "") == HTTPS


def test_an_address_of_its_own_goes_first() -> None:
    own = {"provisioning_url": "https://b/"}
    assert ADDRESS.phone_url(*kind("soundpoint-ip-330"), SITE, own, "3.3.5") == "https://b/"


def test_without_plain_http_there_is_no_other_address_to_give() -> None:
    only_https = ServerAddress(Server({"https": HTTPS}, ""))
    assert only_https.steady_url(*kind("soundpoint-ip-330"), "3.3.5") == HTTPS


def test_a_model_that_speaks_no_tls_is_given_none() -> None:
    _, family, model = kind("soundpoint-ip-300")
    assert not speaks_tls(family, model, "2.1.3")
    check_values(family, model, {"sip_transport": "tcp"})
    with pytest.raises(BadValue, match="speaks no TLS"):
        check_values(family, model, {"sip_transport": "tls"})


@pytest.mark.parametrize(
    ("user_agent", "model", "firmware"),
    [
        ("PolycomSoundPointIP-SPIP_335-UA/4.2.1.0275", "soundpoint-ip-335", ""),
        ("PolycomSoundPointIP-SPIP_335-UA/3.2.1.0078", "soundpoint-ip-335", "3.2.1.0078"),
        ("PolycomSoundPointIP-SPIP_301-UA/4.1.2.0037", "soundpoint-ip-301", ""),
        ("PolycomSoundStationIP-SSIP_4000-UA/3.1.8.0070", "soundstation-ip-4000", "3.1.8.0070"),
        ("PolycomSoundStationIP-SSIP_6000-UA/4.0.4.2906 Type/Application", "soundstation-ip-6000", "4.0.4.2906"),
        ("PolycomSoundStationIP-SSIP_6000-UA/5.0.3.1667 Type/Updater", "soundstation-ip-6000", ""),
    ],
)
def test_what_a_boot_loader_says_is_not_the_version_of_the_software(user_agent: str, model: str, firmware: str) -> None:
    seen = CATALOG.identify(f"FileTransport {user_agent}")
    assert (seen.vendor, seen.model, seen.firmware) == ("poly", model, firmware)


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ([LineKey("line", line=1), LineKey("line", line=1), LineKey("line", line=2), LineKey("blf", "3")], ""),
        ([LineKey("line", line=2), LineKey("line", line=1)], "line_keys.2.line"),
        ([LineKey("speed_dial", "3"), LineKey("line", line=1)], "line_keys.2.type"),
    ],
)
def test_keys_that_a_phone_lays_out_itself_are_said_in_its_order(keys: list[LineKey], field: str) -> None:
    _, family, model = kind("soundpoint-ip-550")
    phone = Phone("n", "0004f2000000", model.id, "s", "b", lines=LINES, line_keys=tuple(keys))
    if not field:
        return check_phone(family, model, phone)
    with pytest.raises(BadValue) as refused:
        check_phone(family, model, phone)
    assert refused.value.field == field


def test_no_watched_numbers_on_a_phone_that_shows_none() -> None:
    _, family, model = kind("soundpoint-ip-335")
    phone = Phone("n", "0004f2000000", model.id, "s", "b", lines=LINES,
                  line_keys=(LineKey("line", line=1), LineKey("blf", "3")))  # fmt: skip
    with pytest.raises(BadValue, match="SoundPoint IP 335"):
        check_phone(family, model, phone)
