"""A certificate and its private key, as two files of one folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ztp_server.errors import Misconfigured

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate (the first of its file) and the private key that belongs to it."""

    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Pair | None:
        """The pair of two PEM files; None when neither is there.

        Raises Misconfigured when only one is there, when a file is broken, when the two do not belong together, and
        when others can read the key.
        """
        there, missing = _sorted_by_presence(certificate, key)
        if not there:
            return None
        if missing:
            raise Misconfigured(f"{there[0]} is there but {missing[0]} is missing: put it back, or move both away")
        pair = cls(read_certificate(certificate), _read_key(key))
        if pair.certificate.public_key() != pair.key.public_key():
            raise Misconfigured(f"{certificate} and {key} do not belong together")
        return pair

    def issued(self, certificate: x509.Certificate) -> bool:
        return is_issued_by(certificate, self.certificate)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` itself signed it; validity and purpose are not looked at, nor whether the signature is one that
    could be forged by now: see pki/strength.py."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _is_issued_by_the_old(certificate, issuer)
    except InvalidSignature:
        return False
    return True


def _is_issued_by_the_old(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """The same for signatures with SHA-1 and MD5, of which `cryptography` verifies none in certificates."""
    try:
        digest, key = certificate.signature_hash_algorithm, issuer.public_key()
        if not isinstance(digest, (hashes.SHA1, hashes.MD5)) or certificate.issuer != issuer.subject:
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
        else:
            return False
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises Misconfigured naming the file."""
    try:
        return x509.load_pem_x509_certificates(_read(path))[0]
    except ValueError:
        raise Misconfigured(f"{path}: no PEM certificate in it that can be read") from None


def write_files(folder: Path, *files: tuple[Path, bytes, int]) -> None:
    """Put files (path, content, mode) into `folder`, each whole or not at all. Raises Misconfigured naming it.

    All are safe on the disk before the first takes its name, so a crash hardly ever finds half a pair.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content, mode in files:
            _write(_temporary(path), content, mode)
        for path, _, _ in files:
            os.replace(_temporary(path), path)
        sync_folder(folder)
    except OSError as error:
        raise Misconfigured(f"{folder}: cannot write certificates there: {error.strerror}") from error


def _sorted_by_presence(*paths: Path) -> tuple[list[Path], list[Path]]:
    try:
        there = [path for path in paths if path.exists()]
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from error
    return there, [path for path in paths if path not in there]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error


def _read_key(path: Path) -> PrivateKey:
    text = _read(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Misconfigured(f"{path}: other users may read this private key (mode {mode:03o}); chmod 600 {path}")
    try:
        # Without looking whether its primes are: that takes longer than all else of a start, and TLS compares the key
        # with its certificate.
        key = load_pem_private_key(text, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise Misconfigured(f"{path}: the private key asks for a passphrase; store it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Misconfigured(f"{path}: no PEM private key in it that can be read") from None
    if not isinstance(key, PrivateKey):
        raise Misconfigured(f"{path}: the private key is neither RSA nor ECDSA")
    return key


def _temporary(path: Path) -> Path:
    """The same name each time, so what a crash left behind is overwritten, not collected."""
    return path.with_name(f".{path.name}.new")


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Without this a power cut can undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
