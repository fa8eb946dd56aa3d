"""Whether a certificate that something at a phone's address shows is that phone's own, from its factory."""

from __future__ import annotations

import asyncio
from functools import partial

from ztp_server.errors import BadValue
from ztp_server.phone_interface import Proof
from ztp_server.pki.device import DeviceCertificates
from ztp_server.pki.makers import MakerFolders, load_authorities
from ztp_server.services.address import ServerAddress
from ztp_server.services.maker_rules import device_certificates
from ztp_server.services.notify_plan import RestTry
from ztp_server.services.templates import Templates


class PhoneCertificates:
    """By the CAs of makers as they lie in their folders now."""

    def __init__(self, templates: Templates, address: ServerAddress, makers: MakerFolders | None) -> None:
        self._templates = templates
        self._address = address
        self._makers = makers

    async def proof_of(self, wanted: RestTry) -> Proof | None:
        """How to tell; None where it cannot be told: the model has no factory certificate, or its maker's CA is not
        here. Raises Misconfigured naming a file that cannot be read."""
        if not wanted.has_certificate or self._makers is None:
            return None
        folders = self._makers.counted(self._address.is_demo)
        authorities = await asyncio.to_thread(load_authorities, folders)
        if not any(one.vendor == wanted.vendor for one in authorities):
            return None
        devices = device_certificates(authorities, self._templates.catalog)
        return partial(_why_not, devices, wanted)


def _why_not(devices: DeviceCertificates, wanted: RestTry, pem: bytes) -> str:
    """Why a certificate, with those above it, is not the phone's; empty when it is."""
    try:
        device = devices.of_file(pem)
    except BadValue as error:
        return f"its certificate is not believed: {error.reason}"
    if (device.vendor, device.mac) != (wanted.vendor, wanted.mac):
        return f"{wanted.address} is another phone by its certificate: {device.mac}"
    return ""
