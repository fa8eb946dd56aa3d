"""What a phone's factory certificate says: one MAC, where its maker writes it, and nothing that contradicts it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509

from ztp_server.domain.hardware_id import MAC_PATTERN, normalise_mac
from ztp_server.errors import BadValue
from ztp_server.pki.extensions import extension
from ztp_server.pki.strength import key_flaw, key_weakness, signature_flaw, signature_weakness
from ztp_server.pki.subject import attribute_oid

# id-on-MACAddress: an OCTET STRING of 6 bytes (EUI-48), or of 8, which no phone has (draft-ietf-lamps-macaddress-on).
MAC_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.12")
_MAC_IN_TEXT = re.compile(rf"(?<![0-9A-Fa-f])({MAC_PATTERN})(?![0-9A-Fa-f])")
_DIGITS = re.compile("[0-9]{12}")

# The maker whose block a MAC is from, None for a block of no maker.
BlockOwner = Callable[[str], str | None]


@dataclass(frozen=True)
class SubjectRule:
    """Where a maker writes the MAC: the one value of `attribute` (`CN`, or an OID), matched whole by `pattern`. Many
    phones share a certificate in whose subject (RFC 4514) one of `generic` is found."""

    attribute: str
    pattern: re.Pattern[str]
    generic: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True)
class Said:
    """The MAC in a certificate (12 lower-case hex digits), and why it counts for old phones alone, if it does."""

    mac: str
    weakness: str


def read_factory_certificate(leaf: x509.Certificate, vendor: str, rule: SubjectRule, owner: BlockOwner) -> Said:
    """Whose a certificate by `vendor` is. Raises BadValue saying why it is nobody's."""
    flaw = signature_flaw(leaf) or key_flaw(leaf)
    if flaw:
        raise _nobodys(flaw)
    subject = leaf.subject.rfc4514_string()
    if any(pattern.search(subject) for pattern in rule.generic):
        raise _nobodys(f"many phones of {vendor} share it ({subject!r})")
    mac = _mac_of_one_phone(_one_value(leaf.subject, rule), vendor, rule)
    others = sorted(other for other in set(_other_macs(leaf, owner)) if other != mac)
    if others:
        raise _nobodys(f"it names two MACs, {mac} and {others[0]}")
    maker = owner(mac)
    if maker not in (None, vendor):
        raise _nobodys(f"{vendor} signed it, and {mac} is an address of {maker}")
    return Said(mac, key_weakness(leaf) or signature_weakness(leaf))


def _nobodys(reason: str) -> BadValue:
    return BadValue("certificate", reason)


def _one_value(subject: x509.Name, rule: SubjectRule) -> str:
    """What stands in the attribute of the rule, which must be there once and by itself."""
    for attribute in subject:
        if isinstance(attribute.value, str) and any(not c.isprintable() for c in attribute.value):
            raise _nobodys("its subject holds a control character")
    oid = attribute_oid(rule.attribute)
    holders = [part for part in subject.rdns if part.get_attributes_for_oid(oid)]
    values = [attribute.value for attribute in subject.get_attributes_for_oid(oid)]
    if not values:
        raise _nobodys(f"its subject has no {rule.attribute}")
    if len(values) > 1 or len(list(holders[0])) > 1:
        raise _nobodys(f"its subject has more than one value where {rule.attribute} stands")
    value = values[0]
    if not isinstance(value, str) or not value.isascii():
        raise _nobodys(f"the {rule.attribute} of its subject is no ASCII text")
    return value


def _mac_of_one_phone(value: str, vendor: str, rule: SubjectRule) -> str:
    match = rule.pattern.fullmatch(value)
    text = (match["mac"] or "") if match else ""
    if not re.fullmatch(MAC_PATTERN, text):
        raise _nobodys(f"no MAC where {vendor} writes it, in {rule.attribute}={value[:64]!r}")
    mac = normalise_mac(text)
    if mac is None:
        raise _nobodys(f"{text} is not the address of one device")
    if int(mac[1], 16) & 2:
        raise _nobodys(f"{mac} is no address of a maker: it is locally administered")
    return mac


def _other_macs(leaf: x509.Certificate, owner: BlockOwner) -> Iterator[str]:
    """Every MAC that the subject and its alternative names speak of. Twelve decimal digits count only where they begin
    as addresses of a maker do: a serial number may look so."""
    for text in _texts(leaf):
        for found in _MAC_IN_TEXT.findall(text):
            mac = normalise_mac(found)
            if mac and (owner(mac) or not _DIGITS.fullmatch(found)):
                yield mac
    for name in _alternative_names(leaf):
        if isinstance(name, x509.OtherName) and name.type_id == MAC_NAME:
            yield _mac_of_der(name.value)


def _texts(leaf: x509.Certificate) -> Iterator[str]:
    for attribute in leaf.subject:
        if isinstance(attribute.value, str):
            yield attribute.value
    for name in _alternative_names(leaf):
        if isinstance(name, (x509.DNSName, x509.RFC822Name)):
            yield name.value
        elif isinstance(name, x509.DirectoryName):
            yield from (attribute.value for attribute in name.value if isinstance(attribute.value, str))


def _alternative_names(leaf: x509.Certificate) -> Iterator[x509.GeneralName]:
    names = extension(leaf, x509.SubjectAlternativeName)
    yield from names or ()


def _mac_of_der(value: bytes) -> str:
    """The address of an id-on-MACAddress. Raises BadValue for what is none of a phone."""
    is_eui48 = value[:2] == b"\x04\x06" and len(value) == 8
    if not is_eui48:
        raise _nobodys("it names an address that is no MAC of 48 bits")
    return value[2:].hex()
