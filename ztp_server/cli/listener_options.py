"""The listeners of `ztp serve` that are off unless asked for: of old phones, and behind a proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import click

from ztp_server.config import OFF, Address, ExpiredListener, LegacyListener, ProxiedListener, parse_cidrs
from ztp_server.domain.login_place import LoginPlace
from ztp_server.errors import BadValue, Misconfigured

_Command = Callable[..., Any]


def _option(option: str, metavar: str, what: str, default: str = "") -> Callable[[_Command], _Command]:
    name = option.removeprefix("--").replace("-", "_").upper()
    return click.option(
        option, default=default, envvar=f"ZTP_{name}", show_default=bool(default), metavar=metavar, help=what
    )


_LISTENER = "HOST:PORT|off"
_OPTIONS = (
    _option("--phone-legacy", _LISTENER, "Phones, HTTPS with TLS 1.0 to 1.2 and old ciphers.", OFF),
    _option("--legacy-networks", "CIDRS", "Where the old phones are; others are hung up on."),
    _option("--legacy-until", "YYYY-MM-DD", "The last day of --phone-legacy."),
    _option("--phone-expired", _LISTENER, "Phones, HTTPS with a factory certificate whose time is over.", OFF),
    _option("--expired-networks", "CIDRS", "Where these phones are; others are hung up on."),
    _option("--phone-proxied", _LISTENER, "Plain HTTP from --trusted-proxies that speak TLS with the phones.", OFF),
    _option("--proxy-certificates", "HEADER", "Header in which the proxy hands on a phone's certificate."),
    _option("--proxy-probe", "URL", "The proxy's own https:// URL, tried with a forged header at start."),
    _option(
        "--proxy-protocol",
        "LISTENERS",
        "Where --trusted-proxies say by the PROXY protocol whose connection it is: some of http,https,mtls,legacy,expired.",
    ),
    _option(
        "--digest",
        "LISTENERS",
        "Where phones may log in with HTTP Digest: some of http,https,legacy,proxied, or below a path, as https:/d/.",
    ),
    _option("--basic", "LISTENERS", "Where they may send that password as it is: some of https,proxied, or https:/d/."),
)


def listener_options(command: _Command) -> _Command:
    """The options; what they say is for `read_listeners`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_listeners(
    phone_legacy: str, legacy_networks: str, legacy_until: str, phone_expired: str, expired_networks: str,
    phone_proxied: str, proxy_certificates: str, proxy_probe: str, proxy_protocol: str, digest: str, basic: str,
) -> dict[str, Any]:  # fmt: skip
    """Fields of ServeOptions. Raises Misconfigured naming the option."""
    legacy = Address.parse("--phone-legacy", phone_legacy)
    expired = Address.parse("--phone-expired", phone_expired)
    proxied = Address.parse("--phone-proxied", phone_proxied)
    if proxied is None and (proxy_certificates or proxy_probe):
        raise Misconfigured("--proxy-certificates: certificates of a proxy are taken on --phone-proxied alone")
    networks = parse_cidrs("--legacy-networks", legacy_networks)
    until = _date("--legacy-until", legacy_until) if legacy_until else None
    if legacy and until is None:
        raise Misconfigured("--phone-legacy: --legacy-until must say which day is its last")
    return {
        "legacy": LegacyListener(legacy, networks, until) if legacy and until else None,
        "expired": expired and ExpiredListener(expired, parse_cidrs("--expired-networks", expired_networks)),
        "proxied": proxied and ProxiedListener(proxied, proxy_certificates, proxy_probe),
        "proxy_protocol": _some_of("--proxy-protocol", proxy_protocol, ("http", "https", "mtls", "legacy", "expired")),
        "digest": _listeners("--digest", digest, ("http", "https", "legacy", "proxied")),
        "basic": _listeners("--basic", basic, ("https", "proxied")),
    }


def _some_of(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    if unknown := next((name for name in named if name not in known), ""):
        raise Misconfigured(f"{option}: {unknown!r} is none of {', '.join(known)}")
    return named


def _listeners(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Places where phones may log in."""
    places = []
    for name in filter(None, map(str.strip, text.split(","))):
        try:
            place = LoginPlace.parse(name)
        except BadValue as error:
            raise Misconfigured(f"{option}: {error.reason}") from None
        if place.listener not in known:
            raise Misconfigured(f"{option}: {place.listener!r} is none of {', '.join(known)}")
        places.append(str(place))
    return tuple(dict.fromkeys(places))


def _date(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{option}: {text!r} is not a date such as 2027-06-30") from None
