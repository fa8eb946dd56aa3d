"""Who makes phones be believed by more than before could have a device of their own believed, and be given passwords
that they may not see. So that takes what letting phones in takes, whoever may edit the rest."""

from __future__ import annotations

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import counted_proofs
from ztp_server.domain.site import Network, Site
from ztp_server.services.lasting_proof import LET_IN
from ztp_server.services.own_files import networks_of
from ztp_server.store import Session


def require_for_site(who: Actor, before: Site, after: Site) -> None:
    """Raises Forbidden for a site whose phones would be believed by more, in more networks, or over plain HTTP too."""
    if set(after.proofs) - set(before.proofs) or _is_wider(before, after):
        who.require(LET_IN, after.id)


def require_for_phone(who: Actor, before: Phone, after: Phone, left: Site, joined: Site) -> None:
    """The same of a phone that goes from one site to another, is to be believed otherwise, or is to be another device.
    Raises Forbidden."""
    require_to_lend(who, before, after)
    more = set(counted_proofs(after.proofs, joined.proofs)) - set(counted_proofs(before.proofs, left.proofs))
    is_another = after.category == "managed" and after.hardware_id not in ("", before.hardware_id)
    if more or (after.proofs != () and (is_another or _is_wider(left, joined))):
        who.require(LET_IN, after.site)


def require_to_lend(who: Actor, before: Phone | None, after: Phone) -> None:
    """The same of a phone that gets the lines, and so the passwords, of a user whom it did not have: whoever is
    believed to be that phone gets them. Raises Forbidden."""
    if after.borrows_from and (before is None or before.borrows_from != after.borrows_from):
        who.require(LET_IN, after.site)


async def require_for_new_site(who: Actor, session: Session, site_id: str) -> None:
    """The same of a site under the id of one that was removed: phones that stood there can be brought back, and are
    believed by what the new one says. Raises Forbidden."""
    if await session.removed_phones.page([site_id], None, 1):
        who.require(LET_IN, site_id)


def _is_wider(before: Site, after: Site) -> bool:
    there = networks_of(before)
    networks = (network for network in networks_of(after) if not any(_lies_in(network, one) for one in there))
    return any(networks) or (after.plain_secrets and not before.plain_secrets)


def _lies_in(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]
