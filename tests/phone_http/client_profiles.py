"""Phones as TLS clients: forty kinds, and what each is to get from each listener.

The expectations follow from OpenSSL's security levels (SSL_CTX_set_security_level(3): level 2 wants 112 bits, so no
SHA-1 signature and no RSA key below 2048 bits; TLS 1.0 and 1.1 sign with SHA-1 and need level 0) and from the trust
that each listener has: the CAs of `certs/`, of `certs/legacy/`, of `certs/expired/`.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LISTENERS = ("http", "https", "mtls", "legacy", "expired")
# What becomes of a request: the phone's own file, an answer without it, or no answer (the handshake fails).
OWN, NOT_FOUND, REFUSED = "own", "404", "-"

# How the client speaks: arguments of `openssl s_client`.
OLD = "DEFAULT:@SECLEVEL=0"
STACKS = {
    "newest": [],
    "1.3": ["-tls1_3"],
    "1.2": ["-tls1_2"],
    "1.2 ecdhe-gcm": ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
    "1.2 ecdhe-chacha": ["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
    "1.2 ecdhe-cbc-sha": ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
    "1.2 rsa-cbc-sha": ["-tls1_2", "-cipher", "AES128-SHA"],
    "1.2 rsa-gcm": ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    "1.2 sha1 signatures": ["-tls1_2", "-cipher", OLD, "-sigalgs", "RSA+SHA1"],
    "1.2 level 0": ["-tls1_2", "-cipher", OLD],
    "1.2 anonymous": ["-tls1_2", "-cipher", "ADH-AES128-SHA:AECDH-AES128-SHA:@SECLEVEL=0"],
    "1.2 null": ["-tls1_2", "-cipher", "NULL-SHA:NULL-SHA256:@SECLEVEL=0"],
    "1.2 psk": ["-tls1_2", "-cipher", "PSK-AES128-CBC-SHA:@SECLEVEL=0", "-psk", "00"],
    "1.2 ecdsa": ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    "1.1": ["-tls1_1", "-cipher", OLD],
    "1.0": ["-tls1", "-cipher", OLD],
    "1.0 rsa": ["-tls1", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"],
    "1.0 ecdhe": ["-tls1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"],
}
# The same to both: with and without a name in the hello.
SNI, NO_SNI = ["-servername", "ztp.example.net"], ["-noservername"]


@dataclass(frozen=True)
class Profile:
    stack: str
    certificate: str
    sni: bool
    expected: dict[str, str]

    @property
    def arguments(self) -> list[str]:
        return [*STACKS[self.stack], *(SNI if self.sni else NO_SNI)]

    def __str__(self) -> str:
        return f"{self.stack}, {self.certificate}, {'SNI' if self.sni else 'no SNI'}"


# stack | certificate | SNI | http https mtls legacy expired
_TABLE = f"""
newest              | none              | yes | - {OWN} -     -     -
newest              | good              | yes | - {OWN} {OWN} -     -
newest              | good              | no  | - {OWN} {OWN} -     -
newest              | below-root        | yes | - {OWN} {OWN} -     -
newest              | old-root          | no  | - {OWN} {OWN} -     -
newest              | other-ca          | yes | - {OWN} -     -     -
newest              | expired-leaf      | yes | - {OWN} -     -     -
newest              | dead-leaf         | yes | - {OWN} -     -     {OWN}
newest              | dead-ca           | no  | - {OWN} -     -     {OWN}
newest              | other-dead        | yes | - {OWN} -     -     -
newest              | alive-pinned      | yes | - {OWN} -     -     {OWN}
newest              | server-only       | yes | - {OWN} -     -     -
newest              | generic           | yes | - {OWN} 404   -     -
newest              | neighbour         | yes | - {OWN} 404   -     -
newest              | old-sha256        | yes | - {OWN} -     {OWN} -
1.3                 | none              | no  | - {OWN} -     -     -
1.3                 | good              | yes | - {OWN} {OWN} -     -
1.3                 | dead-leaf         | yes | - {OWN} -     -     {OWN}
1.3                 | old-sha256        | yes | - {OWN} -     -     -
1.2                 | none              | no  | - {OWN} -     -     -
1.2                 | good              | no  | - {OWN} {OWN} -     -
1.2 ecdhe-gcm       | good              | yes | - {OWN} {OWN} -     -
1.2 ecdhe-chacha    | good              | no  | - {OWN} {OWN} -     -
1.2 ecdhe-cbc-sha   | good              | yes | - {OWN} {OWN} -     -
1.2 ecdhe-cbc-sha   | dead-ca           | yes | - {OWN} -     -     {OWN}
1.2 rsa-cbc-sha     | good              | yes | - -     -     -     -
1.2 rsa-cbc-sha     | old-sha256        | no  | - -     -     {OWN} -
1.2 rsa-gcm         | old-sha256        | yes | - -     -     {OWN} -
1.2 sha1 signatures | old-sha1          | no  | - -     -     {OWN} -
1.2 level 0         | old-sha1          | yes | - {OWN} -     {OWN} -
1.2 level 0         | old-1024          | no  | - {OWN} -     {OWN} -
1.2 level 0         | old-md5           | yes | - {OWN} -     404   -
1.2 level 0         | old-768           | yes | - {OWN} -     404   -
1.2 anonymous       | old-sha256        | yes | - -     -     -     -
1.2 null            | old-sha256        | yes | - -     -     -     -
1.2 psk             | old-sha256        | yes | - -     -     -     -
1.2 ecdsa           | good              | yes | - -     -     -     -
1.1                 | old-sha1          | no  | - -     -     {OWN} -
1.1                 | none              | yes | - -     -     -     -
1.0                 | old-sha1          | yes | - -     -     {OWN} -
1.0                 | old-1024          | no  | - -     -     {OWN} -
1.0                 | old-md5           | no  | - -     -     404   -
1.0                 | good              | no  | - -     -     -     -
1.0 rsa             | old-sha1          | no  | - -     -     {OWN} -
1.0 ecdhe           | old-sha1          | no  | - -     -     {OWN} -
1.0                 | none              | no  | - -     -     -     -
"""


def profiles() -> list[Profile]:
    found = []
    for row in _TABLE.strip().splitlines():
        stack, certificate, sni, outcomes = (cell.strip() for cell in row.split("|"))
        expected = dict(zip(LISTENERS, outcomes.split(), strict=True))
        found.append(Profile(stack, certificate, sni == "yes", expected))
    return found


# ---- the certificates


@dataclass
class Made:
    """A certificate and its key, with the CA certificate that is sent behind it, if any."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    above: x509.Certificate | None = None


