"""Fields of a site that are written like its settings (`--set networks=…`, `--set civic.A3=Madrid`) and are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ztp_server.domain.civic_address import FIELD as CIVIC_ADDRESS
from ztp_server.domain.civic_address import merged_address
from ztp_server.domain.proof import parse_proofs
from ztp_server.domain.site import Site, parse_ice_servers, parse_networks, parse_webrtc_url
from ztp_server.domain.text import switch
from ztp_server.errors import BadValue
from ztp_server.services.profile_fields import is_of_profile

CIVIC = "civic."
_LISTS = {"networks": parse_networks, "proofs": parse_proofs, "ice_servers": parse_ice_servers}
_FIELDS = frozenset({*_LISTS, "plain_secrets", "webrtc_url", CIVIC_ADDRESS})


def is_field(name: str) -> bool:
    return name in _FIELDS or name.startswith(CIVIC) or is_of_profile(name)


def changes_of(fields: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields and settings that were written apart, as one change. Raises BadValue for a field among the settings."""
    for name in settings:
        if is_field(name):
            raise BadValue(f"settings.{name}", "is no setting but a field of the site")
    return {**settings, **fields}


def changed_fields(site: Site, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that change, in canonical form. None empties one; which networks and proofs count has to be said.
    Raises BadValue naming the field."""
    fields: dict[str, Any] = {
        name: parse(_listed(name, changes[name])) for name, parse in _LISTS.items() if name in changes
    }
    if "plain_secrets" in changes:
        fields["plain_secrets"] = _switch(changes["plain_secrets"])
    if "webrtc_url" in changes:
        fields["webrtc_url"] = parse_webrtc_url(_text("webrtc_url", changes["webrtc_url"]))
    address = site.civic_address
    if CIVIC_ADDRESS in changes:
        address = merged_address(address, changes[CIVIC_ADDRESS])
    elements = {name.removeprefix(CIVIC): value for name, value in changes.items() if name.startswith(CIVIC)}
    return fields | {CIVIC_ADDRESS: merged_address(address, elements) if elements else address}


def _listed(name: str, value: Any) -> list[str]:
    if value is None and name == "ice_servers":
        return []
    if value is None:
        raise BadValue(name, "cannot be unset; write the list it shall be")
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)
    return [_text(f"{name}.{number}", part) for number, part in enumerate(parts, 1)]


def _text(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise BadValue(name, "must be text")
    return value or ""


def _switch(value: Any) -> bool:
    if value is None:
        raise BadValue("plain_secrets", "cannot be unset; write on or off")
    return value if isinstance(value, bool) else switch("plain_secrets", str(value))
