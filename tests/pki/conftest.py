"""Certificates as makers issue them, and TLS handshakes in memory."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ztp_server.pki.authority import ServerFiles, ensure_server_files
from ztp_server.pki.device import DeviceAuthority, SubjectRule
from ztp_server.pki.pair import PrivateKey

CN = NameOID.COMMON_NAME


@dataclass
class Minted:
    """A certificate with its key and those above it, without the root: what a client presents."""

    certificate: x509.Certificate
    key: PrivateKey
    above: tuple[x509.Certificate, ...] = ()

    def write(self, folder: Path, *, chain: bool = True) -> tuple[Path, Path]:
        certificate, key = folder / "client.pem", folder / "client.key"
        shown = (self.certificate, *(self.above if chain else ()))
        certificate.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in shown))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key.chmod(0o600)
        return certificate, key

    def trusted_as(self, vendor: str) -> DeviceAuthority:
        return DeviceAuthority(vendor, f"{vendor}/ca.pem", self.certificate)


def mint(
    subject: str | Sequence[tuple[x509.ObjectIdentifier, str]],
    issuer: Minted | None = None,
    *,
    ca: bool = False,
    days: int = 365,
) -> Minted:
    """A certificate with a common name, or with exactly these attributes; self-signed without an issuer."""
    attributes = [(CN, subject)] if isinstance(subject, str) else subject
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    above = (
        (issuer.certificate, *issuer.above)
        if issuer and issuer.certificate.issuer != issuer.certificate.subject
        else ()
    )
    return Minted(certificate, key, above)


@dataclass
class Connected:
    server: ssl.SSLObject
    client: ssl.SSLObject


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Connected:
    """A whole handshake and one request each way, so TLS 1.3 tickets have arrived as well."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = Connected(
        server.wrap_bio(to_server, to_client, server_side=True), client.wrap_bio(to_client, to_server, session=session)
    )
    steps: list[Callable[[], object]] = [
        ends.client.do_handshake, ends.server.do_handshake, lambda: ends.client.write(b"GET"),
        lambda: ends.server.read(3), lambda: ends.server.write(b"200"), lambda: ends.client.read(3),
    ]  # fmt: skip
    for _ in range(12):
        for step in list(steps[:2]):
            try:
                step()
            except ssl.SSLWantReadError:
                continue
    for step in steps[2:]:
        step()
    return ends


@pytest.fixture(scope="session")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return ensure_server_files(tmp_path_factory.mktemp("tls") / "own", ["localhost", "127.0.0.1"])


@pytest.fixture
def client(server_files: ServerFiles, tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """Makes a phone's TLS context, with its certificate if it has one."""

    def made(
        minted: Minted | None = None,
        *,
        chain: bool = True,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        ciphers: str = "DEFAULT",
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.maximum_version = newest
        context.set_ciphers(ciphers)
        context.load_verify_locations(server_files.ca)
        if minted:
            context.load_cert_chain(*minted.write(tmp_path, chain=chain))
        return context

    return made


@pytest.fixture
def minted() -> type[Minted]:
    return Minted


@pytest.fixture(name="mint")
def _mint() -> Callable[..., Minted]:
    return mint


@pytest.fixture(name="shake_hands")
def _shake_hands() -> Callable[..., Connected]:
    return shake_hands


@pytest.fixture
def rules() -> dict[str, SubjectRule]:
    """Two makers who write the MAC in different ways."""
    return {
        "acme": SubjectRule("CN", re.compile(r"(?P<mac>.+)", re.DOTALL)),
        "other": SubjectRule("CN", re.compile(r"SEP(?P<mac>[0-9A-F]{12})")),
    }
