"""A phone with all that goes into its files, and the making of one."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.request import PhoneFile
from ztp_server.domain.site import Network, Site
from ztp_server.domain.template_context import Server, template_context
from ztp_server.domain.vendor import Family, FileRule, Model, Vendor
from ztp_server.render import Renderer
from ztp_server.services.address import ServerAddress
from ztp_server.services.effective import Effective, effective
from ztp_server.store.phones import Provisioned
from ztp_server.vendors import template_name


@dataclass(slots=True)
class Known:
    """One phone with all that goes into its files, and the files made so far (`last_good`: of earlier data)."""

    phone: Phone
    site: Site
    vendor: Vendor
    family: Family
    model: Model
    effective: Effective
    steady_url: str
    networks: tuple[Network, ...]
    generation: int = 0
    files: dict[str, PhoneFile] = field(default_factory=dict)
    last_good: dict[str, PhoneFile] = field(default_factory=dict)


def known_phone(catalog: Catalog, address: ServerAddress, found: Provisioned) -> Known:
    """What the store and the catalogue know of a phone, put together."""
    model = catalog.models[found.phone.model]
    vendor, family = catalog.vendor_of(model), catalog.family_of(model)
    values = effective(catalog, found.phone, found.site, found.base)
    url = address.phone_url(vendor, family, values.plain)
    return Known(found.phone, found.site, vendor, family, model, values, url, networks_of(found.site))


def make_file(renderer: Renderer, server: Server, rule: FileRule, known: Known) -> PhoneFile:
    """A phone's own file. Raises TemplateError naming file and line."""
    context = template_context(
        phone=known.phone,
        vendor=known.vendor,
        model=known.model,
        settings=known.effective.plain,
        clock=known.effective.clock,
        server=server,
        steady_url=known.steady_url,
    )
    template = template_name(known.vendor.id, known.model.family, rule.template)
    return render_file(renderer, rule, template, context, "phone")


def render_file(renderer: Renderer, rule: FileRule, template: str, context: Mapping[str, Any], kind: str) -> PhoneFile:
    """Any rendered file, with a tag that changes when its bytes do. Raises TemplateError."""
    body = renderer.render(template, rule.format, context)
    return PhoneFile(body, rule.content_type, hashlib.sha256(body).hexdigest()[:32], kind)


def networks_of(site: Site) -> tuple[Network, ...]:
    """The networks of a site, ready to be asked."""
    return _networks(site.networks)


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))
