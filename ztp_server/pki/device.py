"""Whom a client certificate belongs to: the phone's MAC, on the word of a maker's CA."""

from __future__ import annotations

import re
import ssl
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from ztp_server.domain.hardware_id import normalise_mac
from ztp_server.errors import BadValue, Misconfigured
from ztp_server.pki.makers import DeviceAuthority, load_authorities
from ztp_server.pki.pair import is_issued_by
from ztp_server.pki.subject import attribute_oid

__all__ = ["DeviceAuthority", "DeviceCertificate", "DeviceCertificates", "SubjectRule", "load_authorities"]

_CACHED_CERTIFICATES = 16_384
_LEARNED_ISSUERS = 256

_Connection = ssl.SSLObject | ssl.SSLSocket


@dataclass(frozen=True)
class SubjectRule:
    """Where a maker writes the MAC: the one value of `attribute` (`CN`, or an OID), matched whole by `pattern`."""

    attribute: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class DeviceCertificate:
    """A phone, as its factory certificate names it. `mac` is 12 lower-case hex digits, `sha256` its fingerprint."""

    vendor: str
    mac: str
    sha256: str
    not_after: datetime
    subject: str


class _Known(NamedTuple):
    device: DeviceCertificate | None
    not_before: datetime


class DeviceCertificates:
    """Tells whose certificate a connection has. What one certificate says is read once and remembered."""

    def __init__(self, authorities: Sequence[DeviceAuthority], rules: Mapping[str, SubjectRule]) -> None:
        """`rules` are by vendor; a vendor without one has no phones that can be told apart.

        Raises Misconfigured for a rule with an unknown attribute or without a group `mac`.
        """
        for vendor, rule in rules.items():
            if "mac" not in rule.pattern.groupindex:
                raise Misconfigured(f"{vendor}: the certificate pattern {rule.pattern.pattern!r} has no group 'mac'")
        self._rules = {vendor: (attribute_oid(rule.attribute), rule.pattern) for vendor, rule in rules.items()}
        self._issuers = {authority.certificate: authority.vendor for authority in authorities}
        self._most_issuers = len(self._issuers) + _LEARNED_ISSUERS
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def identify(self, ssl_object: _Connection, now: datetime | None = None) -> DeviceCertificate | None:
        """The phone at the other end; None for a connection that does not tell.

        Call it for every request: a session is resumed for hours without its certificate being looked at again.
        """
        der = ssl_object.getpeercert(True)
        if not der:
            return None
        fingerprint = sha256(der).digest()
        known = self._known.get(fingerprint) or self._learn(fingerprint, der, ssl_object)
        if known is None or known.device is None:
            return None
        self._known.move_to_end(fingerprint)
        return known.device if known.not_before <= (now or datetime.now(UTC)) <= known.device.not_after else None

    def of_file(self, pem: bytes, now: datetime | None = None) -> DeviceCertificate:
        """The phone that a certificate in a file (PEM, what vouches for it behind it) is of. Nothing is remembered of
        it. Raises BadValue saying why it is nobody's."""
        try:
            leaf, *above = x509.load_pem_x509_certificates(pem)
        except ValueError:
            raise BadValue("certificate", "not a PEM certificate") from None
        vendor = self._vendor_above(leaf, above)
        if vendor is None:
            raise BadValue("certificate", f"no CA in certs/ vouches for its issuer {leaf.issuer.rfc4514_string()!r}")
        device = self._read(leaf, vendor, leaf.fingerprint(hashes.SHA256()).hex())
        if device is None:
            subject = leaf.subject.rfc4514_string()
            raise BadValue("certificate", f"no MAC where {vendor} writes it, in {subject!r}, or signed with MD5")
        if not leaf.not_valid_before_utc <= (now or datetime.now(UTC)) <= device.not_after:
            raise BadValue("certificate", f"not valid now, but until {device.not_after:%Y-%m-%d}")
        return device

    def _vendor_above(self, leaf: x509.Certificate, above: Sequence[x509.Certificate]) -> str | None:
        """The vendor whose CA stands at the end of a chain of certificates that each issued the one before."""
        last = leaf
        for certificate in [*above, None]:
            vendor = next((v for issuer, v in self._issuers.items() if is_issued_by(last, issuer)), None)
            if vendor or certificate is None or not is_issued_by(last, certificate):
                return vendor
            last = certificate
        return None

    def _learn(self, fingerprint: bytes, der: bytes, ssl_object: _Connection) -> _Known | None:
        """Not remembered when nobody vouches: that may be for want of a chain, which the next connection can have."""
        try:
            leaf = x509.load_der_x509_certificate(der)
            vendor = self._vouching(leaf, ssl_object)
            if vendor is None:
                return None
            known = _Known(self._read(leaf, vendor, fingerprint.hex()), leaf.not_valid_before_utc)
        except (ValueError, UnsupportedAlgorithm):
            return None
        self._known[fingerprint] = known
        if len(self._known) > _CACHED_CERTIFICATES:
            self._known.popitem(last=False)
        return known

    def _vouching(self, leaf: x509.Certificate, ssl_object: _Connection) -> str | None:
        """The vendor whose CA issued the certificate, itself or through others."""
        for issuer, vendor in self._issuers.items():
            if is_issued_by(leaf, issuer):
                return vendor
        above = _verified_chain(ssl_object)[1:]
        found = next(filter(None, map(self._issuers.get, above)), None)
        if found and len(self._issuers) < self._most_issuers:
            # A resumed session has no chain, so the CA in between is remembered: it vouches directly from now on.
            self._issuers[above[0]] = found
        return found

    def _read(self, leaf: x509.Certificate, vendor: str, fingerprint: str) -> DeviceCertificate | None:
        # Security level 2 refuses MD5 in the handshake; the old phones' level 0 does not, and MD5 can be forged.
        if vendor not in self._rules or isinstance(leaf.signature_hash_algorithm, hashes.MD5):
            return None
        oid, pattern = self._rules[vendor]
        values = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(oid)]
        match = pattern.fullmatch(values[0]) if len(values) == 1 and isinstance(values[0], str) else None
        mac = normalise_mac(match["mac"] or "") if match else None
        if mac is None:
            return None
        return DeviceCertificate(vendor, mac, fingerprint, leaf.not_valid_after_utc, leaf.subject.rfc4514_string())


def _verified_chain(ssl_object: _Connection) -> list[x509.Certificate]:
    """The chain the handshake verified, leaf first; empty on a resumed session. Public in `ssl` from Python 3.13 on."""
    get_chain = getattr(getattr(ssl_object, "_sslobj", None), "get_verified_chain", None)
    chain = get_chain() if get_chain else None
    return [x509.load_pem_x509_certificate(certificate.public_bytes().encode()) for certificate in chain or ()]
