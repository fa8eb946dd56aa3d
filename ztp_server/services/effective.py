"""The values a phone gets: the layers in order, resolved, checked against its family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.clock import ClockRule, parse_offset, parse_transition
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import Layer, Value, resolve
from ztp_server.domain.site import Site
from ztp_server.domain.support import (
    check_clock,
    check_effective,
    check_phone,
    check_ports,
    check_room_for_keys,
    check_texts,
    keys_of,
)
from ztp_server.domain.vendor import Family, Model
from ztp_server.errors import BadValue
from ztp_server.time_zones import clock_rule


@dataclass(frozen=True)
class Effective:
    """What holds for one phone: every setting with its source, and the rule of its clock."""

    values: Mapping[str, Value]
    clock: ClockRule

    @cached_property
    def plain(self) -> dict[str, Any]:
        return {name: value.value for name, value in self.values.items()}


def catalog_layers(catalog: Catalog, model: Model) -> list[Layer]:
    """The layers below any administrator's: product default, vendor, family, model."""
    vendor, family = catalog.vendor_of(model), catalog.family_of(model)
    product = catalog.settings.defaults()
    # A default codec the model lacks is no mistake of anybody's, so it is left out rather than refused.
    product["codecs"] = [codec for codec in product["codecs"] if codec in model.codecs]
    return [
        Layer("product default", "product default", product),
        Layer("vendor", f"vendor {vendor.name}", vendor.defaults),
        Layer("family", f"family {family.name}", family.defaults),
        Layer("model", f"model {model.name}", model.defaults),
    ]


def shared_layers(catalog: Catalog, model: Model, site: Site, base: BaseSettings) -> list[Layer]:
    """Every layer but the phone's own: the same for all phones of a model at a site on the same base settings."""
    return [
        *catalog_layers(catalog, model),
        Layer("site", f"site {site.id}", site.settings),
        Layer("base settings", f"base settings {base.id}", base.settings),
    ]


def logged_out_layer(site: Site) -> Layer:
    """What holds on the phones of a site on which nobody is logged in, whatever else is said."""
    return Layer("logged-out profile", f"logged-out profile of site {site.id}", site.logged_out.settings)


def own_layers(phone: Phone, site: Site) -> list[Layer]:
    """The layers above those that it shares with others: of few phones there are any."""
    own = [Layer("phone", "phone", phone.settings)] if phone.settings else []
    return [*own, logged_out_layer(site)] if phone.has_nobody and site.logged_out.settings else own


def effective_of(layers: Sequence[Layer]) -> Effective:
    """Resolve layers. Raises BadValue when the time zone is none."""
    values = resolve(layers)
    return Effective(values, _clock({name: value.value for name, value in values.items()}))


def effective(catalog: Catalog, phone: Phone, site: Site, base: BaseSettings) -> Effective:
    """Resolve a phone's settings. Raises BadValue when its time zone is none."""
    layers = shared_layers(catalog, catalog.models[phone.model], site, base)
    return effective_of([*layers, *own_layers(phone, site)])


def check(catalog: Catalog, phone: Phone, site: Site, base: BaseSettings) -> Effective:
    """Resolve, and refuse (BadValue) whatever this phone's model and family cannot be given when its user is logged in,
    naming the layer that said it when it was not the phone's own."""
    model = catalog.models[phone.model]
    family = catalog.family_of(model)
    check_phone(family, model, phone)
    own = effective_of([*shared_layers(catalog, model, site, base), Layer("phone", "phone", phone.settings)])
    return _checked(family, model, phone, own, family.rendered)


def _checked(family: Family, model: Model, phone: Phone, result: Effective, names: AbstractSet[str]) -> Effective:
    """Check what holds for a phone. `names` are the settings of which nothing is known yet."""
    try:
        _check_room_for_keys(family, model, phone, result.plain["expansion_modules"])
        _check_rendered(family, model, result, names)
    except BadValue as error:
        value = result.values.get(error.field.removeprefix("settings.").partition(".")[0])
        if value is None or value.layer == "phone":
            raise
        raise BadValue(error.field, f"{error.reason}; it comes from {value.source}") from None
    return result


def check_layers(catalog: Catalog, model: Model, layers: Sequence[Layer]) -> Effective:
    """Refuse values (BadValue) that a model cannot be given, whoever inherits them."""
    family, result = catalog.family_of(model), effective_of(layers)
    _check_rendered(family, model, result, family.rendered)
    return result


