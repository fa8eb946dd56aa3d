"""Checks of what an administrator writes, shared by the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.phone_category import check_category, parse_hardware_id, parse_remote_address
from ztp_server.domain.proof import parse_proofs
from ztp_server.domain.site import Site
from ztp_server.domain.support import check_values
from ztp_server.domain.text import check_text
from ztp_server.domain.vendor import Model
from ztp_server.errors import BadValue
from ztp_server.services.effective import GroupChecks

# A change of settings: the new value, or None for "inherit it again".
Changes = Mapping[str, Any]
# Of a device that has no model to say how many it takes.
MOST_LINES = 64


def known_model(catalog: Catalog, model_id: str) -> Model:
    """Raises BadValue naming the field `model`, with the nearest id."""
    model = catalog.models.get(model_id)
    if not model_id:
        raise BadValue("model", "is missing")
    if model is None:
        raise BadValue("model", f"unknown model {model_id[:64]!r}{catalog.nearest_model(model_id)}")
    return model


def changed_settings(
    catalog: Catalog, before: Mapping[str, Any], changes: Changes, *, unset_any: bool = False
) -> dict[str, Any]:
    """The settings after a change, every new value in canonical form. Raises BadValue, also for one to be unset that is
    not set, unless `unset_any`: a person has mistyped a name, a merge (RFC 7396) says how it is to be."""
    after = dict(before)
    for name, value in changes.items():
        if value is None:
            if name not in after and not unset_any:
                raise BadValue(f"settings.{name}", "is not set here")
            after.pop(name, None)
        else:
            after[name] = catalog.settings.parse(name, value)
    return after


def checked_name(name: str) -> str:
    if not name.strip():
        raise BadValue("name", "must not be empty")
    return check_text("name", name)


def checked_phone(
    catalog: Catalog, phone: Phone, site: Site, base: BaseSettings | None, groups: GroupChecks | None = None
) -> Phone:
    """The phone in canonical form; raises BadValue naming the field of whatever its category has not or its model
    cannot be given. `base` is None for a phone without base settings. `groups` knows what other phones were checked
    for."""
    check_category(phone)
    phone = replace(
        phone,
        name=checked_name(phone.name),
        hardware_id=parse_hardware_id(phone.category, phone.hardware_id),
        settings=catalog.settings.parse_all(phone.settings),
        proofs=None if phone.proofs is None else parse_proofs(list(phone.proofs)),
    )
    if phone.category == "remote":
        return replace(phone, remote_address=parse_remote_address(phone.remote_address))
    _check_lists(phone)
    if phone.category == "managed":
        _check_managed(catalog, phone, site, base, groups or GroupChecks(catalog))
    return phone


def _check_managed(catalog: Catalog, phone: Phone, site: Site, base: BaseSettings | None, groups: GroupChecks) -> None:
    model = known_model(catalog, phone.model)
    if base is None:
        raise BadValue("base_settings", "a managed phone has some")
    _check_family(catalog, model, base)
    check_values(catalog.family_of(model), model, phone.settings)
    groups.check(phone, site, base)


def _check_lists(phone: Phone) -> None:
    if len(phone.lines) > MOST_LINES:
        raise BadValue(f"lines.{MOST_LINES + 1}", f"{len(phone.lines)} lines, at most {MOST_LINES}")
    for number, line in enumerate(phone.lines, 1):
        line.checked(f"lines.{number}")
    for number, key in enumerate(phone.line_keys, 1):
        key.checked(f"line_keys.{number}", len(phone.lines))


def _check_family(catalog: Catalog, model: Model, base: BaseSettings) -> None:
    wanted = catalog.models.get(base.model)
    if wanted is None or catalog.family_of(wanted) is not catalog.family_of(model):
        family = catalog.family_of(wanted).name if wanted else base.model
        raise BadValue(
            "base_settings", f"{base.id} is for {family}, {model.name} is of {catalog.family_of(model).name}"
        )
