"""Where a place is, in the elements of a civic address that emergency services read (RFC 5139)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

FIELD = "civic_address"

# Element names of RFC 5139 (sections 3.1 to 3.4), those of RFC 4119 among them, and what each is.
ELEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "country": "country, two letters (ISO 3166)",
        "A1": "state, region or province",
        "A2": "county or parish",
        "A3": "city or township",
        "A4": "borough or district",
        "A5": "neighbourhood or block",
        "A6": "group of streets",
        "PRM": "road pre-modifier",
        "PRD": "leading street direction",
        "RD": "road or street",
        "STS": "street suffix",
        "POD": "trailing street direction",
        "POM": "road post-modifier",
        "RDSEC": "road section",
        "RDBR": "road branch",
        "RDSUBBR": "road sub-branch",
        "HNO": "house number",
        "HNS": "house number suffix",
        "LMK": "landmark",
        "LOC": "more about the place",
        "FLR": "floor",
        "NAM": "name of the resident, business or building",
        "PC": "postal code",
        "BLD": "building",
        "UNIT": "apartment, suite",
        "ROOM": "room",
        "SEAT": "seat, desk",
        "PLC": "kind of place (RFC 4589)",
        "PCN": "postal community name",
        "POBOX": "post office box",
        "ADDCODE": "additional code",
    }
)
_COUNTRY = re.compile("[A-Z]{2}")


def merged_address(before: Mapping[str, str], changes: Mapping[str, Any] | None) -> dict[str, str]:
    """An address after a change: a new text, or None for an element that goes; None alone for none at all. It is empty
    or has a country. Raises BadValue naming `civic_address.<element>`."""
    if changes is None:
        return {}
    if not isinstance(changes, Mapping):
        raise BadValue(FIELD, f"must be elements with their texts, such as {FIELD}.A3")
    after = dict(before)
    for name, value in changes.items():
        _check_name(name)
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _checked(name, value)
    if after and "country" not in after:
        raise BadValue(f"{FIELD}.country", "is needed in a civic address")
    return {name: after[name] for name in ELEMENTS if name in after}


def _check_name(name: str) -> None:
    if name in ELEMENTS:
        return
    spelled = next((known for known in ELEMENTS if known.lower() == name.lower()), None)
    near = [spelled] if spelled else difflib.get_close_matches(name, ELEMENTS, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(ELEMENTS)}"
    raise BadValue(f"{FIELD}.{name[:32]}", f"is no element of a civic address{hint}")


def _checked(name: str, value: Any) -> str:
    field = f"{FIELD}.{name}"
    if not isinstance(value, str):
        raise BadValue(field, "must be text")
    text = check_text(field, value.strip())
    if not text:
        raise BadValue(field, "must not be empty; unset it instead")
    if name != "country":
        return text
    if not _COUNTRY.fullmatch(text.upper()):
        raise BadValue(field, "must be two letters, such as ES")
    return text.upper()
