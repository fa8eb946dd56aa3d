"""The certificates in service, and their replacement while phones are being served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.request import Listener
from ztp_server.pki.authority import ServerFiles, ensure_server_files
from ztp_server.pki.contexts import expired_context, https_context, legacy_context, mtls_context
from ztp_server.pki.device import DeviceCertificates, load_authorities
from ztp_server.pki.forwarded import ForwardedCertificates
from ztp_server.pki.makers import LEGACY_CERTS, all_authorities
from ztp_server.pki.pair import is_issued_by, read_certificate
from ztp_server.services.maker_rules import device_certificates


@dataclass(frozen=True)
class Certificates:
    """One consistent set: a context for each TLS listener, and whose certificate one is, by the CAs of the listener.

    A listener that is not among `devices` asks for no certificate: `https`, and `legacy` when it has no CA."""

    contexts: Mapping[Listener, SSLContext]
    devices: Mapping[Listener, DeviceCertificates]
    forwarded: ForwardedCertificates
    makers: frozenset[str]
    ca_pem: str
    expires: datetime

    @property
    def days_left(self) -> int:
        """Days until the server's certificate expires; negative when it has."""
        return (self.expires - datetime.now(UTC)).days


class CertificateFiles:
    """Where the files are: the server's own folder, and the folders with makers' CAs."""

    def __init__(self, folder: Path, names: Sequence[str], makers: Sequence[Path]) -> None:
        self._folder = folder
        self._names = names
        self._makers = makers
        self._looked_at: object = None

    def load(self, catalog: Catalog) -> Certificates:
        """Read everything anew, making our own certificate where there is none. Raises Misconfigured naming the file
        that cannot be used; nothing in service is touched by that."""
        self._looked_at = self._look()  # what cannot be used is looked at again when it has changed, not before
        files = ensure_server_files(self._folder, self._names)
        self._looked_at = self._look()
        authorities = load_authorities(self._makers)
        legacy = load_authorities(self._makers, "legacy")
        expired = load_authorities(self._makers, "expired")
        devices = device_certificates(authorities, catalog)
        # CAs that are there and do not count must not make a listener that asks for no certificate.
        demanded = bool(all_authorities([folder / LEGACY_CERTS for folder in self._makers]))
        of_old: dict[Listener, DeviceCertificates] = (
            {"legacy": device_certificates(legacy, catalog, weak=True)} if demanded else {}
        )
        return Certificates(
            contexts={
                "https": https_context(files),
                "mtls": mtls_context(files, authorities),
                "legacy": legacy_context(files, legacy if demanded else None),
                "expired": expired_context(files, expired),
            },
            devices={"mtls": devices, "expired": device_certificates(expired, catalog, expired=True), **of_old},
            forwarded=ForwardedCertificates(authorities, devices),
            makers=frozenset(authority.vendor for authority in authorities),
            ca_pem=_ca_pem(files),
            expires=read_certificate(files.certificate).not_valid_after_utc,
        )

    def changed(self) -> bool:
        """Whether any file is another than when it was last loaded."""
        return self._look() != self._looked_at

    def _look(self) -> object:
        found = []
        for folder in (self._folder, *self._makers):
            for path in sorted(folder.rglob("*")):
                try:
                    state = path.stat()
                except OSError:
                    continue
                if path.is_file() and not path.name.startswith("."):
                    found.append((str(path), state.st_mtime_ns, state.st_size, state.st_ino))
        return found


def _ca_pem(files: ServerFiles) -> str:
    """The CA that phones are told to trust, or nothing when there is none that a phone could start from.

    It is ca.pem when that signed the server's certificate or the top of its chain, else a root that the chain itself
    ends in. An intermediate alone is no help: with a certificate of a public CA, phones use their own roots.
    """
    chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    ca, top = x509.load_pem_x509_certificates(files.ca.read_bytes())[0], chain[-1]
    if is_issued_by(chain[0], ca) or is_issued_by(top, ca):
        return ca.public_bytes(Encoding.PEM).decode()
    is_root = len(chain) > 1 and top.subject == top.issuer and is_issued_by(top, top)
    return top.public_bytes(Encoding.PEM).decode() if is_root else ""
