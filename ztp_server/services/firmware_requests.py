"""Requests for firmware. They carry no MAC: the version stands in the path, the model in the path or the User-Agent."""

from __future__ import annotations

from ztp_server.domain.catalog import Candidate, Seen
from ztp_server.domain.firmware import Firmware
from ztp_server.domain.request import Answer, Outcome, PhoneRequest, Refusal, StoredFile, Unavailable
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.fleet import Fleet
from ztp_server.services.templates import Templates

NO_IMAGE = Refusal("no firmware for this phone")


class FirmwareRequests:
    def __init__(self, fleet: Fleet, templates: Templates, files: FirmwareFiles, check_ins: CheckIns) -> None:
        self._fleet = fleet
        self._templates = templates
        self._files = files
        self._check_ins = check_ins

    async def may_download(self, request: PhoneRequest) -> bool:
        """Firmware is licensed and large: any known maker's certificate, or an address of one of our sites.
        Raises StoreUnavailable."""
        return request.certificate is not None or await self._fleet.at_any_site(request.address)

    async def answer(self, request: PhoneRequest, candidate: Candidate, seen: Seen, outcome: Outcome) -> Answer:
        """The image a phone asks for. Raises StoreUnavailable."""
        if request.method == "PUT":
            return Refusal("firmware is not uploaded by phones")
        if not await self.may_download(request):
            return Refusal("no proof")
        image = await self._image(request, candidate, seen, outcome)
        if image is None:
            return NO_IMAGE
        if not await self._files.is_whole(image.sha256):
            self._check_ins.report(
                "firmware.damaged", image.sha256, f"{image.model} {image.version}: bytes on disk differ"
            )
            return Unavailable(f"firmware {image.version} for {image.model} is damaged on disk")
        return StoredFile(self._files.path(image.sha256), "firmware")

    async def _image(
        self, request: PhoneRequest, candidate: Candidate, seen: Seen, outcome: Outcome
    ) -> Firmware | None:
        catalog, images = self._templates.catalog, await self._fleet.firmware()
        caught = candidate.captured
        model = seen.model if seen.vendor == candidate.vendor else ""
        if "part" in caught:
            by_part = catalog.model_by_part(candidate.vendor, caught["part"])
            if by_part is None:
                return None
            model = by_part.id
        elif "model" in caught:
            model = catalog.model_named(candidate.vendor, caught["model"])
            if not model:
                return None
        if "version" in caught:
            return images.get((model, caught["version"]))
        mac = request.certificate.mac if request.certificate else seen.mac
        known = await self._fleet.find(mac) if mac else None
        if known is None or known.group.vendor.id != candidate.vendor:
            return images.get((model, ""))
        outcome.mac, outcome.model = mac, known.group.model.id
        values = known.effective.plain
        if values["firmware_update"] == "off" or (model and model != known.group.model.id):
            return None
        return images.get((known.group.model.id, values["firmware_version"]))
