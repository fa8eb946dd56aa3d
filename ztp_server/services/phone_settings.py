"""The settings of one phone, each with where it comes from and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import CUSTOM, SettingsTable, Value
from ztp_server.domain.site import Site
from ztp_server.domain.vendor import Support
from ztp_server.services.connection_values import connection_values
from ztp_server.services.known_phones import hidden
from ztp_server.services.own_files import Known

_TOLD = "told to whoever sets the device up"


@dataclass(frozen=True)
class Explained:
    """A setting of a phone: its value (`***` for a secret), the layer (`site`) and what an administrator calls it
    (`site madrid`), what became of it, and the values it covers, nearest first."""

    name: str
    value: Any
    layer: str
    source: str
    rendered: str
    underneath: Sequence[Value]

    @property
    def overridden(self) -> bool:
        """Whether the phone itself says so."""
        return self.layer == "phone"


def explained_managed(catalog: Catalog, known: Known) -> list[Explained]:
    family = known.group.family
    values = known.effective.values
    return [
        _explained(
            catalog.settings, name, value, "by custom" if name.startswith(CUSTOM) else _rendered(family.support(name))
        )
        for name, value in values.items()
    ]


def explained_unmanaged(catalog: Catalog, phone: Phone, site: Site) -> list[Explained]:
    """Of a phone that is given no files: what its SIP connection is made of."""
    values: Mapping[str, Value] = {} if phone.category == "remote" else connection_values(catalog, phone, site)
    return [_explained(catalog.settings, name, value, _TOLD) for name, value in values.items()]


def _explained(table: SettingsTable, name: str, value: Value, rendered: str) -> Explained:
    secret = table.is_secret(name)
    underneath = [replace(covered, value=hidden(secret, covered.value)) for covered in value.underneath]
    return Explained(name, hidden(secret, value.value), value.layer, value.source, rendered, underneath)


def _rendered(support: Support) -> str:
    """What becomes of a setting on a family, in a few words."""
    if support.state == "parameter":
        return support.parameter
    if support.state == "server":
        return f"kept by this server: {support.server}"
    verdict = "not on this family" if support.state == "absent" else "not proven on this family"
    return f"{verdict}: {support.absent or support.unproven}"
