"""What a certificate's extensions say, of any certificate that somebody may show."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ztp_server.errors import BadValue

# What reading a certificate raises that was made wrong, or in a way that nobody knows.
UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm),
    # A name whose value is a BIT STRING where `cryptography` knows none.
    TypeError,
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)

Kind = TypeVar("Kind", bound=x509.ExtensionType)


def extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """The value of one extension, None when it is not there. Raises BadValue when it cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        raise BadValue("certificate", "its extensions cannot be read") from None


def read_whole(certificate: x509.Certificate) -> None:
    """Names and dates are read when they are asked for, which is too late for whoever shows them. Raises one of
    UNREADABLE."""
    _ = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may issue others (RFC 5280, sections 4.2.1.9 and 4.2.1.3)."""
    try:
        constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    except BadValue:
        return False
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)
