"""The CAs of phone makers, as an operator puts them into folders: `<folder>/<vendor>/*.pem`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ztp_server.errors import BadValue, Misconfigured
from ztp_server.pki.extensions import UNREADABLE, is_ca, read_whole
from ztp_server.pki.strength import key_flaw, key_weakness, signature_flaw, signature_weakness

# Below the data folder: CAs of demonstration phones.
DEMO_CERTS = "demo/certs"
# Below each folder with CAs, again one folder a vendor: `legacy/<vendor>/` is for the listener of old phones alone,
# `expired/<vendor>/` for the one that takes chains whose time is over. Neither counts on other listeners, and what lies
# in `<vendor>/` counts on neither of these two: an operator decides for each CA how far its word goes.
LEGACY_CERTS = "legacy"
EXPIRED_CERTS = "expired"
_SUFFIXES = {".pem", ".crt", ".cer"}


@dataclass(frozen=True)
class MakerFolders:
    """Where CAs of makers lie: `own` is the administrator's, the one that is written to; `shipped` came with the
    program; those of `demo` count only for a server that was started as a demonstration."""

    shipped: Path
    own: Path
    demo: Path

    def counted(self, is_demo: bool) -> list[Path]:
        """The folders whose CAs a server trusts."""
        return [self.shipped, self.own, *([self.demo] if is_demo else [])]


@dataclass(frozen=True)
class DeviceAuthority:
    """A CA whose word counts for phones of `vendor`.

    Raises Misconfigured naming `file` for a certificate that is not a CA's: everything in the trust store is an
    anchor, so a phone's own certificate there would let in whoever holds its key.
    """

    vendor: str
    file: str
    certificate: x509.Certificate

    def __post_init__(self) -> None:
        if not is_ca(self.certificate):
            subject = self.certificate.subject.rfc4514_string()
            raise Misconfigured(f"{self.file}: {subject!r} is not a CA certificate; put the CA that issued it there")

    @cached_property
    def sha256(self) -> str:
        """The pin: of the certificate itself, however it is written down. 64 hex digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @cached_property
    def flaw(self) -> str:
        """Why its word counts nowhere; empty when it does."""
        return signature_flaw(self.certificate) or key_flaw(self.certificate)

    @cached_property
    def weakness(self) -> str:
        """Why its word counts for old phones alone; empty when it counts for all."""
        return key_weakness(self.certificate)

    @cached_property
    def remark(self) -> str:
        """What is worth knowing though it changes nothing. How a CA itself is signed does not matter once it is pinned;
        who signed it so is likely to have signed phones so, and OpenSSL takes those at level 0 only."""
        return signature_weakness(self.certificate)

    def is_expired(self, now: datetime | None = None) -> bool:
        return self.certificate.not_valid_after_utc < (now or datetime.now(UTC))

    def problem(self, listener: str = "mtls", now: datetime | None = None) -> str:
        """Why its word does not count on a listener (named as in domain/request.py); empty when it does."""
        now = now or datetime.now(UTC)
        if self.flaw:
            return self.flaw
        if self.weakness and listener != "legacy":
            return f"{self.weakness}, which counts on the listener legacy alone"
        if now < self.certificate.not_valid_before_utc:
            return f"it is not valid before {self.certificate.not_valid_before_utc:%Y-%m-%d}"
        if self.is_expired(now) and listener != "expired":
            until = f"{self.certificate.not_valid_after_utc:%Y-%m-%d}"
            return f"it expired on {until}, which counts on the listener expired alone"
        return ""


def load_authorities(folders: Sequence[Path], listener: str = "mtls") -> list[DeviceAuthority]:
    """The CAs of all vendors whose word counts on a listener now, each once, the first folder's before the next. A
    folder that is not there has none.

    Raises Misconfigured naming a file that cannot be read, holds a private key, or a certificate that is not a CA's.
    """
    below = {"legacy": LEGACY_CERTS, "expired": EXPIRED_CERTS}.get(listener, "")
    return [authority for authority in all_authorities([f / below for f in folders]) if not authority.problem(listener)]


def all_authorities(folders: Sequence[Path]) -> list[DeviceAuthority]:
    """As `load_authorities`, those whose word does not count among them."""
    found: dict[str, DeviceAuthority] = {}
    for authority in authorities_of_files(folders):
        found.setdefault(authority.sha256, authority)
    return list(found.values())


def authorities_of_files(folders: Sequence[Path]) -> Iterator[DeviceAuthority]:
    """As `all_authorities`, one that lies in several files once for each."""
    for folder in folders:
        for path in _files(folder):
            yield from (DeviceAuthority(path.parent.name, str(path), one) for one in _certificates(path))


def _files(folder: Path) -> Iterator[Path]:
    try:
        for vendor in _listed(folder) if folder.exists() else ():
            if vendor.is_dir() and vendor.name not in (LEGACY_CERTS, EXPIRED_CERTS):
                yield from (path for path in _listed(vendor) if path.suffix.lower() in _SUFFIXES and path.is_file())
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from error


def _listed(folder: Path) -> list[Path]:
    """Without hidden names: editors, file managers and Kubernetes leave copies behind under such."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return parse_certificates(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    except BadValue as error:
        raise Misconfigured(f"{path}: {error.reason}") from None


def parse_certificates(content: bytes) -> list[x509.Certificate]:
    """The certificates of a file: any number in PEM, or one in DER. Raises BadValue."""
    if b"PRIVATE KEY-----" in content:
        raise BadValue("certificate", "holds a private key; only the maker's CA certificates belong here")
    try:
        is_pem = b"-----BEGIN" in content
        found = x509.load_pem_x509_certificates(content) if is_pem else [x509.load_der_x509_certificate(content)]
        for certificate in found:
            read_whole(certificate)
        return found
    except UNREADABLE:
        raise BadValue("certificate", "not a certificate (PEM or DER) that can be read") from None
