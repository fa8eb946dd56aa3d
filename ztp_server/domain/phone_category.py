"""What each category of phone has, and what an address elsewhere looks like. A field of another category is refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType

from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import PHONE_CATEGORIES, Phone
from ztp_server.errors import BadValue

# Beside the name and the site, which all of them have.
CATEGORY_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "managed": frozenset(
            {"hardware_id", "model", "base_settings", "user", "lines", "line_keys", "settings", "logged_out"}
        ),
        "unmanaged": frozenset({"hardware_id", "user", "lines", "settings"}),
        "webrtc": frozenset({"user", "lines", "settings"}),
        "remote": frozenset({"user", "remote_address"}),
    }
)
# What a device that is configured elsewhere has to be told of its SIP server, in the order of a form.
CONNECTION_SETTINGS = (
    *("sip_server", "sip_server_secondary", "sip_transport", "sip_port", "outbound_proxy", "register_expires", "srtp"),
)
# A browser goes to the site's address; the server is the domain of its SIP address, and its voice is always encrypted.
_WEBRTC_SETTINGS = ("sip_server", "register_expires")
_SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"unmanaged": CONNECTION_SETTINGS, "webrtc": _WEBRTC_SETTINGS}
)

_E164 = re.compile(r"\+[1-9][0-9]{0,14}")
# RFC 3261, 25.1, without a password and without headers; the scheme counts in any case and is written small.
_SIP = re.compile(
    r"(?P<scheme>sips?):(?:(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})+@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?:;[A-Za-z0-9-]+(?:=[A-Za-z0-9.-]+)?)*",
    re.IGNORECASE,
)


def check_category(phone: Phone) -> Phone:
    """The phone with its hardware ID and remote address in their one spelling. Raises BadValue naming the field that
    its category has not, or that it lacks."""
    if phone.category not in PHONE_CATEGORIES:
        raise BadValue("category", f"{phone.category[:32]!r} is none of {', '.join(PHONE_CATEGORIES)}")
    for name in sorted(frozenset().union(*CATEGORY_FIELDS.values()) - CATEGORY_FIELDS[phone.category]):
        if getattr(phone, name):
            raise BadValue(name, f"is not a field of {_one(phone.category)}")
    if phone.category != "managed" and phone.proofs is not None:
        raise BadValue("proofs", f"is not a field of {_one(phone.category)}: it is given no files")
    check_setting_names(phone.category, phone.settings)
    if phone.category == "webrtc" and not phone.user:
        raise BadValue("user", "a webrtc phone belongs to a user")
    return phone


def check_setting_names(category: str, settings: Mapping[str, object]) -> None:
    """Refuse settings that the category does not have: who sets up such a device is told of its connection, no more."""
    allowed = _SETTINGS.get(category)
    for name in settings if allowed is not None else ():
        if name not in (allowed or ()):
            raise BadValue(
                f"settings.{name}", f"is not a setting of {_one(category)}; it has {', '.join(allowed or ())}"
            )


def parse_hardware_id(category: str, text: str) -> str:
    """The hardware ID as its category takes it: a managed phone has a MAC, an unmanaged one may have a MAC or a host
    name. Raises BadValue."""
    if category != "managed" and not text:
        return ""
    hardware_id = HardwareId.parse(text)
    if category == "managed" and not hardware_id.is_mac:
        raise BadValue("hardware_id", "a managed phone has a MAC address")
    return hardware_id.value


def parse_remote_address(text: str) -> str:
    """An E.164 number (`+34600000000`) or a SIP address (`sip:ana@example.net`). Raises BadValue."""
    text = text.strip()
    if _E164.fullmatch(text):
        return text
    found = _SIP.fullmatch(text) if len(text) <= 255 else None
    if found is None or not _is_host(found["host"]) or not 0 < int(found["port"] or 1) < 65_536:
        said = "an E.164 number (+ and up to 15 digits) or a sip: or sips: address without a password"
        raise BadValue("remote_address", f"must be {said}")
    scheme = found["scheme"]
    return scheme.lower() + text[len(scheme) :]


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        pass
    else:
        return text.startswith("[") == (":" in text)
    labels = text.removesuffix(".").split(".")
    good = all(re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", label) for label in labels)
    return good and len(text) <= 253 and not labels[-1].isdigit()


def _one(category: str) -> str:
    return f"an {category} phone" if category[0] in "aeiou" else f"a {category} phone"