class Makers:
    """CAs of one maker, and phones' certificates by them: `folder` has a file for each name of the table. Keys of
    leaves are shared, because only their size matters."""

    def __init__(self, folder: Path, mac: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = rsa.generate_private_key(65537, 2048)
        maker = self._ca("Maker CA")
        root, listed_root = self._ca("Dead root", until=-10), self._ca("Maker root")
        issuing = self._ca("Issuing CA", root)
        below = self._ca("Below the root", listed_root)
        old = self._ca("Old CA")
        dead, pinned = self._ca("Dead CA", until=-5), self._ca("Pinned CA")
        self._put("certs", maker, issuing, listed_root)
        self._put("certs/legacy", old)
        self._put("certs/expired", dead, pinned)
        mac = mac.upper()
        leaves = {
            "good": self._leaf(mac, maker),
            "below-root": self._leaf(mac, below, send=below),
            "old-root": self._leaf(mac, issuing, send=root),
            "other-ca": self._leaf(mac, self._ca("Another CA")),
            "expired-leaf": self._leaf(mac, maker, until=-1),
            "dead-leaf": self._leaf(mac, pinned, until=-1),
            "dead-ca": self._leaf(mac, dead, until=-5),
            "other-dead": self._leaf(mac, self._ca("Dead CA", until=-5), until=-5),
            "alive-pinned": self._leaf(mac, pinned),
            "server-only": self._leaf(mac, maker, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
            "generic": self._leaf("Desk phone", maker),
            "neighbour": self._leaf(mac[:-1] + ("D" if mac[-1] != "D" else "E"), maker),
            "old-sha256": self._leaf(mac, old),
            "old-1024": self._leaf(mac, old, key=rsa.generate_private_key(65537, 1024)),
            "old-sha1": self._by_openssl(mac, old, "sha1", self._key),
            "old-md5": self._by_openssl(mac, old, "md5", self._key),
            "old-768": self._by_openssl(mac, old, "sha256", self._short_key()),
        }
        for name, leaf in leaves.items():
            self._write(name, leaf)

    def arguments(self, name: str) -> list[str]:
        """Of `openssl s_client`, to show a certificate."""
        if name == "none":
            return []
        file = str(self.folder / f"{name}.pem")
        chain = self.folder / f"{name}-above.pem"
        return ["-cert", file, "-key", file, *(["-cert_chain", str(chain)] if chain.exists() else [])]

    def _ca(self, name: str, issuer: Made | None = None, until: int = 3650) -> Made:
        key = rsa.generate_private_key(65537, 2048)
        builder = self._builder(name, issuer, key.public_key(), until)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return Made(builder.sign((issuer.key if issuer else key), hashes.SHA256()), key)

    def _leaf(
        self,
        name: str,
        issuer: Made,
        *,
        until: int = 365,
        key: rsa.RSAPrivateKey | None = None,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
        send: Made | None = None,
    ) -> Made:
        key = key or self._key
        builder = self._builder(name, issuer, key.public_key(), until)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return Made(builder.sign(issuer.key, hashes.SHA256()), key, send and send.certificate)

    def _builder(self, name: str, issuer: Made | None, key: rsa.RSAPublicKey, until: int) -> x509.CertificateBuilder:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=4000))
            .not_valid_after(now + timedelta(days=until))
        )

    def _by_openssl(self, name: str, issuer: Made, digest: str, key: rsa.RSAPrivateKey) -> Made:
        """What the library refuses to sign."""
        public, ca = self.folder / "public.pem", self.folder / "ca.pem"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        ca.write_bytes(_pem(issuer))
        request = ["openssl", "req", "-new", "-key", str(ca), "-subj", f"/CN={name}"]
        signing = ["openssl", "x509", "-req", "-CA", str(ca), "-CAkey", str(ca), "-force_pubkey", str(public)]
        signing += [f"-{digest}", "-days", "365", "-set_serial", "7"]
        asked = subprocess.run(request, check=True, capture_output=True).stdout
        signed = subprocess.run(signing, input=asked, check=True, capture_output=True).stdout
        return Made(x509.load_pem_x509_certificate(signed), key)

    def _short_key(self) -> rsa.RSAPrivateKey:
        made = subprocess.run(["openssl", "genrsa", "768"], check=True, capture_output=True).stdout
        key = load_pem_private_key(made, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def _write(self, name: str, made: Made) -> None:
        (self.folder / f"{name}.pem").write_bytes(_pem(made))
        if made.above:
            (self.folder / f"{name}-above.pem").write_bytes(made.above.public_bytes(Encoding.PEM))

    def _put(self, below: str, *cas: Made) -> None:
        """Into folders as an operator has them, for the maker `poly`."""
        folder = self.folder / below / "poly"
        folder.mkdir(parents=True)
        for number, ca in enumerate(cas):
            (folder / f"{number}.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))


def _pem(made: Made) -> bytes:
    key = made.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return made.certificate.public_bytes(Encoding.PEM) + key
