"""Requests for firmware. They carry no MAC: the version stands in the path, the model in the path or the User-Agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ztp_server.domain.catalog import Candidate, Seen
from ztp_server.domain.firmware import Firmware, Library, Offer, choose, is_older
from ztp_server.domain.request import Answer, Outcome, PhoneRequest, Refusal, StoredFile, Unavailable, unproven
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.firmware_offers import FirmwareOffers
from ztp_server.services.fleet import Fleet
from ztp_server.services.own_files import Known, make_offer
from ztp_server.services.proving import NO_PROOF, prove
from ztp_server.services.templates import Templates

NO_IMAGE = Refusal("no firmware for this phone")
_OF_NO_MODEL = Offer("", "", False, "its model is not known")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks for an image of which model. `running` is what it runs, if that is known; `known` is the phone where its
    settings decide."""

    model: str
    running: str
    known: Known | None


class FirmwareRequests:
    def __init__(
        self, fleet: Fleet, templates: Templates, files: FirmwareFiles, offers: FirmwareOffers, check_ins: CheckIns
    ) -> None:
        self._fleet = fleet
        self._templates = templates
        self._files = files
        self._offers = offers
        self._check_ins = check_ins

    async def may_download(self, request: PhoneRequest) -> bool:
        """Firmware is licensed and large: any known maker's certificate, an address of one of our sites, or what a
        phone of ours proves itself with. Raises StoreUnavailable."""
        if request.certificate is not None or await self._fleet.at_any_site(request.address):
            return True
        mac = await self._fleet.whose(request)
        known = await self._fleet.find(mac) if mac else None
        verdict = prove(known, request, datetime.now(UTC)) if known else NO_PROOF
        # What has to be bound first is used for a file of the phone's own.
        return bool(verdict.proof) and verdict.unused is None

    async def answer(self, request: PhoneRequest, candidate: Candidate, seen: Seen, outcome: Outcome) -> Answer:
        """The image a phone asks for. Raises StoreUnavailable."""
        if request.method == "PUT":
            return Refusal("firmware is not uploaded by phones")
        if not await self.may_download(request):
            return unproven(request, "no proof")
        asked = await self._asked(request, candidate, seen)
        if asked is None:
            return NO_IMAGE
        if asked.known:
            outcome.mac, outcome.model = asked.known.phone.hardware_id, asked.known.group.model.id
        found = self._image(asked, candidate.captured.get("version", ""), await self._fleet.firmware())
        return found if isinstance(found, Refusal) else await self._whole(found)

    async def _asked(self, request: PhoneRequest, candidate: Candidate, seen: Seen) -> _Asked | None:
        """None when no model of the maker can be meant, or another one than the phone is."""
        same_maker = seen.vendor == candidate.vendor
        model = self._model(candidate, seen.model if same_maker else "")
        if model is None:
            return None
        running, version = seen.firmware if same_maker else "", candidate.captured.get("version", "")
        if version and not is_older(version, running):
            return _Asked(model, running, None)  # The name says all, whoever asks.
        mac = await self._fleet.whose(request) or seen.mac
        known = await self._fleet.find(mac) if mac else None
        # Whoever names a phone and is not that phone is told what one is told that is none of ours.
        is_it = known is not None and bool(prove(known, request, datetime.now(UTC)).proof)
        if known is None or not is_it or known.group.vendor.id != candidate.vendor:
            return _Asked(model, running, None)
        if version:
            return _Asked(model, running, known)
        own = known.group.model.id
        return _Asked(own, running or known.running, known) if model in ("", own) else None

    def _model(self, candidate: Candidate, seen: str) -> str | None:
        """The model a path or else a User-Agent names, empty when neither does; None when the path names no known
        one."""
        catalog, caught = self._templates.catalog, candidate.captured
        if "part" in caught:
            by_part = catalog.model_by_part(candidate.vendor, caught["part"])
            return by_part.id if by_part else None
        if "model" in caught:
            return catalog.model_named(candidate.vendor, caught["model"]) or None
        return seen

    def _image(self, asked: _Asked, version: str, library: Library) -> Firmware | Refusal:
        """The image of a name with a version, or of one that leaves it open."""
        offer = self._offer(asked, version, library)
        self._offers.report(asked.model, offer)
        if not offer.update or (version and offer.version != version):
            return Refusal(f"no firmware for this phone: {offer.reason}")
        return library.get(asked.model, offer.version) or NO_IMAGE

    def _offer(self, asked: _Asked, version: str, library: Library) -> Offer:
        if asked.known and not version:
            return make_offer(asked.known, library, asked.running)
        # A name with a version was decided on when the phone's file was made, which may be long ago: what must not
        # happen is looked at again. A boot loader does not say what the phone runs, so that the decision holds.
        model = self._templates.catalog.models.get(asked.model)
        if model is None:
            return _OF_NO_MODEL
        wanted = version or library.default(model.id)
        steps = self._templates.catalog.family_of(model).firmware_steps(model.id)
        downgrade = asked.known is not None and asked.known.effective.plain["firmware_downgrade"]
        return choose(asked.running, wanted, library.versions(model.id), steps, downgrade)

    async def _whole(self, image: Firmware) -> Answer:
        if not await self._files.is_whole(image.sha256):
            self._check_ins.report(
                "firmware.damaged", image.sha256, f"{image.model} {image.version}: bytes on disk differ"
            )
            return Unavailable(f"firmware {image.version} for {image.model} is damaged on disk")
        return StoredFile(self._files.path(image.sha256), "firmware")
