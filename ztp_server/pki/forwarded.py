"""Certificates that a proxy has seen and hands on whole: looked at again as our own listener would have."""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ztp_server.errors import BadValue
from ztp_server.pki.device import DeviceAuthority, DeviceCertificate, DeviceCertificates
from ztp_server.pki.extensions import UNREADABLE
from ztp_server.pki.pair import is_issued_by
from ztp_server.pki.strength import key_flaw, key_weakness

_PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_LONGEST = 16 * 1024
_REMEMBERED = 16_384


@dataclass(frozen=True)
class _Shown:
    """Stands for the connection that the proxy had."""

    der: bytes

    def getpeercert(self, binary_form: Literal[True], /) -> bytes:
        return self.der


class ForwardedCertificates:
    """Whose certificate it is that a proxy names. The proxy has seen that the phone has its key, and nothing else of
    what it says is believed.

    A handshake sees the CAs between a phone and its maker's root; a header has the phone's certificate alone, so the CA
    that issued it must be one of those listed.
    """

    def __init__(self, authorities: Sequence[DeviceAuthority], devices: DeviceCertificates) -> None:
        self._issuers = [authority.certificate for authority in authorities]
        self._devices = devices
        self._sound: OrderedDict[bytes, x509.Certificate] = OrderedDict()

    def identify(self, header: str, now: datetime | None = None) -> DeviceCertificate:
        """The phone whose certificate a header holds: PEM with its line breaks escaped as in a URL, or DER in base64.

        Raises BadValue saying why it is nobody's.
        """
        der, now = _der(header), now or datetime.now(UTC)
        issuer = self._sound.get(der) or self._check(der)
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            raise BadValue("certificate", f"its CA was valid until {issuer.not_valid_after_utc:%Y-%m-%d}")
        judged = self._devices.judge(_Shown(der), now)
        if judged is None or judged.device is None:
            raise BadValue("certificate", judged.reason if judged else "empty")
        return judged.device

    def _check(self, der: bytes) -> x509.Certificate:
        """The CA that issued it. Remembered, because a phone shows the same certificate with each request."""
        try:
            leaf = x509.load_der_x509_certificate(der)
            issuer = next((issuer for issuer in self._issuers if is_issued_by(leaf, issuer)), None)
            reason = _purpose_flaw(leaf) or _issuer_flaw(issuer) if issuer else "issued by no CA that is listed"
        except UNREADABLE:
            raise BadValue("certificate", "cannot be read") from None
        if issuer is None or reason:
            raise BadValue("certificate", reason)
        self._sound[der] = issuer
        if len(self._sound) > _REMEMBERED:
            self._sound.popitem(last=False)
        return issuer


def _der(header: str) -> bytes:
    if len(header) > _LONGEST:
        raise BadValue("certificate", "too long")
    text = unquote_to_bytes(header)
    pem = _PEM.fullmatch(text)
    try:
        return base64.b64decode(b"".join((pem[1] if pem else text).split()), validate=True)
    except binascii.Error:
        raise BadValue("certificate", "neither PEM nor DER in base64") from None


def _purpose_flaw(leaf: x509.Certificate) -> str:
    """Why a handshake would refuse it from a client (RFC 5280, sections 4.2 (critical extensions), 4.2.1.3 and
    4.2.1.12); empty when it would not."""
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CLIENT_AUTH not in value:
            return "its extended key usage is not that of a client"
        if isinstance(value, x509.KeyUsage) and not (value.digital_signature or value.key_agreement):
            return "its key usage is not that of a client"
        if extension.critical and isinstance(value, x509.UnrecognizedExtension):
            return "it has a critical extension that is not known"
    return ""


def _issuer_flaw(issuer: x509.Certificate) -> str:
    """Why a CA may not have signed it. One that limits the names it signs is none of those that are known, and whether
    it keeps to them is not looked at here."""
    if any(isinstance(extension.value, x509.NameConstraints) for extension in issuer.extensions):
        return "its CA limits the names it signs"
    weak = key_flaw(issuer) or key_weakness(issuer)
    return f"of its CA, {weak}" if weak else ""
