"""An unknown phone becomes a phone: it is added like any other, and can prove itself when it asks again."""

from __future__ import annotations

from dataclasses import replace

from ztp_server.domain.access import Actor
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import counted_proofs
from ztp_server.domain.site import Site
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.services.added_phone import add_phone
from ztp_server.services.address import ServerAddress
from ztp_server.services.fleet import lies_in
from ztp_server.services.own_files import networks_of
from ztp_server.services.windows import Windows
from ztp_server.services.written_phone import Written
from ztp_server.store import Session


class LettingIn:
    """Lets phones in, in one session, for one actor."""

    def __init__(self, session: Session, catalog: Catalog, address: ServerAddress, who: Actor) -> None:
        self._session = session
        self._catalog = catalog
        self._address = address
        self._who = who

    async def let_in(self, unknown: UnknownPhone, phone: Phone, minutes: int, reason: str) -> Written:
        """Add a phone that knocked, and open a provisioning window of so many minutes (0: none) if it needs one and its
        site takes windows. Raises what `add_phone` raises, before anything is written."""
        written = await add_phone(self._session, self._catalog, self._who, phone, reason)
        site = await self._session.sites.get(phone.site)
        await self._session.unknown_phones.forget(unknown.mac)
        if self._has_a_proof(unknown, written.phone, site):
            return written
        if minutes and "window" in counted_proofs(written.phone.proofs, site.proofs):
            windows = Windows(self._session, self._catalog, self._address, self._who, minutes, reason)
            more = (await windows.open(written.phone, site)).warnings
        else:
            more = [_unproven(unknown, site)]
        return replace(written, warnings=[*written.warnings, *more])

    def _has_a_proof(self, unknown: UnknownPhone, phone: Phone, site: Site) -> bool:
        """Whether it would be believed if it asked again as it did."""
        counted = counted_proofs(phone.proofs, site.proofs)
        made_by = self._catalog.vendor_of(self._catalog.models[phone.model]).id
        by_certificate = "certificate" in counted and unknown.is_certified and unknown.vendor == made_by
        return by_certificate or ("network" in counted and lies_in(unknown.address, networks_of(site)))


def _unproven(unknown: UnknownPhone, site: Site) -> str:
    where = f"{unknown.address} is in no network of site {site.id}" if unknown.address else "its address is not known"
    return f"proofs: {where} and it showed no certificate of its own; it gets nothing before it has a proof"
