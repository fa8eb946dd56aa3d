"""Whom a client certificate belongs to: the phone's MAC, on the word of a maker's CA."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, NamedTuple, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from ztp_server.domain.denied_certificate import refusal
from ztp_server.errors import BadValue, Misconfigured
from ztp_server.pki.extensions import UNREADABLE, extension, is_ca
from ztp_server.pki.factory_certificate import BlockOwner, Said, SubjectRule, read_factory_certificate
from ztp_server.pki.makers import DeviceAuthority, load_authorities
from ztp_server.pki.pair import is_issued_by
from ztp_server.pki.strength import key_flaw, key_weakness, signature_flaw, signature_weakness
from ztp_server.pki.subject import attribute_oid

__all__ = ["DeviceAuthority", "DeviceCertificate", "DeviceCertificates", "Judged", "SubjectRule", "load_authorities"]

_CACHED_CERTIFICATES = 16_384
_LEARNED_ISSUERS = 256
_MOST_ABOVE = 4


class Connection(Protocol):
    """What is asked of a TLS connection, as `ssl` answers it: the other end's certificate (DER)."""

    def getpeercert(self, binary_form: Literal[True], /) -> bytes | None: ...


@dataclass(frozen=True)
class DeviceCertificate:
    """A phone, as its factory certificate names it. `mac` is 12 lower-case hex digits, `sha256` its fingerprint."""

    vendor: str
    mac: str
    sha256: str
    not_after: datetime
    subject: str


@dataclass(frozen=True)
class Judged:
    """A certificate that was shown: whose it is, or `reason`, why it is nobody's."""

    sha256: str
    device: DeviceCertificate | None
    reason: str = ""

    @property
    def refused(self) -> str:
        """The reason as logs and check-ins say it."""
        return "" if self.device else refusal(self.sha256, self.reason)


class _Known(NamedTuple):
    """What one certificate says, whenever it is shown. `weakness` is why it counts for old phones alone."""

    judged: Judged
    not_before: datetime
    not_after: datetime
    weakness: str = ""


