"""A phone with all that goes into its files, and the making of one."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.firmware import Library, Offer, choose, is_older
from ztp_server.domain.kept_phone import KeptSite
from ztp_server.domain.logged_out import given_phone
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import DigestCredential, PhoneProofs, counted_proofs, token_path
from ztp_server.domain.request import PhoneFile
from ztp_server.domain.settings import Layer
from ztp_server.domain.site import Network, Site
from ztp_server.domain.template_context import Server, template_context
from ztp_server.domain.text import is_unreadable, reason_unreadable
from ztp_server.domain.vendor import Family, Model, Vendor
from ztp_server.errors import Damaged
from ztp_server.render import Renderer
from ztp_server.services.address import ServerAddress
from ztp_server.services.effective import Effective, effective_of, logged_out_layer, own_layers, shared_layers
from ztp_server.vendors import template_name

# Until the library was asked.
_NO_OFFER = Offer("", "", False, "not looked into yet")
NO_PROOFS = PhoneProofs()


@dataclass(frozen=True)
class Group:
    """What phones of one model, at one site, on the same base settings have in common."""

    site: Site
    base: BaseSettings
    vendor: Vendor
    family: Family
    model: Model
    networks: tuple[Network, ...]
    layers: Sequence[Layer]
    effective: Effective

    @cached_property
    def logged_out(self) -> Effective:
        """What holds for those of them on which nobody is logged in."""
        return effective_of([*self.layers, logged_out_layer(self.site)])

    def effective_for(self, phone: Phone) -> Effective:
        """What holds for one of them. Few have settings of their own; only theirs are resolved anew. Raises
        BadValue."""
        if phone.settings:
            return effective_of([*self.layers, *own_layers(phone, self.site)])
        return self.logged_out if phone.has_nobody and self.site.logged_out.settings else self.effective


@dataclass(slots=True)
class Known:
    """One phone with all that goes into its files, and the files made so far (`last_good`: of earlier data). `phone`
    has the lines that it gets, which need not be those of its `record`. `running` is the firmware it last said it runs,
    and `offer` what it is offered out of `library`. `proofs` are what it alone can prove itself with; `steady_token`
    stands in its files."""

    record: Phone
    phone: Phone
    group: Group
    effective: Effective
    address: ServerAddress
    offer: Offer
    running: str = ""
    library: Library | None = None
    generation: int = 0
    files: dict[str, PhoneFile] = field(default_factory=dict)
    last_good: dict[str, PhoneFile] = field(default_factory=dict)
    proofs: PhoneProofs = NO_PROOFS
    steady_token: str = field(default="", repr=False)

    @property
    def hardware_id(self) -> str:
        return self.phone.hardware_id

    @property
    def lines_from(self) -> str:
        """Who says which lines the phone gets."""
        if self.record.has_nobody and self.group.site.logged_out.line:
            return f"logged-out profile of site {self.group.site.id}"
        return f"user {self.record.borrows_from}" if self.record.borrows_from else "phone"

    @property
    def vendor(self) -> str:
        """The maker's id."""
        return self.group.vendor.id

    @property
    def networks(self) -> tuple[Network, ...]:
        """Where the phone is believed by its address, if that counts for it."""
        return self.group.networks

    @property
    def counted(self) -> tuple[str, ...]:
        """The names of the proofs that count for the phone."""
        return counted_proofs(self.phone.proofs, self.group.site.proofs)

    @property
    def steady_url(self) -> str:
        """Where the phone finds us, by what it runs: old firmware may not be able to come over TLS. One that is to go
        back to such is told where it will find us before it does. Its steady token stands in it."""
        group, runs = self.group, self.running
        if self.offer.update and is_older(self.offer.version, runs):
            runs = self.offer.version
        return self.address.phone_url(
            *(group.vendor, group.family, group.model, group.site, self.effective.plain, runs),
            self.phone.proofs,
            self.steady_token,
            self._has_login,
        )

    @property
    def login(self) -> DigestCredential | None:
        """What the phone's files tell it to log in with: nothing where the address they tell asks for no login."""
        without_token = self.steady_url.removesuffix(token_path(self.steady_token))
        return self.proofs.digest if self._has_login and self.address.asks_login(without_token) else None

    @property
    def _has_login(self) -> bool:
        digest = self.proofs.digest
        return digest is not None and digest.password != "" and "digest" in self.counted

    @property
    def shown_url(self) -> str:
        """The steady address as it may be shown."""
        return self.steady_url.replace(self.steady_token, "***") if self.steady_token else self.steady_url


