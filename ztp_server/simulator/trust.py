"""Whom a simulated phone believes, and the certificate it shows."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from ztp_server.pki.issuing import certificates_pem
from ztp_server.simulator.failure import SimulationFailed


@dataclass(frozen=True)
class Trust:
    """CAs as PEM text, `roots` from the factory and `ca` given later, and the files of the factory certificate.

    `key` may be left out when the certificate's file holds it as well.
    """

    roots: str = ""
    ca: str = ""
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def read(cls, roots: Path | None, ca: Path | None, certificate: Path | None, key: Path | None) -> Trust:
        """Of files; an empty one holds no CA. Raises SimulationFailed naming a file that cannot be used."""
        return cls(_read_cas(roots), _read_cas(ca), certificate, key)

    def with_ca(self, pem: bytes, source: str) -> Trust:
        """The trust of a phone that was given another CA. Raises SimulationFailed naming `source`."""
        return replace(self, ca=_cas(pem, source))

    def context(self) -> ssl.SSLContext:
        """What the phone connects with: it trusts nobody else and compares the server's name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.roots or self.ca:
            context.load_verify_locations(cadata=self.roots + self.ca)
        if self.certificate:
            try:
                # An empty passphrase: with none, OpenSSL would ask for one at the terminal and wait.
                context.load_cert_chain(self.certificate, self.key, password="")
            except OSError as error:
                reason = getattr(error, "reason", None) or error.strerror
                raise SimulationFailed(f"{self.certificate}: no certificate with its key: {reason}") from None
        return context


def _read_cas(path: Path | None) -> str:
    try:
        pem = path.read_bytes() if path else b""
    except OSError as error:
        raise SimulationFailed(f"{path}: {error.strerror}") from None
    return _cas(pem, str(path)) if pem.strip() else ""


def _cas(pem: bytes, source: str) -> str:
    try:
        return certificates_pem(*x509.load_pem_x509_certificates(pem)).decode("ascii")
    except ValueError:
        raise SimulationFailed(f"{source}: no CA certificate (PEM) that a phone can read") from None
