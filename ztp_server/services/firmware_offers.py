"""What firmware each phone is offered, and where it is to come back: decided when it says what it runs, and
kept with it until something changes."""

from __future__ import annotations

from ztp_server.domain.firmware import Offer
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.fleet import Fleet
from ztp_server.services.own_files import Known, make_offer


class FirmwareOffers:
    def __init__(self, fleet: Fleet, check_ins: CheckIns) -> None:
        self._fleet = fleet
        self._check_ins = check_ins

    async def refresh(self, known: Known, said: str) -> None:
        """See that the offer to a proven phone fits what it says it runs (empty: it does not say) and the images there
        are; its files are made anew when the offer is another one, or the address. Raises StoreUnavailable."""
        library = await self._fleet.firmware()
        before = _in_files(known)
        known.library, known.running = library, said or known.running
        known.offer = make_offer(known, library, known.running)
        if _in_files(known) != before:
            known.last_good |= known.files
            known.files = {}
        self.report(known.group.model.id, known.offer)

    def report(self, model: str, offer: Offer) -> None:
        """Tell the administrator of an image that phones of a model would need and do not find."""
        if offer.missing:
            self._check_ins.report("firmware.step_missing", model, offer.reason)


def _in_files(known: Known) -> tuple[str, str, bool]:
    """What of it all stands in the phone's files."""
    return known.steady_url, known.offer.version, known.offer.update
