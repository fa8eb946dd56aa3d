"""Records as the audit keeps them: flat, by dotted field name, secrets as digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.logged_out import LoggedOut
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import SettingsTable
from ztp_server.domain.site import Site
from ztp_server.domain.user import User

Digest = Callable[[str], str]
_PHONE_FIELDS = ("name", "category", "hardware_id", "model", "site", "base_settings", "user", "remote_address")
_LINE_FIELDS = ("user", "auth_user", "display_name", "label")


def subject_of(phone: Phone) -> str:
    """What a record calls a phone: its hardware ID, or its own id where it has none."""
    return phone.hardware_id or phone.id


def phone_record(phone: Phone, table: SettingsTable, digest: Digest) -> dict[str, Any]:
    fields = {name: getattr(phone, name) for name in _PHONE_FIELDS if getattr(phone, name)}
    own_proofs = {} if phone.proofs is None else {"proofs": list(phone.proofs)}
    return {
        **fields,
        **own_proofs,
        **({"logged_out": True} if phone.logged_out else {}),
        **_lines(phone.lines, digest),
        **{f"line_keys.{number}": _key(key) for number, key in enumerate(phone.line_keys, 1)},
        **settings_record(phone.settings, table, digest),
    }


def site_record(site: Site, table: SettingsTable, digest: Digest) -> dict[str, Any]:
    return {
        "name": site.name,
        "networks": list(site.networks),
        "proofs": list(site.proofs),
        "plain_secrets": site.plain_secrets,
        **{f"civic_address.{name}": value for name, value in site.civic_address.items()},
        "webrtc_url": site.webrtc_url,
        "ice_servers": list(site.ice_servers),
        **settings_record(site.settings, table, digest),
        **{f"logged_out.{name}": value for name, value in _profile(site.logged_out, table, digest).items()},
    }


def base_settings_record(base: BaseSettings, table: SettingsTable, digest: Digest) -> dict[str, Any]:
    return {"name": base.name, "model": base.model, **settings_record(base.settings, table, digest)}


def user_record(user: User, digest: Digest) -> dict[str, Any]:
    return {"name": user.name, "extension": user.extension, **_lines(user.lines, digest)}


def settings_record(settings: Mapping[str, Any], table: SettingsTable, digest: Digest) -> dict[str, Any]:
    return {f"settings.{n}": digest(str(v)) if table.is_secret(n) else v for n, v in settings.items()}


def _profile(profile: LoggedOut, table: SettingsTable, digest: Digest) -> dict[str, Any]:
    line = {name.replace("lines.1", "line", 1): value for name, value in _lines(profile.lines, digest).items()}
    return {**settings_record(profile.settings, table, digest), **line}


def _lines(lines: Sequence[Line], digest: Digest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        found |= {f"lines.{number}.{name}": getattr(line, name) for name in _LINE_FIELDS if getattr(line, name)}
        if line.password:
            found[f"lines.{number}.password"] = digest(line.password)
        if line.shared:
            found[f"lines.{number}.shared"] = True
    return found


def _key(key: LineKey) -> str:
    return " ".join(str(part) for part in (key.type, key.line or "", key.value, key.label) if part)
