"""What the tables of support promise is in the files; and what a phone keeps by itself is said in every state, so that
no old value stays behind when a setting is taken away."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from lxml import etree

from ztp_server.config import shipped_folder
from ztp_server.domain.vendor import Family
from ztp_server.render import Renderer
from ztp_server.services.rendered_parameters import parameters
from ztp_server.services.template_trial import renderings
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

FOLDER = read_folder(shipped_folder("templates"))
CATALOG = load_catalog(FOLDER)
FAMILIES = {f"{v.id}-{name}": family for v in CATALOG.vendors.values() for name, family in v.family.items()}

# What is said of a setting in a file of its own, not by a parameter: the root element of that file.
ELEMENTS = {"directory"}

# What a phone keeps that is not said in every state, and why that is right.
PASSWORD = "an empty password setting means: not touched"
NO_NTP = "no time server is known, and no value for none is proven"
OWN_CHOICE = "empty means the phone's own, which its user may have chosen"
SWITCHED = "counts only beside the switch or mode that is always said"
KEPT: Mapping[str, Mapping[str, str]] = {
    "poly": {
        r"device\.auth\.local(Admin|User)Password(\.set)?": PASSWORD,
        r"device\.sntp\.serverName(\.set)?": NO_NTP,
        r"device\.sec\.TLS\.(customCaCert1|profile\.caCertList1)(\.set)?": (
            "a server without a CA of its own; no word for the built-in CAs is proven where a mistake would be fatal"
        ),
        r"device\.prov\.(user|password)(\.set)?": "shown only where a login is asked for",
        r"device\.sec\.TLS\.customCaCert2(\.set)?": "trusted only while caCertList2, which is always said, says so",
    },
    "spectralink": {
        r"device\.auth\.local(Admin|User)Password(\.set)?": PASSWORD,
        r"device\.sntp\.serverName(\.set)?": NO_NTP,
        r"device\.sec\.TLS\.(customCaCert1|profile\.caCertList1)(\.set)?": "the WLAN may use it: see install_ca",
        r"device\.dhcp\.bootSrvUseOpt(\.set)?": "its own until it moves to https; it finds us by either",
    },
    "audiocodes": {
        r"system/(web_user_)?password": PASSWORD,
        r"personal_settings/language|system/ntp/date_display_format": OWN_CHOICE,
        r"system/daylight_saving/(mode|offset|(start|end)_date/.*)": SWITCHED,
        r"provisioning/period/(daily|hourly)/.*": SWITCHED,
        r"voip/signalling/sip/(redundant_proxy/(mode|port)|secondary_proxy/port|sip_outbound_proxy/port)": SWITCHED,
        r"voip/codec/codec_info/[0-4]/(name|ptime)": SWITCHED,
        r"voip/media/opus_payload": SWITCHED,
        r"personal_settings/functional_key/[0-5]/.*": "on a screen, the slots of lines; the next state says the rest",
    },
}


@dataclass
class Rendered:
    """What the files of a family set. `everywhere` and `ever` are by model: names in all of its states, and in any."""

    names: set[str] = field(default_factory=set)
    everywhere: dict[str, set[str]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, Rendered]:
    """By family: every model of it with all settings at their extremes, without what was set as custom."""
    renderer = Renderer(FOLDER.texts)
    found: dict[str, Rendered] = defaultdict(Rendered)
    for one in renderings(CATALOG, thorough=True):
        if one.rule.format == "pem" or "lines" not in one.context:
            continue  # no parameters, or a bootstrap file
        body = renderer.render(one.template, one.rule.format, one.context)
        custom = one.context["custom"]
        assert isinstance(custom, dict)
        names = {name for name, _ in parameters(body, one.rule.format)} - set(custom)
        family = found[f"{CATALOG.vendor_of(one.model).id}-{one.model.family}"]
        family.names |= names
        if one.rule.format == "xml":
            family.names |= {str(etree.fromstring(body).tag)} & ELEMENTS
        if "{family}" in one.rule.template:
            model = one.model.id
            family.everywhere[model] = family.everywhere.get(model, names) & names
            family.ever[model] |= names
    return found


@pytest.mark.parametrize("family_id", FAMILIES)
def test_every_parameter_that_the_table_names_is_rendered(family_id: str, rendered: Mapping[str, Rendered]) -> None:
    missing = [
        f"{setting}: {support.parameter}"
        for setting, support in FAMILIES[family_id].settings.items()
        if support.parameter and not any(map(_pattern(support.parameter).fullmatch, rendered[family_id].names))
    ]

    assert missing == []


def test_the_table_names_elements_only_where_a_file_has_them() -> None:
    named = {s.parameter for family in FAMILIES.values() for s in family.settings.values()}

    assert named >= ELEMENTS


@pytest.mark.parametrize("family_id", FAMILIES)
def test_what_a_phone_keeps_is_said_in_every_state(family_id: str, rendered: Mapping[str, Rendered]) -> None:
    """Otherwise a value that was set once stays on the phone when nobody wants it any more."""
    vendor, family = family_id.partition("-")[0], FAMILIES[family_id]
    kept = re.compile("|".join(f"(?:{pattern})" for pattern in KEPT.get(vendor, ())) or "(?!)")
    left = {
        name
        for model, ever in rendered[family_id].ever.items()
        for name in ever - rendered[family_id].everywhere[model]
        if _is_kept(family, name) and not kept.fullmatch(name)
    }

    assert sorted(left) == []


@pytest.mark.parametrize("vendor", KEPT)
def test_each_reason_to_leave_something_out_is_still_needed(vendor: str, rendered: Mapping[str, Rendered]) -> None:
    found = {name for family_id, one in rendered.items() if family_id.startswith(vendor) for name in one.names}

    assert [pattern for pattern in KEPT[vendor] if not any(re.fullmatch(pattern, name) for name in found)] == []


def _pattern(parameter: str) -> re.Pattern[str]:
    """A name of a table: `n` and `#` stand for a number, `*` for anything."""
    parts = re.split(r"(#|\*|(?<=[./])[nN](?=[./]|$))", parameter)
    return re.compile("".join(_PLACES.get(part.lower(), re.escape(part)) for part in parts))


_PLACES = {"n": "[0-9]+", "#": "[0-9]+", "*": ".+"}


def _is_kept(family: Family, name: str) -> bool:
    """A file of lines or sections leaves alone what it does not name; of attributes only those in flash outlive it."""
    flash = family.reading.flash
    return family.reading.format != "xml" or bool(flash and flash.regex.fullmatch(name))
