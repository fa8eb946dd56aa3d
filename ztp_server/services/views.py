"""Records as doors show them: plain data, secrets left out or as `***`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.firmware import Offer
from ztp_server.domain.notify import Notify
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import SettingsTable
from ztp_server.domain.site import Site
from ztp_server.domain.vendor import Model

_LINE_FIELDS = ("user", "auth_user", "display_name", "label")


def phone_view(phone: Phone, table: SettingsTable, *, standalone: bool) -> dict[str, Any]:
    """A phone without its passwords. What its category has not is null or empty; `standalone` is what holds for it,
    inherited or its own."""
    return {
        "id": phone.id,
        "name": phone.name,
        "category": phone.category,
        "hardware_id": phone.hardware_id or None,
        "model": phone.model or None,
        "site": phone.site,
        "base_settings": phone.base_settings or None,
        "user": phone.user or None,
        "logged_out": phone.has_nobody,
        "standalone": standalone,
        "remote_address": phone.remote_address or None,
        "proofs": None if phone.proofs is None else list(phone.proofs),
        "settings": table.redacted(phone.settings),
        "lines": [_line_view(line) for line in phone.lines],
        "line_keys": [{k: v for k, v in asdict(key).items() if v} for key in phone.line_keys],
        "revision": phone.revision,
    }


def _line_view(line: Line) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(line, name) for name in _LINE_FIELDS}
    return {**shown, "shared": True} if line.shared else shown


def firmware_view(running: str, offer: Offer) -> dict[str, str]:
    """What a phone runs, is to run, and is offered now; `offered` is empty when it keeps what it runs."""
    return {"running": running, "wanted": offer.wanted, "offered": offer.version, "reason": offer.reason}


def site_view(site: Site, table: SettingsTable) -> dict[str, Any]:
    line = site.logged_out.line
    profile = {
        "settings": table.redacted(site.logged_out.settings),
        "line": _line_view(line) if line else None,
    }
    return {**asdict(site), "settings": table.redacted(site.settings), "logged_out": profile}


def base_settings_view(base: BaseSettings, table: SettingsTable) -> dict[str, Any]:
    return {**asdict(base), "settings": table.redacted(base.settings)}


def model_view(model: Model, catalog: Catalog) -> dict[str, Any]:
    family = catalog.family_of(model)
    return {
        "id": model.id,
        "name": model.name,
        "vendor": catalog.vendor_of(model).name,
        "family": family.name,
        "part": model.part,
        "lines": model.lines,
        "line_keys": model.line_keys,
        "speed_dial_keys": model.speed_dial_keys,
        "expansion_modules": model.expansion_modules,
        "expansion_keys": model.expansion_keys,
        "line_key_types": list(family.line_key_types),
        "last_firmware": model.last_firmware,
        "tls_version": model.tls_version,
        "unproven": list(model.unproven),
        "codecs": list(model.codecs),
        "factory_certificate": catalog.has_factory_certificate(model),
        "held": family.support("held_enabled").state == "parameter",
        "notify": _notify_view(family.notify),
    }


def _notify_view(notify: Notify) -> dict[str, Any]:
    fields = ("way", "name", "firmware", "idle", "does", "cost")
    ways = [{**{name: getattr(way, name) for name in fields}, "needs": dict(way.needs)} for way in notify.restart]
    told = {"resync": notify.resync, "does": notify.does, "idle": notify.idle}
    return {**told, "restart": ways, "no_restart": notify.no_restart}
