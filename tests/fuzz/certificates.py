"""A client certificate (DER): whose it is, as a listener judges it, as a proxy's header, and as a file; and the input
itself as such a header or file. Signatures are taken for right, so that what lies behind them is reached."""

from __future__ import annotations

import base64
import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from tests.fuzz.engine import CORPUS, Try, fuzz

NOW = datetime(2026, 12, 1, tzinfo=UTC)


class Shown(NamedTuple):
    der: bytes

    def getpeercert(self, binary_form: bool, /) -> bytes:
        return self.der


def prepare() -> Try:
    from cryptography import x509

    from ztp_server.errors import BadValue, Misconfigured
    from ztp_server.pki import device, forwarded, subject
    from ztp_server.pki.device import DeviceAuthority, DeviceCertificates, SubjectRule
    from ztp_server.pki.forwarded import ForwardedCertificates

    for module in (device, forwarded):
        module.is_issued_by = lambda certificate, issuer: True
    authority = x509.load_der_x509_certificate((CORPUS / "certificates" / "ca.der").read_bytes())
    makers = [DeviceAuthority("acme", "acme/ca.pem", authority)]
    rules = {"acme": SubjectRule("CN", re.compile("(?P<mac>[0-9A-Fa-f:.-]+)"), (re.compile("CN=Generic"),))}

    def owner(mac: str) -> str | None:
        return {"0004f2": "acme", "000413": "other"}.get(mac[:6])

    strict = DeviceCertificates(makers, rules, owner)
    lenient = DeviceCertificates(makers, rules, owner, weak=True, expired=True)
    proxied = ForwardedCertificates(makers, strict)

    def try_one(data: bytes) -> None:
        macs = set()
        for devices in (strict, lenient):
            judged = devices.judge(Shown(data), NOW)
            assert judged is None or (judged.device is None) == bool(judged.reason)
            if judged and judged.device:
                macs.add(judged.device.mac)
        pem = ssl.DER_cert_to_PEM_cert(data).encode()
        for read, given in (
            (proxied.identify, base64.b64encode(data).decode()),
            (proxied.identify, data.decode("latin-1")),
            (strict.of_file, pem),
            (lenient.of_file, pem + pem),
            (strict.of_file, data),
        ):
            try:
                macs.add(read(given, NOW).mac)
            except BadValue:
                continue
        assert len(macs) <= 1
        assert all(re.fullmatch("[0-9a-f]{12}", mac) for mac in macs)
        with suppress(Misconfigured):
            subject.attribute_oid(data.decode("latin-1"))

    return try_one


if __name__ == "__main__":
    fuzz("certificates", prepare)
