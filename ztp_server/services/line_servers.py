"""Where the lines of each phone register, from the layers that its files are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.registration import Servers
from ztp_server.domain.site import Site
from ztp_server.services.effective import catalog_layers
from ztp_server.store.registrations import Registering

_SETTINGS = ("sip_server", "sip_server_secondary", "redundancy")
_SHARED = Mapping[str, Any]


class LineServers:
    """Servers and lines of phones. What those of a model, a site and base settings share is looked at once: catalogue,
    sites and base settings must stay the same."""

    def __init__(self, catalog: Catalog, sites: Iterable[Site], bases: Iterable[BaseSettings]) -> None:
        self._catalog = catalog
        self._sites = {site.id: site for site in sites}
        self._bases = {base.id: base for base in bases}
        self._shared: dict[tuple[str, str, str], _SHARED] = {}

    def of(self, phone: Registering) -> Servers:
        """The servers of a phone; of one that registers elsewhere, or whose model nobody knows, none."""
        if phone.category == "remote" or phone.site not in self._sites:
            return Servers("")
        values = {**self._of_group(phone), **_own(phone.settings)}
        if self._has_nobody(phone):
            values |= _own(self._sites[phone.site].logged_out.settings)
        secondary = str(values["sip_server_secondary"]) if self._takes(phone, "sip_server_secondary") else ""
        both = values["redundancy"] == "simultaneous" and self._takes(phone, "redundancy")
        return Servers(str(values["sip_server"]), secondary, both and bool(secondary))

    def users(self, phone: Registering) -> tuple[str, ...]:
        """The SIP users of the lines that a phone has: its own, those of who is logged in, or the one that its site has
        for nobody (domain/logged_out.py)."""
        if self._has_nobody(phone):
            site = self._sites.get(phone.site)
            return tuple(line.user for line in site.logged_out.lines) if site else ()
        return phone.lines or (phone.user_lines if phone.category == "managed" else ())

    @property
    def users_for_nobody(self) -> list[str]:
        """The SIP users of the lines that sites have for phones on which nobody is logged in."""
        return sorted({line.user for site in self._sites.values() for line in site.logged_out.lines})

    def sites_with(self, users: Iterable[str]) -> list[str]:
        """The sites whose line for phones on which nobody is logged in has one of these users."""
        wanted = set(users)
        return [site.id for site in self._sites.values() if any(x.user in wanted for x in site.logged_out.lines)]

    def _has_nobody(self, phone: Registering) -> bool:
        return phone.category == "managed" and (phone.is_logged_out or not (phone.lines or phone.user))

    def _takes(self, phone: Registering, name: str) -> bool:
        """Whether a setting reaches the phone. One that is not ours to configure is told of two servers at most, and
        registers as it likes: with one at a time."""
        if phone.category != "managed":
            return name == "sip_server_secondary" and phone.category == "unmanaged"
        model = self._catalog.models.get(phone.model)
        return model is not None and self._catalog.family_of(model).support(name).state == "parameter"

    def _of_group(self, phone: Registering) -> _SHARED:
        key = (phone.model, phone.site, phone.base_settings)
        if key not in self._shared:
            model, base = self._catalog.models.get(phone.model), self._bases.get(phone.base_settings)
            lower = [layer.values for layer in catalog_layers(self._catalog, model)] if model else []
            layers = [self._catalog.settings.defaults(), *lower, self._sites[phone.site].settings]
            given = {name: values[name] for values in map(_own, layers) for name in values}
            self._shared[key] = {**given, **_own(base.settings if base else {})}
        return self._shared[key]


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _SETTINGS if name in values}
