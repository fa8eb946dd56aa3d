"""The CAs of phone makers, as an operator puts them into folders: `<folder>/<vendor>/*.pem`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ztp_server.errors import Misconfigured

# Below the data folder: CAs of demonstration phones.
DEMO_CERTS = "demo/certs"
_SUFFIXES = {".pem", ".crt", ".cer"}


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
        try:
            is_ca = self.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, ValueError):
            is_ca = False
        if not is_ca:
            subject = self.certificate.subject.rfc4514_string()
            raise Misconfigured(f"{self.file}: {subject!r} is not a CA certificate; put the CA that issued it there")


def load_authorities(folders: Sequence[Path]) -> list[DeviceAuthority]:
    """The CAs of all vendors, each once, the first folder's before the next. A folder that is not there has none.

    Raises Misconfigured naming a file that cannot be read, holds a private key, or a certificate that is not a CA's.
    """
    found: dict[bytes, DeviceAuthority] = {}
    for folder in folders:
        for path in _files(folder):
            for certificate in _certificates(path):
                authority = DeviceAuthority(path.parent.name, str(path), certificate)
                found.setdefault(certificate.fingerprint(hashes.SHA256()), authority)
    return list(found.values())


def _files(folder: Path) -> Iterator[Path]:
    try:
        for vendor in _listed(folder) if folder.exists() else ():
            if vendor.is_dir():
                yield from (path for path in _listed(vendor) if path.suffix.lower() in _SUFFIXES and path.is_file())
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from error


def _listed(folder: Path) -> list[Path]:
    """Without hidden names: editors, file managers and Kubernetes leave copies behind under such."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    if b"PRIVATE KEY-----" in content:
        raise Misconfigured(f"{path}: holds a private key; only the maker's CA certificates belong here")
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificates(content)
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        raise Misconfigured(f"{path}: not a certificate (PEM or DER) that can be read") from None
