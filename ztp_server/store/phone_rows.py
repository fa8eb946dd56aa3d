"""Phones as rows, and back: passwords sealed, what a category has not as NULL or empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.store import places
from ztp_server.store.vault import Vault

# A thousand phones in a transaction: `asdict` copies each value, and takes ten times as long.
_LINE_COLUMNS = tuple(field.name for field in fields(Line))
_KEY_FIELDS = tuple(field.name for field in fields(LineKey))


class PhoneRows:
    """Makes rows of phones with the key that seals their secrets."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def row(self, phone: Phone) -> dict[str, Any]:
        return {
            "id": phone.id,
            "hardware_id": phone.hardware_id or None,
            "name": phone.name,
            "name_key": name_key(phone.name),
            "category": phone.category,
            "model": phone.model,
            "site_id": phone.site,
            "base_settings_id": phone.base_settings or None,
            "user_id": phone.user or None,
            "remote_address": phone.remote_address,
            "line_keys": [{name: getattr(key, name) for name in _KEY_FIELDS} for key in phone.line_keys],
            "settings": self._vault.seal_settings(phone.settings, places.phone(phone.id)),
            "proofs": None if phone.proofs is None else list(phone.proofs),
            "logged_out": phone.logged_out,
            "revision": phone.revision,
        }

    def line_rows(self, phone: Phone) -> list[dict[str, Any]]:
        return [
            {name: getattr(line, name) for name in _LINE_COLUMNS}
            | {"phone_id": phone.id, "position": position}
            | {"password": self._vault.seal(line.password, places.line(phone.id, position))}
            for position, line in enumerate(phone.lines, 1)
        ]

    def phone(self, row: Any, own_lines: tuple[Line, ...]) -> Phone:
        return Phone(
            id=row["id"],
            name=row["name"],
            hardware_id=row["hardware_id"] or "",
            category=row["category"],
            model=row["model"],
            site=row["site_id"],
            base_settings=row["base_settings_id"] or "",
            user=row["user_id"] or "",
            remote_address=row["remote_address"],
            lines=own_lines,
            line_keys=tuple(LineKey(**key) for key in row["line_keys"]),
            settings=self._vault.open_settings(row["settings"], places.phone(row["id"])),
            proofs=None if row["proofs"] is None else tuple(row["proofs"]),
            logged_out=row["logged_out"],
            revision=row["revision"],
        )

    def line(self, row: Any, prefix: str = "") -> Line:
        """A line of a row whose columns may have names of their own (`l_user`)."""
        place = places.line(row[f"{prefix}phone_id"], row[f"{prefix}position"])
        return Line(
            user=row[f"{prefix}user"],
            auth_user=row[f"{prefix}auth_user"],
            password=self._vault.read(row[f"{prefix}password"], place),
            display_name=row[f"{prefix}display_name"],
            label=row[f"{prefix}label"],
            shared=row[f"{prefix}shared"],
        )

    def seal_whole(self, phone: Phone) -> str:
        """All of a phone as one sealed text."""
        return self._vault.seal(json.dumps(asdict(phone)), places.removed_phone(phone.id))

    def open_whole(self, phone_id: str, sealed: str) -> Phone:
        """Raises Damaged when it does not open."""
        fields: Mapping[str, Any] = json.loads(self._vault.open(sealed, places.removed_phone(phone_id)))
        own_lines = tuple(Line(**line) for line in fields["lines"])
        keys = tuple(LineKey(**key) for key in fields["line_keys"])
        proofs = None if fields.get("proofs") is None else tuple(fields["proofs"])
        return Phone(**{**fields, "lines": own_lines, "line_keys": keys, "proofs": proofs})


def name_key(name: str) -> str:
    """A name as it is searched and sorted."""
    return name.casefold()[:255]
