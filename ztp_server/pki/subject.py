"""The attributes of a certificate's subject, by the names people write."""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import NameOID

from ztp_server.errors import Misconfigured

_OIDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "UID": NameOID.USER_ID,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


def attribute_oid(name: str) -> ObjectIdentifier:
    """The OID of a subject attribute given as `CN` or as `2.5.4.3`. Raises Misconfigured for anything else."""
    try:
        return _OIDS.get(name) or ObjectIdentifier(name)
    except ValueError:
        raise Misconfigured(f"{name!r} is no subject attribute; use an OID or one of {', '.join(_OIDS)}") from None
