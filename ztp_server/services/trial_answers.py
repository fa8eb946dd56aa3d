"""What a request would be answered, decided by the same code, of which nothing is written down."""

from __future__ import annotations

from ztp_server.domain.request import Outcome, PhoneRequest
from ztp_server.services.address import ServerAddress
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.firmware_offers import FirmwareOffers
from ztp_server.services.firmware_requests import FirmwareRequests
from ztp_server.services.fleet import Fleet
from ztp_server.services.hand_over import NoHandOver
from ztp_server.services.provisioning import Provisioning
from ztp_server.services.templates import Templates
from ztp_server.services.uploads import Uploads
from ztp_server.store import Store


class _Unheard(CheckIns):
    """Hears of a request and of what went wrong with it, and tells nobody: no phone asked."""

    def note(self, request: PhoneRequest, outcome: Outcome, milliseconds: int = 0) -> None:
        return None

    def report(self, action: str, subject: str, reason: str, *, about: str | None = None) -> None:
        return None


class _OfAMoment(Fleet):
    """Has nothing to forget. What changed is told once in a process, and it is the one that serves phones who has to
    hear of it."""

    async def catch_up(self) -> None:
        return None


def trial_provisioning(
    store: Store, templates: Templates, address: ServerAddress, files: FirmwareFiles
) -> Provisioning:
    """A Provisioning with a memory of its own. Ask it with GET only: an upload would be kept."""
    unheard = _Unheard(store, templates)
    fleet = _OfAMoment(store, templates, address)
    offers = FirmwareOffers(fleet, unheard)
    firmware = FirmwareRequests(fleet, templates, files, offers, unheard)
    uploads, hand_over = Uploads(store, unheard), NoHandOver(store, templates, unheard)
    return Provisioning(templates, address, fleet, firmware, offers, uploads, unheard, hand_over)
