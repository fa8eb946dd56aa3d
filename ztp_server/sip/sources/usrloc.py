"""What Kamailio says of its location tables (usrloc, `ul.dump` and `ul.lookup`, as version 5.6 writes them)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ztp_server.sip.sources.source import MOST_TOLD, Lost, Place
from ztp_server.sip.sources.uris import LONGEST, transport_of

_MOST_PLACES = 32
_NOTHING = "[not set]"


def tables_in(dump: Any) -> dict[str, str]:
    """A brief dump → each address of record with the table it is in. Raises Lost when it is none, or too much."""
    found: dict[str, str] = {}
    for each in _list(dump, "Domains"):
        table = _part(each, "Domain")
        name = table.get("Domain")
        for entry in _list(table, "AoRs"):
            aor = entry.get("AoR") if isinstance(entry, dict) else None
            if isinstance(aor, str) and isinstance(name, str) and aor:
                found[aor[:LONGEST]] = name
        if len(found) > MOST_TOLD:
            raise Lost(f"more than {MOST_TOLD} addresses of record")
    return found


def places_in(record: Any, now: datetime) -> tuple[Place, ...]:
    """The contacts of one address of record that are not over."""
    contacts = [_part(each, "Contact") for each in _list(record, "Contacts")[:_MOST_PLACES]]
    return tuple(_place(contact, now) for contact in contacts if _lasts(contact))


def _lasts(contact: dict[str, Any]) -> bool:
    """`Expires` is in seconds, or `permanent`, `expired`, `deleted`."""
    expires = contact.get("Expires")
    return expires == "permanent" or (isinstance(expires, int) and expires > 0)


def _place(contact: dict[str, Any], now: datetime) -> Place:
    expires = contact["Expires"]
    uri, arrived_at = _text(contact, "Address"), _text(contact, "Socket").partition(":")[0].lower()
    said = transport_of(uri)
    return Place(
        uri=uri,
        # WebSocket arrives on a socket for TCP or TLS.
        transport=said if said in ("ws", "wss") else (arrived_at or said),
        user_agent=_text(contact, "User-Agent"),
        expires_at=now + timedelta(seconds=min(expires, 1 << 30)) if isinstance(expires, int) else None,
        received=_text(contact, "Received"),
    )


def _text(contact: dict[str, Any], name: str) -> str:
    value = contact.get(name)
    return value[:LONGEST] if isinstance(value, str) and value != _NOTHING else ""


def _part(found: Any, name: str) -> dict[str, Any]:
    part = found.get(name) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}


def _list(found: Any, name: str) -> list[Any]:
    part = found.get(name) if isinstance(found, dict) else None
    if part is None and isinstance(found, dict):
        return []
    if not isinstance(part, list):
        raise Lost(f"an answer without {name}")
    return part