class DeviceCertificates:
    """Tells whose certificate a connection has. What one certificate says is read once and remembered."""

    def __init__(
        self,
        authorities: Sequence[DeviceAuthority],
        rules: Mapping[str, SubjectRule],
        owner: BlockOwner = lambda mac: None,
        *,
        weak: bool = False,
        expired: bool = False,
    ) -> None:
        """`rules` are by vendor; a vendor without one has no phones that can be told apart. `owner` says which vendor's
        block a MAC is from. `weak` lets pass what is signed with SHA-1 or has a key out of date, `expired` what is past
        its time: each for a listener of its own.

        Raises Misconfigured for a rule with an unknown attribute or without a group `mac`.
        """
        for vendor, rule in rules.items():
            attribute_oid(rule.attribute)
            if "mac" not in rule.pattern.groupindex:
                raise Misconfigured(f"{vendor}: the certificate pattern {rule.pattern.pattern!r} has no group 'mac'")
        self._rules = rules
        self._owner = owner
        self._weak = weak
        self._expired = expired
        self._issuers = {authority.certificate: authority for authority in authorities}
        self._most_issuers = len(self._issuers) + _LEARNED_ISSUERS
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def judge(self, ssl_object: Connection, now: datetime | None = None) -> Judged | None:
        """Whose certificate the other end has shown, or why that is nobody's here; None when it has shown none.

        Call it for every request: a session is resumed for hours without its certificate being looked at again.
        """
        der = ssl_object.getpeercert(True)
        if not der:
            return None
        fingerprint = sha256(der).digest()
        known = self._known.get(fingerprint)
        if known is None:
            known = self._learn(fingerprint, der, ssl_object)
        else:
            self._known.move_to_end(fingerprint)
        return self._at(now or datetime.now(UTC), known)

    def identify(self, ssl_object: Connection, now: datetime | None = None) -> DeviceCertificate | None:
        """The phone at the other end; None for a connection that does not tell."""
        judged = self.judge(ssl_object, now)
        return judged.device if judged else None

    def of_file(self, pem: bytes, now: datetime | None = None) -> DeviceCertificate:
        """The phone that a certificate in a file (PEM, what vouches for it behind it) is of. Nothing is remembered of
        it. Raises BadValue saying why it is nobody's."""
        try:
            leaf, *above = x509.load_pem_x509_certificates(pem)
        except UNREADABLE:
            raise BadValue("certificate", "not a PEM certificate") from None
        try:
            return self._of_chain(leaf, above, now or datetime.now(UTC))
        except UNREADABLE:
            raise BadValue("certificate", "it cannot be read") from None

    def _of_chain(self, leaf: x509.Certificate, above: Sequence[x509.Certificate], now: datetime) -> DeviceCertificate:
        authority = self._authority_above(leaf, above[:_MOST_ABOVE], now)
        if authority is None:
            raise BadValue("certificate", f"no CA in certs/ vouches for its issuer {leaf.issuer.rfc4514_string()!r}")
        if not _is_for_clients(leaf):
            raise BadValue("certificate", "it is not made for clients (extended key usage)")
        known = self._known_of(leaf, leaf.fingerprint(hashes.SHA256()).hex(), authority.vendor)
        judged = self._at(now, known)
        if judged.device is None:
            raise BadValue("certificate", judged.reason)
        return judged.device

    def _authority_above(
        self, leaf: x509.Certificate, above: Sequence[x509.Certificate], now: datetime
    ) -> DeviceAuthority | None:
        """The CA at the end of a chain of certificates that each issued the one before, and may issue others."""
        last = leaf
        for certificate in [*above, None]:
            authority = next((a for issuer, a in self._issuers.items() if is_issued_by(last, issuer)), None)
            if authority or certificate is None:
                return authority
            if not is_issued_by(last, certificate) or not self._may_issue(certificate, now):
                return None
            last = certificate
        return None

    def _may_issue(self, certificate: x509.Certificate, now: datetime) -> bool:
        """Whether a certificate in the middle of a chain that no handshake has verified may stand there."""
        weak = key_weakness(certificate) or signature_weakness(certificate)
        if not is_ca(certificate) or _flaw(certificate) or (weak and not self._weak):
            return False
        begun = certificate.not_valid_before_utc <= now
        return begun and (self._expired or now <= certificate.not_valid_after_utc)

    def _learn(self, fingerprint: bytes, der: bytes, connection: Connection) -> _Known:
        """Not remembered when nobody vouches: that may be for want of a chain, which the next connection can have."""
        try:
            leaf = x509.load_der_x509_certificate(der)
            authority = self._vouching(leaf, connection)
            known = self._known_of(leaf, fingerprint.hex(), authority.vendor) if authority else None
        except UNREADABLE:
            return _nobodys(fingerprint.hex(), "it cannot be read")
        if known is None:
            return _nobodys(fingerprint.hex(), "no CA in certs/ vouches for it")
        self._known[fingerprint] = known
        if len(self._known) > _CACHED_CERTIFICATES:
            self._known.popitem(last=False)
        return known

    def _vouching(self, leaf: x509.Certificate, connection: Connection) -> DeviceAuthority | None:
        """The CA that issued the certificate, itself or through others."""
        for issuer, authority in self._issuers.items():
            if is_issued_by(leaf, issuer):
                return authority
        above = _verified_chain(connection)[1:]
        for certificate in above:
            found = self._issuers.get(certificate)
            if found:
                break
            if _flaw(certificate):  # The handshakes of old phones let it pass.
                return None
        else:
            return None
        if len(self._issuers) < self._most_issuers:
            # A resumed session has no chain, so the CA in between is remembered: it vouches directly from now on.
            self._issuers[above[0]] = found
        return found

    def _known_of(self, leaf: x509.Certificate, fingerprint: str, vendor: str) -> _Known:
        not_before, not_after = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        try:
            said = self._read(leaf, vendor)
        except BadValue as error:
            return _Known(Judged(fingerprint, None, error.reason), not_before, not_after)
        device = DeviceCertificate(vendor, said.mac, fingerprint, not_after, leaf.subject.rfc4514_string())
        return _Known(Judged(fingerprint, device), not_before, not_after, said.weakness)

    def _read(self, leaf: x509.Certificate, vendor: str) -> Said:
        if vendor not in self._rules:
            raise BadValue("certificate", f"where {vendor} writes the MAC is not known")
        return read_factory_certificate(leaf, vendor, self._rules[vendor], self._owner)

    def _at(self, now: datetime, known: _Known) -> Judged:
        """What is known of a certificate, at one time."""
        judged = known.judged
        if judged.device is None:
            return judged
        if known.weakness and not self._weak:
            return replace(judged, device=None, reason=f"{known.weakness}, which counts on the listener legacy alone")
        if now < known.not_before:
            return replace(judged, device=None, reason=f"it is not valid before {known.not_before:%Y-%m-%d}")
        if known.not_after < now and not self._expired:
            return replace(judged, device=None, reason=f"it is not valid now, but was until {known.not_after:%Y-%m-%d}")
        return judged


def _flaw(certificate: x509.Certificate) -> str:
    return signature_flaw(certificate) or key_flaw(certificate)


def _nobodys(fingerprint: str, reason: str) -> _Known:
    at = datetime.min.replace(tzinfo=UTC)
    return _Known(Judged(fingerprint, None, reason), at, at)


def _is_for_clients(leaf: x509.Certificate) -> bool:
    """Whether it may be shown by a client; one that does not say for what it is may (RFC 5280, section 4.2.1.12).
    Raises BadValue when its extensions cannot be read."""
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    clients = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return purposes is None or bool(clients & set(purposes))


def _verified_chain(ssl_object: Connection) -> list[x509.Certificate]:
    """The chain the handshake verified, leaf first; empty on a resumed session. Public in `ssl` from Python 3.13 on."""
    get_chain = getattr(getattr(ssl_object, "_sslobj", None), "get_verified_chain", None)
    chain = get_chain() if get_chain else None
    return [x509.load_pem_x509_certificate(certificate.public_bytes().encode()) for certificate in chain or ()]
