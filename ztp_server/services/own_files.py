"""A phone with all that goes into its files, and the making of one."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.request import PhoneFile
from ztp_server.domain.settings import Layer
from ztp_server.domain.site import Network, Site
from ztp_server.domain.template_context import Server, template_context
from ztp_server.domain.vendor import Family, FileRule, Model, Vendor
from ztp_server.render import Renderer
from ztp_server.services.address import ServerAddress
from ztp_server.services.effective import Effective, effective_of, shared_layers
from ztp_server.vendors import template_name


@dataclass(frozen=True)
class Group:
    """What phones of one model, at one site, on the same base settings have in common."""

    site: Site
    vendor: Vendor
    family: Family
    model: Model
    networks: tuple[Network, ...]
    layers: Sequence[Layer]
    effective: Effective


@dataclass(slots=True)
class Known:
    """One phone with all that goes into its files, and the files made so far (`last_good`: of earlier data)."""

    phone: Phone
    group: Group
    effective: Effective
    steady_url: str
    generation: int = 0
    files: dict[str, PhoneFile] = field(default_factory=dict)
    last_good: dict[str, PhoneFile] = field(default_factory=dict)


def make_group(catalog: Catalog, model: Model, site: Site, base: BaseSettings) -> Group:
    """Raises BadValue when the time zone of the site or base settings is none."""
    vendor, family = catalog.vendor_of(model), catalog.family_of(model)
    layers = shared_layers(catalog, model, site, base)
    return Group(site, vendor, family, model, networks_of(site), layers, effective_of(layers))


def known_phone(group: Group, address: ServerAddress, phone: Phone) -> Known:
    """A phone of a group. Few phones have settings of their own; only theirs are resolved anew. Raises BadValue."""
    own = effective_of([*group.layers, Layer("phone", "phone", phone.settings)]) if phone.settings else group.effective
    return Known(phone, group, own, address.phone_url(group.vendor, group.family, group.site.proofs, own.plain))


def make_file(renderer: Renderer, server: Server, rule: FileRule, known: Known) -> PhoneFile:
    """A phone's own file. Raises TemplateError naming file and line."""
    context = template_context(
        phone=known.phone,
        vendor=known.group.vendor,
        model=known.group.model,
        settings=known.effective.plain,
        clock=known.effective.clock,
        server=server,
        steady_url=known.steady_url,
    )
    template = template_name(known.group.vendor.id, known.group.model.family, rule.template)
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
