"""Addresses as registrars write them."""

from __future__ import annotations

import re

_TRANSPORT = re.compile(r";\s*transport\s*=\s*([A-Za-z]{1,8})", re.IGNORECASE)
# What anything of a registrar's is cut to.
LONGEST = 512


def split_address(aor: str) -> tuple[str, str]:
    """`user@domain` → both; the domain is empty where none stands."""
    user, at, domain = aor.rpartition("@")
    return (user, domain.lower()) if at else (aor, "")


def transport_of(uri: str) -> str:
    """What a contact says of its transport (RFC 3261, sections 19.1.1 and 26.2.2): UDP where it says nothing."""
    if uri.lower().startswith("sips:"):
        return "tls"
    found = _TRANSPORT.search(uri[:LONGEST])
    return found[1].lower() if found else "udp"