def make_group(catalog: Catalog, model: Model, site: Site, base: BaseSettings) -> Group:
    """Raises BadValue when the time zone of the site or base settings is none."""
    vendor, family = catalog.vendor_of(model), catalog.family_of(model)
    layers = shared_layers(catalog, model, site, base)
    return Group(site, base, vendor, family, model, networks_of(site), layers, effective_of(layers))


def known_phone(
    group: Group, address: ServerAddress, phone: Phone, running: str = "", user_lines: Sequence[Line] = ()
) -> Known:
    """A phone of a group; `user_lines` are those of the user it borrows from. Raises BadValue."""
    given = given_phone(phone, group.site.logged_out, user_lines)
    return Known(phone, given, group, group.effective_for(phone), address, _NO_OFFER, running)


def make_offer(known: Known, library: Library, running: str) -> Offer:
    """What a phone that runs this is offered by its settings."""
    values, model = known.effective.plain, known.group.model.id
    wanted = values["firmware_version"] or library.default(model)
    if values["firmware_update"] == "off":
        return Offer(wanted, "", False, "firmware_update is off")
    steps = known.group.family.firmware_steps(model)
    return choose(running, wanted, library.versions(model), steps, values["firmware_downgrade"])


def make_file(renderer: Renderer, server: Server, rule: FileRule, known: Known) -> PhoneFile:
    """A phone's own file. Raises TemplateError naming file and line, and Damaged."""
    return render_file(renderer, rule, template_of(known, rule), context_of(server, known), "phone")


def template_of(known: Known, rule: FileRule) -> str:
    """The template that makes a file for this phone: its family's own, or the maker's."""
    return template_name(known.group.vendor.id, known.group.model.family, rule.template)


def context_of(server: Server, known: Known) -> dict[str, Any]:
    """What the templates of this phone's files are given. Raises Damaged: of a secret that does not open no file is
    made, not even its hash."""
    settings = known.effective.plain
    for value in (*(line.password for line in known.phone.lines), *settings.values()):
        if is_unreadable(value):
            raise Damaged(reason_unreadable(value))
    return template_context(
        phone=known.phone,
        vendor=known.group.vendor,
        model=known.group.model,
        settings=settings,
        clock=known.effective.clock,
        server=server,
        steady_url=known.steady_url,
        offer=known.offer,
        login=known.login,
    )


def own_rules(known: Known) -> dict[str, FileRule]:
    """The files that are made for one phone, by the names it asks for."""
    return {
        rule.pattern.replace("{mac}", known.phone.hardware_id): rule
        for rule in known.group.vendor.file
        if rule.serve == "phone" and (not rule.families or known.group.model.family in rule.families)
    }


def render_file(renderer: Renderer, rule: FileRule, template: str, context: Mapping[str, Any], kind: str) -> PhoneFile:
    """Any rendered file, with a tag that changes when its bytes do. Raises TemplateError."""
    body = renderer.render(template, rule.format, context)
    return PhoneFile(body, rule.content_type, hashlib.sha256(body).hexdigest()[:32], kind)


def networks_of(site: Site | KeptSite) -> tuple[Network, ...]:
    """The networks of a site, ready to be asked."""
    return _networks(site.networks)


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))
