"""The header in which a proxy hands on a phone's certificate: believed on one listener, once the proxy was tried."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from ztp_server.domain.request import Certified
from ztp_server.errors import BadValue
from ztp_server.pki.forwarded import ForwardedCertificates

# RFC 5737: an address for documentation, which no client has.
_FORGED_ADDRESS = "192.0.2.231"

Report = Callable[[str, str, str], None]


@dataclass
class Trial:
    """A request of our own through the proxy, which says of itself what it must not be able to say. `found` is what
    became of that, once it arrived."""

    header: str
    name: str = field(default_factory=lambda: f"ztp-probe-{secrets.token_hex(16)}")
    forged: str = field(default_factory=lambda: f"forged-{secrets.token_hex(16)}")
    found: Literal["", "replaced", "forged"] = ""

    @property
    def headers(self) -> dict[str, str]:
        return {self.header: self.forged, "X-Forwarded-For": _FORGED_ADDRESS}

    def note(self, request: web.BaseRequest, address: str) -> None:
        """Look whether this is it. Its name is as hard to guess as a key, so nobody else can answer for the proxy."""
        if request.raw_path.partition("?")[0].rpartition("/")[2] != self.name:
            return
        passed = any(self.forged in value for value in request.headers.getall(self.header, []))
        self.found = "forged" if passed or address == _FORGED_ADDRESS else "replaced"


class ForwardedHeader:
    """Whose certificate a request on the listener `proxied` tells of."""

    def __init__(self, header: str, certificates: ForwardedCertificates, report: Report) -> None:
        """`header` is empty where no proxy hands certificates on: then it is refused nowhere and believed nowhere."""
        self.header = header
        self.certificates = certificates
        self.believed = False
        self.trial: Trial | None = None
        self._report = report

    def is_forged(self, request: web.BaseRequest, listener: str, peer: str) -> bool:
        """Whether somebody who is no proxy says what only a proxy may say."""
        if not self.header or listener == "proxied" or self.header not in request.headers:
            return False
        self._report("proxy.header_forged", peer, f"{self.header} on the listener {listener}")
        return True

    def certified(self, request: web.BaseRequest, address: str) -> Certified | None:
        """The phone whose certificate the proxy has seen. One that is nobody's counts as none, because the proxy asks
        every phone for one: it is told, and the phone has the other proofs."""
        if self.trial:
            self.trial.note(request, address)
        values = [value for value in request.headers.getall(self.header, []) if value] if self.header else []
        if not values or not self.believed:
            return None
        try:
            if len(values) > 1:
                raise BadValue("certificate", f"{self.header} stands there {len(values)} times")
            device = self.certificates.identify(values[0])
        except BadValue as error:
            self._report("proxy.certificate_refused", address, error.reason)
            return None
        return Certified(device.vendor, device.mac, device.sha256)
