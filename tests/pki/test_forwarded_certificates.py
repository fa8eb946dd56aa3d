"""Certificates that a proxy hands on in a header."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ztp_server.errors import BadValue
from ztp_server.pki.device import DeviceCertificates, SubjectRule
from ztp_server.pki.forwarded import ForwardedCertificates

Make = Callable[..., Any]
MAC = "0004F2AABBCC"


def pem(minted: Any) -> str:
    return quote(minted.certificate.public_bytes(Encoding.PEM).decode(), safe="")


def der(minted: Any) -> str:
    return base64.b64encode(minted.certificate.public_bytes(Encoding.DER)).decode()


def forwarded(rules: dict[str, SubjectRule], *cas: Any) -> ForwardedCertificates:
    authorities = [ca.trusted_as("acme") for ca in cas]
    return ForwardedCertificates(authorities, DeviceCertificates(authorities, rules))


def refusal(known: ForwardedCertificates, header: str, now: datetime | None = None) -> str:
    with pytest.raises(BadValue) as refused:
        known.identify(header, now)
    return refused.value.reason


def with_extensions(mint: Make, issuer: Any, *extensions: tuple[x509.ExtensionType, bool]) -> Any:
    """A leaf by `issuer` with exactly these extensions (and whether each is critical)."""
    like = mint(MAC, issuer)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer.certificate.subject, like.certificate.subject, like.key.public_key(), 5)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    like.certificate = builder.sign(issuer.key, hashes.SHA256())
    return like


def usage(**allowed: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def test_the_header_of_nginx_and_that_of_haproxy_name_the_same_phone(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True)
    phone = mint(MAC, maker)
    known = forwarded(rules, maker)

    for header in (pem(phone), der(phone), phone.certificate.public_bytes(Encoding.PEM).decode().replace("\n", " ")):
        device = known.identify(header)
        assert (device.vendor, device.mac) == ("acme", MAC.lower())
        assert device.sha256 == phone.certificate.fingerprint(hashes.SHA256()).hex()


def test_only_a_listed_ca_vouches_and_only_for_what_it_signed_itself(mint: Make, rules: Any) -> None:
    root = mint("Maker root", ca=True)
    below = mint("Maker Issuing CA", root, ca=True)
    known = forwarded(rules, root)

    assert "no CA" in refusal(known, pem(mint(MAC, mint("Maker root", ca=True))))
    assert "no CA" in refusal(known, pem(mint(MAC, below)))
    assert "no CA" in refusal(known, pem(mint(MAC)))
    assert forwarded(rules, below).identify(pem(mint(MAC, below))).mac == MAC.lower()


def test_times_are_looked_at_with_each_request(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True, days=30)
    known, phone = forwarded(rules, maker), pem(mint(MAC, maker, days=60))
    now = datetime.now(UTC)

    assert known.identify(phone, now).mac == MAC.lower()
    assert "its CA" in refusal(known, phone, now + timedelta(days=31))
    assert "its CA" in refusal(known, phone, now - timedelta(days=401))
    assert "not valid" in refusal(known, pem(mint(MAC, maker, days=-1)), now)


def test_what_a_handshake_would_refuse_is_refused(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True)
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    known = forwarded(rules, maker)
    refused = [
        with_extensions(mint, maker, (x509.ExtendedKeyUsage([server]), False)),
        with_extensions(mint, maker, (usage(key_encipherment=True), True)),
        with_extensions(mint, maker, (unknown, True)),
    ]
    taken = [
        with_extensions(mint, maker),
        with_extensions(mint, maker, (x509.ExtendedKeyUsage([server, client]), True)),
        with_extensions(mint, maker, (usage(key_agreement=True), True)),
        with_extensions(mint, maker, (unknown, False)),
    ]

    reasons = [refusal(known, pem(phone)) for phone in refused]
    assert ["usage" in reasons[0], "usage" in reasons[1], "critical" in reasons[2]] == [True] * 3
    assert [known.identify(pem(phone)).mac for phone in taken] == [MAC.lower()] * len(taken)


def test_a_ca_that_limits_the_names_it_signs_vouches_for_nobody(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True)
    limits = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.net")], excluded_subtrees=None)
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    maker.certificate = _self_signed(maker, ca, (limits, True))

    assert "limits" in refusal(forwarded(rules, maker), pem(mint(MAC, maker)))


def _self_signed(minted: Any, *extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
    name, now = minted.certificate.subject, datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, minted.key.public_key(), 6)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(minted.key, hashes.SHA256())


def test_a_ca_with_a_weak_key_vouches_for_nobody_here(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True)
    maker.key = ec.generate_private_key(ec.SECP192R1())
    maker.certificate = _self_signed(maker, (x509.BasicConstraints(ca=True, path_length=None), True))

    assert "its CA" in refusal(forwarded(rules, maker), pem(mint(MAC, maker)))


@pytest.mark.parametrize(
    "header",
    [
        "x", "%", "%00", "💣", "-----BEGIN CERTIFICATE-----", "A" * 20_000, "AAAA", "MIIB" * 40,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_refused_without_being_repeated(rules: Any, mint: Make, header: str) -> None:
    reason = refusal(forwarded(rules, mint("Maker CA", ca=True)), header)

    assert reason and header not in reason


def test_two_certificates_in_one_header_are_refused(mint: Make, rules: Any) -> None:
    maker = mint("Maker CA", ca=True)
    both = pem(mint(MAC, maker)) + pem(mint("0004F2AABBCD", maker))

    assert "neither" in refusal(forwarded(rules, maker), both)
