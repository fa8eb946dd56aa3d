"""What a phone template sees: plain values, and nothing with methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ztp_server.domain.clock import ClockRule
from ztp_server.domain.firmware import Offer
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import DigestCredential
from ztp_server.domain.settings import CUSTOM
from ztp_server.domain.support import keys_of
from ztp_server.domain.vendor import Model, Vendor


@dataclass(frozen=True)
class Server:
    """This server as phones know it. `urls` are the steady addresses by listener (`mtls`, `https`, `http`), each
    with its trailing slash; `ca` is the PEM of the CA that signed the server's certificate; `ntp` is the time server
    a phone is told of before anything else is known about it (a phone in 1970 trusts no certificate)."""

    urls: Mapping[str, str]
    ca: str
    ntp: str = ""


def template_context(
    *,
    phone: Phone,
    vendor: Vendor,
    model: Model,
    settings: Mapping[str, Any],
    clock: ClockRule,
    server: Server,
    steady_url: str,
    offer: Offer,
    login: DigestCredential | None = None,
) -> dict[str, Any]:
    """The names of a template for one phone. `settings` are resolved values, `custom.*` among them; `login` is what it
    is to log in with at its steady address."""
    family = vendor.family[model.family]
    return {
        "settings": {name: value for name, value in settings.items() if not name.startswith(CUSTOM)},
        "phone": {"name": phone.name, "mac": phone.hardware_id},
        "lines": [_line(number, line, phone.line_keys) for number, line in enumerate(phone.lines, 1)],
        "unused_lines": [_numbered(number) for number in range(len(phone.lines) + 1, model.lines + 1)],
        "line_keys": _line_keys(keys_of(family, phone)),
        "contacts": [_contact(text) for text in settings["contacts"]],
        "site": {"id": phone.site},
        "model": _model(model),
        **bootstrap_context(vendor, server, steady_url, login),
        "map": {**vendor.maps, **family.maps},
        "renders": {name: name in family.rendered for name in settings},
        "custom": {name.removeprefix(CUSTOM): value for name, value in settings.items() if name.startswith(CUSTOM)},
        "clock": clock.as_dict(),
        "firmware": {"version": offer.version, "update": offer.update},
    }


def bootstrap_context(
    vendor: Vendor, server: Server, steady_url: str, login: DigestCredential | None = None
) -> dict[str, Any]:
    """All that a bootstrap file may know: the same for every phone of a family, and nothing secret. `login` is for the
    files of one phone."""
    address = urlsplit(steady_url)
    return {
        "map": vendor.maps,
        "custom": {},
        "server": {
            "url": steady_url,
            "http_url": server.urls.get("http", ""),
            "ca": server.ca,
            "ntp": server.ntp,
            "scheme": address.scheme,
            "host": address.hostname or "",
            "user": login.user if login else "",
            "password": login.password if login else "",
        },
    }


def _model(model: Model) -> dict[str, Any]:
    facts = ("id", "part", "lines", "line_keys", "speed_dial_keys", "expansion_modules", "expansion_keys")
    return {"name": model.user_agent, **{fact: getattr(model, fact) for fact in facts}}


def _contact(text: str) -> dict[str, str]:
    name, _, number = text.rpartition("=")
    return {"name": name, "number": number}


def _numbered(number: int) -> dict[str, int]:
    """Makers count lines from 1 (`number`) or from 0 (`index`)."""
    return {"number": number, "index": number - 1}


def _line(number: int, line: Line, keys: Sequence[LineKey]) -> dict[str, Any]:
    own = sum(1 for key in keys if key.type == "line" and key.line == number)
    return {
        **_numbered(number),
        "user": line.user,
        "auth_user": line.auth_user or line.user,
        "password": line.password,
        "display_name": line.display_name or line.user,
        "label": line.label or line.user,
        "shared": line.shared,
        "keys": own or 1,
    }


def _line_keys(keys: Sequence[LineKey]) -> list[dict[str, Any]]:
    """The keys in order, each with its place, its number among the keys of its type (`nth`), and its place in its row
    where line keys have a row and all others have one (`row_index`)."""
    counted: dict[str, int] = {}
    in_row: dict[bool, int] = {}
    rows = []
    for number, key in enumerate(keys, 1):
        counted[key.type] = nth = counted.get(key.type, 0) + 1
        in_row[key.type == "line"] = place = in_row.get(key.type == "line", 0) + 1
        rows.append({**_numbered(number), "type": key.type, "value": key.value, "label": key.label or key.value,
                     "line": key.line, "nth": nth, "nth_index": nth - 1, "row_index": place - 1})  # fmt: skip
    return rows
