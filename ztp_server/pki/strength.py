"""How well a certificate withstands forgery: what does not is refused, what is out of date is for old phones alone."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

# Bits of a key: less is refused, and less than the second is out of date. NIST SP 800-57, part 1, counts 1024 bits of
# RSA as 80 bits of security, 2048 of RSA and 224 of an elliptic curve as 112, and 256 of a curve as 128.
_RSA = (1024, 2048)
_CURVE = (224, 256)


def key_name(certificate: x509.Certificate) -> str:
    """The kind and size of its key, as `RSA 2048` or `EC secp256r1`."""
    key = _key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_") if key else "unknown"


def signature_name(certificate: x509.Certificate) -> str:
    """What it was hashed with when it was signed, as `sha256`; empty for a signature that hashes by itself."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return algorithm.name if algorithm else ""


def key_flaw(certificate: x509.Certificate) -> str:
    """Why what its key signs could be anybody's; empty when it could not."""
    key = _key(certificate)
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return ""
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        return "its key is neither RSA nor of an elliptic curve that is known"
    least = (_RSA if isinstance(key, rsa.RSAPublicKey) else _CURVE)[0]
    return f"its key is short ({key_name(certificate)})" if key.key_size < least else ""


def key_weakness(certificate: x509.Certificate) -> str:
    """Why its key is good for old phones alone; empty when it is good for all."""
    key = _key(certificate)
    if isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        least = (_RSA if isinstance(key, rsa.RSAPublicKey) else _CURVE)[1]
        return f"its key is out of date ({key_name(certificate)})" if key.key_size < least else ""
    return ""


def signature_flaw(certificate: x509.Certificate) -> str:
    """Why the signature on it could be anybody's; empty when it could not. MD5 was broken in certificates in 2008."""
    name = signature_name(certificate)
    if name == "unknown":
        return "it is signed in a way that is not known"
    return "it is signed with MD5" if name == "md5" else ""


def signature_weakness(certificate: x509.Certificate) -> str:
    """Why the signature on it is good for old phones alone; empty when it is good for all."""
    return "it is signed with SHA-1" if signature_name(certificate) == "sha1" else ""


def _key(certificate: x509.Certificate) -> object:
    """None for a key that cannot be read."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
