"""The SIP connection of a phone that is configured elsewhere: settings of its site and its own, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.phone_category import CONNECTION_SETTINGS
from ztp_server.domain.settings import Layer, Value, resolve
from ztp_server.domain.site import Site


def connection_values(catalog: Catalog, phone: Phone, site: Site) -> dict[str, Value]:
    """The settings of a connection by name, each with where it came from: such a phone has no model and no base
    settings, so nothing stands between the product's defaults, its site and itself."""
    return resolve(
        [
            Layer("product default", "product default", _of_connection(catalog.settings.defaults())),
            Layer("site", f"site {site.id}", _of_connection(site.settings)),
            Layer("phone", "phone", _of_connection(phone.settings)),
        ]
    )


def _of_connection(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in CONNECTION_SETTINGS if name in values}
