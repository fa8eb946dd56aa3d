"""Signing certificates: an authority for itself, and what it issues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ztp_server.pki.pair import Pair, PrivateKey

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH

_AUTHORITY_LIFE = timedelta(days=20 * 365 + 5)
_LIFE = timedelta(days=825)  # some TLS clients refuse a server certificate that is valid for longer
_CLOCKS_DIFFER = timedelta(days=1)  # a phone's clock, or only its time zone, may be behind ours
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip

_Extensions = Sequence[tuple[x509.ExtensionType, bool]]


def new_key() -> rsa.RSAPrivateKey:
    """RSA, because many phones refuse ECDSA."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def new_authority(name: str) -> Pair:
    """A self-signed authority that issues end certificates only."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    extensions: _Extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage("key_cert_sign", "crl_sign"), True),
    ]
    builder = _builder(subject, subject, key, _AUTHORITY_LIFE, extensions)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(
    authority: Pair,
    key: PrivateKey,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    names: Sequence[x509.GeneralName] = (),
) -> x509.Certificate:
    """An end certificate for `purpose` (SERVER or CLIENT), with `names` as its subject alternative names."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage("digital_signature", "key_encipherment"), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (_authority_key_id(authority), False),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    builder = _builder(subject, authority.certificate.subject, key, _LIFE, extensions)
    return builder.sign(authority.key, hashes.SHA256())


def certificates_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, life: timedelta, extensions: _Extensions
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - _CLOCKS_DIFFER
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + life)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder


def _key_usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})


def _authority_key_id(authority: Pair) -> x509.AuthorityKeyIdentifier:
    """As the authority's certificate says: an operator's own may not have the usual one, and OpenSSL compares them."""
    try:
        key_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