def check_profile(catalog: Catalog, model: Model, layers: Sequence[Layer], site: Site) -> None:
    """See that a model could be given what its site has for phones on which nobody is logged in: nobody is to be kept
    logged in by what was set long before. `layers` are those that its phones share. Raises BadValue naming the field
    below `logged_out`."""
    profile = site.logged_out
    if not profile:
        return
    try:
        check_layers(catalog, model, [*layers, logged_out_layer(site)])
        check_phone(catalog.family_of(model), model, Phone("", "", model.id, site.id, "", lines=profile.lines))
    except BadValue as error:
        field = error.field.replace("lines.1", "line", 1)
        raise BadValue(f"logged_out.{field}", f"{error.reason} (the logged-out profile of site {site.id})") from None


def check_given(catalog: Catalog, phone: Phone, given: Phone, site: Site, base: BaseSettings) -> None:
    """See that a phone can be given the lines that it gets, which are none of its record. Raises BadValue."""
    model = catalog.models[phone.model]
    family = catalog.family_of(model)
    check_phone(family, model, given)
    modules = effective(catalog, phone, site, base).plain["expansion_modules"]
    _check_room_for_keys(family, model, given, modules)


class GroupChecks:
    """`check` for many phones: what those of a model, a site and base settings share is resolved and looked at once.
    Catalogue, sites and base settings must stay the same meanwhile."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._good: dict[tuple[str, str, str], Effective] = {}

    def check(self, phone: Phone, site: Site, base: BaseSettings) -> Effective:
        """As `check`; raises BadValue."""
        shared = self._good.get((phone.model, site.id, base.id))
        if shared is None:
            result = check(self._catalog, phone, site, base)
            model = self._catalog.models[phone.model]
            check_profile(self._catalog, model, shared_layers(self._catalog, model, site, base), site)
            if not phone.settings:
                self._good[phone.model, site.id, base.id] = result
            return result
        model = self._catalog.models[phone.model]
        family = self._catalog.family_of(model)
        check_phone(family, model, phone)
        own = effective_over(shared, phone) if phone.settings else shared
        return _checked(family, model, phone, own, family.rendered & phone.settings.keys())


def effective_over(shared: Effective, phone: Phone) -> Effective:
    """A phone's own settings over what its group has. Raises BadValue when its time zone is none."""
    values = dict(shared.values)
    for name, value in phone.settings.items():
        covered = values.get(name)
        values[name] = Value(value, "phone", "phone", (covered, *covered.underneath) if covered else ())
    return Effective(values, _clock({name: value.value for name, value in values.items()}))


def _check_room_for_keys(family: Family, model: Model, phone: Phone, expansion_modules: int) -> None:
    keys = keys_of(family, phone)
    try:
        check_room_for_keys(model, keys, expansion_modules)
    except BadValue as error:
        if len(keys) == len(phone.line_keys):
            raise
        raise BadValue(error.field, f"{error.reason}; one of them is for its first line, which needs a key") from None


def _check_rendered(family: Family, model: Model, result: Effective, names: AbstractSet[str]) -> None:
    rendered = {name: value for name, value in result.values.items() if name in names}
    check_effective(family, model, rendered)
    check_ports(result.values)
    check_texts(family, {name: value.value for name, value in rendered.items()})
    if "time_zone" in family.rendered:
        by_hand = "gmt_offset" if result.plain["gmt_offset"] else "time_zone"
        check_clock(family, result.clock, by_hand, result.plain[by_hand])


def _clock(values: Mapping[str, Any]) -> ClockRule:
    """The zone's rule, or the one set by hand (`gmt_offset`, `dst_start`, `dst_stop`), which goes first."""
    if not values["gmt_offset"]:
        try:
            return clock_rule(values["time_zone"])
        except BadValue as error:
            raise BadValue("settings.time_zone", error.reason) from None
    offset = parse_offset(values["gmt_offset"])
    if not values["dst_start"] and not values["dst_stop"]:
        return ClockRule(offset, 0, None, None)
    for name in ("dst_start", "dst_stop"):
        if not values[name]:
            raise BadValue(f"settings.{name}", "dst_start and dst_stop go together")
    return ClockRule(offset, 3600, parse_transition(values["dst_start"]), parse_transition(values["dst_stop"]))
