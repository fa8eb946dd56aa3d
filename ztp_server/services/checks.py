"""Checks of what an administrator writes, shared by the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import Phone
from ztp_server.domain.site import Site
from ztp_server.domain.support import check_values
from ztp_server.domain.text import check_text
from ztp_server.domain.vendor import Model
from ztp_server.errors import BadValue
from ztp_server.services.effective import check

# A change of settings: the new value, or None for "inherit it again".
Changes = Mapping[str, Any]


def known_model(catalog: Catalog, model_id: str) -> Model:
    """Raises BadValue naming the field `model`, with the nearest id."""
    model = catalog.models.get(model_id)
    if model is None:
        raise BadValue("model", f"unknown model {model_id[:64]!r}{catalog.nearest_model(model_id)}")
    return model


def changed_settings(catalog: Catalog, before: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The settings after a change, every new value in canonical form. Raises BadValue."""
    after = dict(before)
    for name, value in changes.items():
        if value is None:
            if name not in after:
                raise BadValue(f"settings.{name}", "is not set here")
            del after[name]
        else:
            after[name] = catalog.settings.parse(name, value)
    return after


def checked_name(name: str) -> str:
    if not name.strip():
        raise BadValue("name", "must not be empty")
    return check_text("name", name)


def checked_phone(catalog: Catalog, phone: Phone, site: Site, base: BaseSettings) -> Phone:
    """The phone in canonical form; raises BadValue naming the field of whatever its model cannot be given."""
    if phone.category != "managed":
        raise BadValue("category", f"{phone.category[:32]!r} phones cannot be recorded yet, only managed ones")
    hardware_id = HardwareId.parse(phone.hardware_id)
    if not hardware_id.is_mac:
        raise BadValue("hardware_id", "a managed phone has a MAC address")
    model = known_model(catalog, phone.model)
    _check_family(catalog, model, base)
    for number, line in enumerate(phone.lines, 1):
        line.checked(f"lines.{number}")
    for number, key in enumerate(phone.line_keys, 1):
        key.checked(f"line_keys.{number}", len(phone.lines))
    phone = replace(
        phone,
        name=checked_name(phone.name),
        hardware_id=hardware_id.value,
        settings=catalog.settings.parse_all(phone.settings),
    )
    check_values(catalog.family_of(model), model, phone.settings)
    check(catalog, phone, site, base)
    return phone


def _check_family(catalog: Catalog, model: Model, base: BaseSettings) -> None:
    wanted = catalog.models.get(base.model)
    if wanted is None or catalog.family_of(wanted) is not catalog.family_of(model):
        family = catalog.family_of(wanted).name if wanted else base.model
        raise BadValue(
            "base_settings", f"{base.id} is for {family}, {model.name} is of {catalog.family_of(model).name}"
        )
