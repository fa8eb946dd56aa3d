"""The one table of settings. Validation, explain, JSON Schema, documentation and redaction all come from it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from ztp_server.domain.clock import parse_offset, parse_transition
from ztp_server.domain.firmware import NO_VERSION, VERSION
from ztp_server.domain.settings import Setting, SettingsTable
from ztp_server.domain.site import is_address
from ztp_server.domain.text import forbidden_character

_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_CODEC = re.compile(r"audio/[A-Za-z0-9.-]{1,32}")
_DIALLED = re.compile(r"[0-9*#+]{1,32}")
_PEM = re.compile(r"\s*(?:-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\s*)*")


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _plain(text: str) -> str:
    character = forbidden_character(text)
    if character:
        raise ValueError(f"text without the character {character}")
    return text


def _host(text: str) -> str:
    if not text or is_address(text.strip("[]")):
        return text.strip("[]").lower()
    if len(text) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in text.rstrip(".").split(".")):
        raise ValueError("a host name or an IP address")
    return text.rstrip(".").lower()


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not text or not colon or text.endswith("]") or is_address(text):
        return _host(text)
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("a host, or host:port with a port from 1 to 65535")
    name = _host(host)
    return f"[{name}]:{int(port)}" if ":" in name else f"{name}:{int(port)}"


def _url(text: str) -> str:
    if not text:
        return text
    if not re.fullmatch(r"https?://[\x21\x23-\x3b\x3d\x3f-\x7e]+", text) or not _has_host(text):
        raise ValueError("an http:// or https:// URL without spaces, quotes or angle brackets")
    return text


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large a one
        return False


def _provisioning_url(text: str) -> str:
    # Phones take no %xx and no credentials they could not spell; a trailing slash that comes and goes reboots them.
    if "%" in text or "?" in text or "@" in text:
        raise ValueError("a URL without user, query or %-escapes")
    if not text:
        return text
    with_slash = _url(text).rstrip("/") + "/"
    if len(with_slash) > 255:
        raise ValueError("a URL of at most 255 characters, its slash at the end counted")
    return with_slash


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("a list that names each only once")
    return values


def _codec(name: str) -> str:
    if not _CODEC.fullmatch(name):
        raise ValueError("a codec as a MIME name, such as audio/G722")
    return name


def _dialled(text: str) -> str:
    if not _DIALLED.fullmatch(text):
        raise ValueError("digits, * # or +, at most 32")
    return text


def _digits(text: str) -> str:
    return _dialled(text) if text else text


def _contact(text: str) -> str:
    name, equals, number = _plain(text).rpartition("=")
    if not equals or not name.strip() or not number.strip() or len(name) > 64 or len(number) > 128:
        raise ValueError("a contact as Name=number, a name of at most 64 and a number of at most 128 characters")
    return f"{name.strip()}={number.strip()}"


def _pem(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if text and not _PEM.fullmatch(text + "\n"):
        raise ValueError("certificates in PEM form, and nothing else")
    return text


def _offset(text: str) -> str:
    if text:
        parse_offset(text)
    return text


def _transition(text: str) -> str:
    if text:
        parse_transition(text)
    return text


def _version(text: str) -> str:
    if text.lower() == NO_VERSION:
        raise ValueError("a version, or empty; to keep what phones run, set firmware_update=off")
    if text and not VERSION.fullmatch(text):
        raise ValueError("a version: letters, digits, single dots, - and _")
    return text


def _window(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("a daily window such as 01:00-05:00")
    return text


def _text(maximum: int) -> Any:
    return Annotated[str, Field(max_length=maximum), AfterValidator(_plain)]


def _list_of(item: Any, most: int, least: int = 0) -> Any:
    bounds = Field(min_length=least, max_length=most)
    return Annotated[list[item], BeforeValidator(_split_commas), AfterValidator(_unique), bounds]


Seconds = Annotated[int, Field(ge=0, le=604_800)]
Dscp = Annotated[int, Field(ge=0, le=63)]
Host = Annotated[str, AfterValidator(_host)]
HostPort = Annotated[str, AfterValidator(_host_port)]
Url = Annotated[str, Field(max_length=255), AfterValidator(_url)]
ProvisioningUrl = Annotated[str, Field(max_length=255), AfterValidator(_provisioning_url)]
Codec = Annotated[str, AfterValidator(_codec)]
Dialled = Annotated[str, AfterValidator(_dialled)]
PayloadType = Annotated[int, Field(ge=96, le=127)]
Contact = Annotated[str, AfterValidator(_contact)]
Pem = Annotated[str, Field(max_length=16_384), AfterValidator(_pem)]

_ROWS = [
    Setting("dynamic_reload", "general", bool, True, "Tell the phone at once when its configuration has changed"),
    Setting("persist_user_settings", "general", bool, True, "Keep what a user changed on the phone or its web page"),
    Setting("standalone", "general", bool, False, "A phone of a place, not of a person: lobby, lift, conference room"),
    Setting("language", "general", _text(40), "", "Language of the phone's menus as the maker spells it; empty: the phone's own"),
    Setting("time_format", "general", Literal["12h", "24h"], "24h", "Clock on the display"),
    Setting("date_format", "general", _text(40), "", "Date on the display as the maker spells it; empty: the phone's own"),
    Setting("rtp_dscp", "media", Dscp, 46, "DSCP of voice packets (RFC 4594: 46, expedited forwarding)"),
    Setting("sip_dscp", "media", Dscp, 24, "DSCP of SIP packets (RFC 4594: 24 or 40)"),
    Setting("rtp_port_start", "media", Annotated[int, Field(ge=1024, le=65_534, multiple_of=2)], 4000, "First RTP port, even"),
    Setting("rtp_port_count", "media", Annotated[int, Field(ge=2, le=2048, multiple_of=2)], 48, "How many ports, RTP and RTCP together"),
    Setting("codecs", "codecs", _list_of(Codec, 16, least=1), ["audio/G722", "audio/PCMU", "audio/PCMA"], "Audio codecs in order of preference"),
    Setting("opus_payload_type", "codecs", PayloadType, 111, "RTP payload type of Opus (RFC 7587)"),
    Setting("dtmf_method", "dtmf", Literal["rtp_events", "in_band", "sip_info"], "rtp_events", "How digits travel in a call (RFC 4733, tones, RFC 6086)"),
    Setting("dtmf_payload_type", "dtmf", PayloadType, 101, "RTP payload type of telephone events"),
    Setting("dtmf_payload_type_opus", "dtmf", PayloadType, 126, "RTP payload type of telephone events beside Opus, at 48 kHz"),
    Setting("tls_ca", "security", Pem, "", "CA certificates (PEM) the phone trusts for SIP, besides those it was made with"),
    Setting("mutual_auth", "security", bool, True, "Offer the phone's factory certificate to the SIP server"),
    Setting("srtp", "security", Literal["off", "optional", "required"], "optional", "Encryption of voice"),
    Setting("tls_verify", "security", bool, True, "The phone verifies the certificates of servers"),
    Setting("tls_minimum", "security", Literal["1.0", "1.1", "1.2", "1.3"], "1.2", "Oldest TLS version the phone speaks"),
    Setting("sip_server", "line", Host, "", "Primary SIP server"),
    Setting("sip_server_secondary", "line", Host, "", "Secondary SIP server; empty: none"),
    Setting("sip_transport", "line", Literal["tls", "tcp", "udp", "dns"], "tls", "SIP transport; dns: by NAPTR and SRV (RFC 3263)"),
    Setting("sip_port", "line", Annotated[int, Field(ge=0, le=65_535)], 0, "SIP port; 0: by transport"),
    Setting("register_expires", "line", Annotated[int, Field(ge=60, le=86_400)], 3600, "Seconds a registration lasts"),
    Setting("calls_per_line", "line", Annotated[int, Field(ge=1, le=24)], 2, "Calls one line holds at a time"),
    Setting("redundancy", "line", Literal["failover", "simultaneous"], "failover", "Use of the secondary server: when the first fails, or registered with both"),
    Setting("failback_mode", "line", Literal["duration", "new_requests", "dns_ttl", "registration"], "duration", "When a phone returns to the primary server"),
    Setting("failback_timeout", "line", Annotated[int, Field(ge=60, le=65_535)], 3600, "Seconds before the return, for the mode duration"),
    Setting("outbound_proxy", "line", HostPort, "", "Outbound proxy, host or host:port; empty: none"),
    Setting("mwi_enabled", "line", bool, True, "Show waiting messages"),
    Setting("mwi_address", "line", _text(255), "", "Voice mail address that the messages key dials; empty: none"),
    Setting("pickup_code", "line", Annotated[str, AfterValidator(_digits)], "", "Code dialled before a watched number to pick up its call; empty: the phone's own way"),
    Setting("blf_list_uri", "line", _text(255), "", "SIP address of a list of watched numbers kept by the SIP server (RFC 4662); empty: none"),
    Setting("expansion_modules", "line", Annotated[int, Field(ge=0, le=4)], 0, "Key modules attached to the phone; their keys follow its own"),
    Setting("contacts", "line", _list_of(Contact, 1000), [], "Directory of the phone, each as Name=number"),
    Setting("persistent_connection", "line", bool, False, "Keep the connection of a softphone open between calls"),
    Setting("persistent_connection_timeout", "line", Seconds, 600, "Seconds an idle connection of a softphone is kept"),
    Setting("firmware_version", "provisioning", Annotated[str, AfterValidator(_version)], "", "Firmware the phone is to run; empty: the model's default"),
    Setting("firmware_update", "provisioning", Literal["off", "at_boot", "window"], "at_boot", "When a phone takes another firmware"),
    Setting("firmware_downgrade", "provisioning", bool, False, "A phone may be given an older firmware than it runs"),
    Setting("poll_enabled", "provisioning", bool, True, "The phone asks for its configuration every so often"),
    Setting("poll_period", "provisioning", Annotated[int, Field(ge=3600, le=604_800)], 86_400, "Seconds between polls"),
    Setting("poll_window", "provisioning", Annotated[str, AfterValidator(_window)], "01:00-05:00", "Time of day of a daily poll; phones spread over it"),
    Setting("check_sync_reboots", "provisioning", bool, False, "A check-sync always reboots the phone, even when nothing changed"),
    Setting("provisioning_url", "provisioning", ProvisioningUrl, "", "Steady address of this server for the phone; empty: the listener for its kind"),
    Setting("held_enabled", "e911", bool, False, "Ask a location server where the phone is (HELD, RFC 5985)"),
    Setting("held_server_url", "e911", Url, "", "Location information server"),
    Setting("held_secondary_url", "e911", Url, "", "Second location information server"),
    Setting("held_account_id", "e911", _text(128), "", "Account at the emergency routing service"),
    Setting("held_token", "e911", _text(255), "", "Password or token at the location server", secret=True),
    Setting("emergency_numbers", "e911", _list_of(Dialled, 8), ["911"], "Numbers the phone itself treats as emergency calls"),
    Setting("emergency_server", "e911", HostPort, "", "Where emergency calls go, host or host:port; empty: as all calls"),
    Setting("location_source", "e911", Literal["lldp", "lis"], "lldp", "Who tells the phone where it is: the switch (LLDP-MED) or the location server"),
    Setting("timezone_discovery", "time", bool, False, "Take the time offset from DHCP (option 2) instead"),
    Setting("sntp_servers", "time", _list_of(Host, 2), [], "Time servers"),
    Setting("time_zone", "time", _text(64), "Etc/UTC", "IANA time zone; offset and daylight saving follow from it"),
    Setting("gmt_offset", "time", Annotated[str, AfterValidator(_offset)], "", "Offset of standard time by hand, as +01:00; empty: from time_zone"),
    Setting("dst_start", "time", Annotated[str, AfterValidator(_transition)], "", "With gmt_offset: start of summer time as M3.5.0/02:00 (month, week, day, time)"),
    Setting("dst_stop", "time", Annotated[str, AfterValidator(_transition)], "", "With gmt_offset: end of summer time as M10.5.0/03:00"),
    Setting("admin_password", "access", _text(64), "", "Password of the phone's administrator; empty: not touched", secret=True),
    Setting("user_password", "access", _text(64), "", "Password of the phone's user; empty: not touched", secret=True),
    Setting("web_ui_enabled", "access", bool, True, "The phone's own web page"),
    Setting("rest_api_enabled", "access", bool, False, "The phone's own REST interface, by which it can be restarted"),
    Setting("vlan_id", "network", Annotated[int, Field(ge=0, le=4094)], 0, "VLAN by hand; 0: none"),
    Setting("lldp_enabled", "network", bool, True, "Learn the VLAN by LLDP-MED"),
    Setting("cdp_enabled", "network", bool, True, "Learn the VLAN by CDP"),
    Setting("syslog_server", "network", HostPort, "", "Where the phone sends its log; empty: nowhere"),
    Setting("syslog_level", "network", Literal["error", "warning", "notice", "info", "debug"], "warning", "Least severity sent"),
    Setting("digit_map", "dialling", _text(2048), "", "Dial plan as the maker writes it; empty: the phone's own"),
    Setting("interdigit_timeout", "dialling", Annotated[int, Field(ge=1, le=60)], 3, "Seconds after which a number counts as complete"),
]  # fmt: skip

PRODUCT_SETTINGS = SettingsTable.of(_ROWS)
