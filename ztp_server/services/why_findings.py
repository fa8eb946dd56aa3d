"""What decides what a phone is given, one finding after the other, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.request import Certified
from ztp_server.domain.site import Site
from ztp_server.domain.why import Finding
from ztp_server.services.fleet import is_loopback, lies_in
from ztp_server.services.own_files import Known, networks_of
from ztp_server.services.why_proofs import proof_findings


@dataclass(frozen=True, slots=True)
class Shown:
    """A client certificate that somebody has in a file: whose it is, or why it is nobody's."""

    certified: Certified | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of the MAC that is asked about. `problem` says why a managed phone has no `known`; `removed` how a
    phone with this MAC came to be gone, `denied` how the certificate was denied that it last proved itself with."""

    mac: str
    phone: Phone | None
    site: Site | None
    attempts: Sequence[Attempt]
    removed: str = ""
    denied: str = ""
    known: Known | None = None
    problem: str = ""


def findings(catalog: Catalog, looked: Looked, address: str, shown: Shown | None, is_local: bool) -> Iterator[Finding]:
    """All that was looked at, in the order in which it counts."""
    if is_local:
        yield Finding(
            is_loopback(address),
            "this server calls itself localhost, so it answers nobody elsewhere; see --public-name",
        )
    if looked.known is None:
        yield from _nothing_to_give(catalog, looked)
    else:
        yield from _about(catalog, looked.known)
    if looked.known:
        yield from proof_findings(looked.known, address, datetime.now(UTC))
    if looked.denied:
        yield Finding(False, f"the certificate it last proved itself with proves nothing any more: {looked.denied}")
    if shown is not None:
        yield _certificate(looked, shown)
    if looked.known and looked.known.counted:
        yield from _address(looked.known, address)


def _nothing_to_give(catalog: Catalog, looked: Looked) -> Iterator[Finding]:
    phone = looked.phone
    if phone is None:
        yield Finding(False, f"no phone has the MAC {looked.mac}, whose block is {_block(catalog, looked.mac)}")
        if looked.removed:
            yield Finding(False, looked.removed)
    elif phone.category != "managed":
        yield Finding(False, f"phone {phone.name!r} is {phone.category}: it is answered as if it were unknown")
    else:
        yield Finding(False, f"phone {phone.name!r} can be given nothing: {looked.problem}")


def _about(catalog: Catalog, known: Known) -> Iterator[Finding]:
    phone, group = known.phone, known.group
    yield Finding(
        True,
        f"phone {phone.name!r} (revision {phone.revision}) is a {group.model.name} of the family {group.family.name}, "
        f"at site {group.site.id} (revision {group.site.revision}), "
        f"on base settings {group.base.id} (revision {group.base.revision})",
    )
    yield from _somebody(known)
    maker = catalog.vendor_of_oui(phone.hardware_id)
    if maker != group.vendor.id:
        yield Finding(None, f"the block of its MAC is {_block(catalog, phone.hardware_id)}, not {group.vendor.name}'s")
    yield Finding(None, f"it is told to find this server at {known.shown_url}")
    offer = known.offer
    runs, wanted = known.running or "not known", offer.wanted or "none in particular"
    yield Finding(None if not offer.missing else False, f"firmware: runs {runs}, is to run {wanted}; {offer.reason}")


def _somebody(known: Known) -> Iterator[Finding]:
    record, site = known.record, known.group.site
    if record.borrows_from:
        yield Finding(None, f"user {record.borrows_from} is logged in on it: it gets their lines")
    elif record.logged_out or (record.has_nobody and site.logged_out):
        gets = f"the logged-out profile of site {site.id}" if site.logged_out else "no line"
        yield Finding(None, f"nobody is logged in on it: it gets {gets}")


def _block(catalog: Catalog, mac: str) -> str:
    maker = catalog.vendor_of_oui(mac)
    return f"{catalog.vendors[maker].name}'s" if maker else "of no maker of the catalogue"


def _certificate(looked: Looked, shown: Shown) -> Finding:
    if shown.certified is None:
        return Finding(False, f"the certificate proves nothing: {shown.reason}")
    if shown.certified.mac != looked.mac:
        return Finding(False, f"the certificate is that of {shown.certified.mac}, another phone")
    if looked.known and looked.known.group.vendor.id != shown.certified.vendor:
        return Finding(False, f"the certificate is by {shown.certified.vendor}, who did not make this phone")
    if looked.known and "certificate" not in looked.known.counted:
        return Finding(False, f"the certificate is the phone's own, which is no proof {_for(looked.known)}")
    return Finding(True, "the certificate is the phone's own")


def _address(known: Known, address: str) -> Iterator[Finding]:
    site = known.group.site
    networks = ", ".join(site.networks) or "none"
    if "network" not in known.counted:
        yield Finding(None, f"an address is no proof {_for(known)} (proofs that are: {', '.join(known.counted)})")
    elif lies_in(address, networks_of(site)):
        yield Finding(True, f"{address} lies in the networks of site {site.id} ({networks}), which is a proof")
    else:
        where = address or "an address that is not known"
        yield Finding(False, f"{where} lies in none of the networks of site {site.id} ({networks}): no proof")
    if not site.plain_secrets:
        yield Finding(None, f"over plain HTTP site {site.id} gives nothing but the bootstrap file (plain_secrets off)")


def _for(known: Known) -> str:
    return f"at site {known.group.site.id}" if known.phone.proofs is None else "of this phone"
