"""How a phone will prove itself when no window is open for it and its bootstrap token is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import PhoneProofs, counted_proofs
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.records import subject_of

# What it takes to make a phone something to prove itself with.
LET_IN = "phones:approve"
# Listeners on which something else than a certificate is a proof.
TOKEN_LISTENERS = ("https", "http")
_URL = "provisioning_url"


@dataclass(frozen=True, slots=True)
class LastingProof:
    """`kind` is a proof, empty for none at all; `text` says it in a sentence. It `is_sure` where it does not depend on
    where the phone stands."""

    kind: Literal["certificate", "token", "digest", "network", ""]
    text: str

    @property
    def is_sure(self) -> bool:
        return self.kind in ("certificate", "token", "digest")


def require_proof(phone: Phone, site: Site, proof: str) -> None:
    """Raises NotFound for a phone that is given no files, and BadValue for one of which this proof does not count."""
    if phone.category != "managed":
        raise NotFound(f"phone {subject_of(phone)} is {phone.category}: it is given no files")
    if phone.proofs == ():
        raise BadValue("proofs", f"the phone is blocked: ztp phone unblock {phone.hardware_id}")
    counted = counted_proofs(phone.proofs, site.proofs)
    if proof not in counted:
        whose = f"site {site.id}" if phone.proofs is None else "the phone"
        raise BadValue("proofs", f"{whose} does not take {proof}, only: {', '.join(counted) or 'nothing'}")


def told_address(phone: Phone, site: Site, base: BaseSettings) -> str:
    """The steady address that somebody set for a phone, empty when nobody did."""
    for settings in (phone.settings, base.settings, site.settings):
        if _URL in settings:
            return str(settings[_URL])
    return ""


def comes_with_certificate(
    catalog: Catalog, address: ServerAddress, phone: Phone, site: Site, base: BaseSettings, running: str = ""
) -> bool:
    """Whether a phone will come back to the listener with client certificates, and be believed there."""
    model = catalog.models.get(phone.model)
    if model is None or not catalog.has_factory_certificate(model):
        return False
    if "certificate" not in counted_proofs(phone.proofs, site.proofs):
        return False
    vendor, told = catalog.vendor_of(model), told_address(phone, site, base)
    if told:
        return vendor.id in address.trusted_makers and address.takes_certificate(told)
    steady = address.steady_url(vendor, catalog.family_of(model), model, running)
    return vendor.id in address.trusted_makers and steady == address.server.urls.get("mtls")


def takes_tokens(address: ServerAddress, site: Site) -> bool:
    """Whether there is a listener on which a token gets a phone its files: plain HTTP only where that gives secrets."""
    urls = address.server.urls
    return "https" in urls or ("http" in urls and site.plain_secrets)


def token_counts(address: ServerAddress, phone: Phone, site: Site, base: BaseSettings) -> bool:
    """Whether a token in the address that its files tell a phone would be a proof of it. None stands in an address of
    another server that somebody set."""
    if "token" not in counted_proofs(phone.proofs, site.proofs):
        return False
    told = told_address(phone, site, base)
    return address.takes_token(told, site) if told else takes_tokens(address, site)


def lasting_proof(
    catalog: Catalog,
    address: ServerAddress,
    phone: Phone,
    site: Site,
    base: BaseSettings,
    has: PhoneProofs,
    running: str = "",
) -> LastingProof:
    """What a phone will be believed by that asks when no window is open for it, the strongest first. `running` is the
    firmware it said it has."""
    counted = counted_proofs(phone.proofs, site.proofs)
    if comes_with_certificate(catalog, address, phone, site, base, running):
        return LastingProof("certificate", "by its factory certificate")
    if has.steady and token_counts(address, phone, site, base):
        return LastingProof("token", "by the steady token in the address that its files tell it")
    if has.digest and "digest" in counted and address.logins:
        return LastingProof("digest", f"by HTTP Digest as {has.digest.user!r}, if it holds that password")
    if "network" in counted and site.networks:
        networks = ", ".join(site.networks)
        return LastingProof("network", f"by its address, as long as that lies in the networks of its site ({networks})")
    if told := told_address(phone, site, base):
        return LastingProof("", f"by what it shows at {told}, its provisioning_url, to which no token is added")
    return LastingProof("", "by nothing: it keeps the files it has and gets no others")


def will_last(catalog: Catalog, address: ServerAddress, phone: Phone, site: Site, base: BaseSettings) -> bool:
    """Whether a new phone that is made a steady token, where that counts, can prove itself wherever it stands."""
    return comes_with_certificate(catalog, address, phone, site, base) or token_counts(address, phone, site, base)
