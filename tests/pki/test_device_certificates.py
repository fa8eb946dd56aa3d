from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, Name, NameAttribute, load_der_x509_certificate
from cryptography.x509.oid import NameOID

from ztp_server.errors import Misconfigured
from ztp_server.pki import device
from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.contexts import mtls_context
from ztp_server.pki.device import DeviceAuthority, DeviceCertificates, SubjectRule
from ztp_server.pki.issuing import CLIENT, issue, new_authority, new_key
from ztp_server.pki.pair import Pair

Make = Callable[..., Any]
Rules = dict[str, SubjectRule]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
MAC = "0004F2AABBCC"
OLD = "DEFAULT:@SECLEVEL=0"


class Resumed:
    """The server's end of a resumed session: the certificate, and no chain."""

    def __init__(self, der: bytes | None) -> None:
        self.der = der

    def getpeercert(self, binary_form: bool) -> bytes | None:
        return self.der


def resumed(minted: Any) -> Any:
    return Resumed(minted.certificate.public_bytes(Encoding.DER))


@pytest.fixture
def maker(mint: Make) -> Any:
    return mint("Maker CA", ca=True)


@pytest.fixture
def known(maker: Any, rules: Rules) -> DeviceCertificates:
    return DeviceCertificates([maker.trusted_as("acme")], rules)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_phone_is_known_by_the_ca_that_issued_its_certificate(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, maker: Any, known: DeviceCertificates,
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    leaf = mint(MAC, maker)
    context = mtls_context(server_files, [maker.trusted_as("acme")])
    found = known.identify(shake_hands(context, client(leaf, newest=version)).server)
    assert found
    assert (found.vendor, found.mac, found.subject) == ("acme", "0004f2aabbcc", f"CN={MAC}")
    assert found.sha256 == leaf.certificate.fingerprint(hashes.SHA256()).hex()
    assert found.not_after == leaf.certificate.not_valid_after_utc


@pytest.mark.parametrize("version", VERSIONS)
def test_a_phone_is_known_through_an_intermediate_also_when_its_session_is_resumed(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, maker: Any, known: DeviceCertificates,
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    phone = client(
        mint(MAC, mint("Maker Issuing CA", mint("Maker Policy CA", maker, ca=True), ca=True)), newest=version
    )
    context = mtls_context(server_files, [maker.trusted_as("acme")])
    first = shake_hands(context, phone)
    found = known.identify(first.server)
    assert found and found.mac == "0004f2aabbcc"
    again = shake_hands(context, phone, first.client.session)
    assert again.server.session_reused
    assert known.identify(again.server) == found


def test_an_intermediate_seen_once_vouches_for_a_resumed_phone_that_was_forgotten(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, maker: Any, known: DeviceCertificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(device, "_CACHED_CERTIFICATES", 1)
    issuing = mint("Maker Issuing CA", maker, ca=True)
    first, second = mint(MAC, issuing), mint("0004F2AABBCD", issuing)
    assert known.identify(resumed(first)) is None
    known.identify(shake_hands(mtls_context(server_files, [maker.trusted_as("acme")]), client(first)).server)
    assert [known.identify(resumed(leaf)).mac for leaf in (first, second, first)] == [  # type: ignore[union-attr]
        "0004f2aabbcc", "0004f2aabbcd", "0004f2aabbcc",
    ]  # fmt: skip
    assert len(known._known) == 1


def test_a_connection_without_certificate_is_nobodys(known: DeviceCertificates) -> None:
    assert known.identify(Resumed(None)) is None  # type: ignore[arg-type]


def test_a_certificate_of_an_unknown_ca_is_nobodys(mint: Make, known: DeviceCertificates) -> None:
    assert known.identify(resumed(mint(MAC, mint("Maker CA", ca=True)))) is None


def test_a_broken_certificate_is_nobodys(known: DeviceCertificates) -> None:
    assert known.identify(Resumed(b"\x30\x03abc")) is None  # type: ignore[arg-type]


def test_the_rule_of_the_vendor_whose_ca_signed_is_the_one_that_counts(mint: Make, maker: Any, rules: Rules) -> None:
    other = mint("Other CA", ca=True)
    known = DeviceCertificates([maker.trusted_as("acme"), other.trusted_as("other")], rules)
    found = known.identify(resumed(mint(f"SEP{MAC}", other)))
    assert found and found.vendor == "other"
    assert known.identify(resumed(mint(MAC, other))) is None
    assert known.identify(resumed(mint(f"SEP{MAC}", maker))) is None


def test_a_vendor_without_a_rule_has_no_phones(mint: Make, maker: Any) -> None:
    assert DeviceCertificates([maker.trusted_as("acme")], {}).identify(resumed(mint(MAC, maker))) is None


def test_only_the_attribute_of_the_rule_is_read(mint: Make, maker: Any) -> None:
    rule = SubjectRule("serialNumber", re.compile("(?P<mac>.*)"))
    known = DeviceCertificates([maker.trusted_as("acme")], {"acme": rule})
    both = mint([(NameOID.COMMON_NAME, "Desk phone"), (NameOID.SERIAL_NUMBER, MAC)], maker)
    found = known.identify(resumed(both))
    assert found and found.mac == "0004f2aabbcc"
    assert known.identify(resumed(mint(MAC, maker))) is None


@pytest.mark.parametrize("names", [[MAC, "0004F2AABBCD"], [MAC, MAC], [MAC, ""]])
def test_two_common_names_are_nobodys(mint: Make, maker: Any, known: DeviceCertificates, names: list[str]) -> None:
    subject = [(NameOID.COMMON_NAME, name or "x") for name in names]
    assert known.identify(resumed(mint(subject, maker))) is None


@pytest.mark.parametrize("name", ["00:04:F2:AA:BB:CC", "00-04-f2-aa-bb-cc", "0004.f2aa.bbcc", "0004f2aabbcc"])
def test_a_mac_is_normalised(mint: Make, maker: Any, known: DeviceCertificates, name: str) -> None:
    found = known.identify(resumed(mint(name, maker)))
    assert found and found.mac == "0004f2aabbcc"


@pytest.mark.parametrize(
    "name",
    [MAC + "\0", MAC + "\0.evil", MAC + "\n", "\n" + MAC, " " + MAC, MAC + "D", MAC[:-1], "O" + MAC[1:],
     "\uff10" + MAC[1:], "000000000000", "FFFFFFFFFFFF", "0104F2AABBCC"],
)  # fmt: skip
def test_a_hostile_common_name_is_nobodys(mint: Make, maker: Any, known: DeviceCertificates, name: str) -> None:
    assert known.identify(resumed(mint(name, maker))) is None


@pytest.mark.parametrize("name", [MAC + "\n", "x" + MAC, MAC + "D", MAC + "\0"])
def test_a_pattern_matches_whole_even_with_a_dollar(mint: Make, maker: Any, name: str) -> None:
    rule = SubjectRule("2.5.4.3", re.compile("^(?P<mac>[0-9A-F]{12})$"))
    known = DeviceCertificates([maker.trusted_as("acme")], {"acme": rule})
    assert known.identify(resumed(mint(MAC, maker)))
    assert known.identify(resumed(mint(name, maker))) is None


def test_a_certificate_that_expires_while_its_session_lives_is_refused(
    mint: Make, maker: Any, known: DeviceCertificates
) -> None:
    leaf = mint(MAC, maker)
    assert known.identify(resumed(leaf))
    assert known.identify(resumed(leaf), now=datetime.now(UTC) + timedelta(days=366)) is None
    assert known.identify(resumed(leaf), now=datetime.now(UTC) - timedelta(days=401)) is None
    assert known.identify(resumed(leaf))


def test_an_md5_signature_is_nobodys_even_where_old_phones_are_let_in(
    server_files: ServerFiles, client: Make, minted: Make, shake_hands: Make, rules: Rules
) -> None:
    authority, key = new_authority("Old Maker CA"), new_key()
    trusted = DeviceAuthority("acme", "old.pem", authority.certificate)
    leaf = issue(authority, key, Name([NameAttribute(NameOID.COMMON_NAME, MAC)]), CLIENT)
    context = mtls_context(server_files, [trusted])
    context.set_ciphers(OLD)
    for certificate, mac in ((leaf, "0004f2aabbcc"), (signed_with(hashes.MD5(), leaf, authority), None)):
        server = shake_hands(context, client(minted(certificate, key), ciphers=OLD)).server
        found = DeviceCertificates([trusted], rules).identify(server)
        assert (found and found.mac) == mac


def signed_with(digest: hashes.MD5 | hashes.SHA1, certificate: Certificate, authority: Pair) -> Certificate:
    """cryptography refuses to make one, so the algorithm is swapped in the bytes and the signature made anew."""
    assert isinstance(authority.key, rsa.RSAPrivateKey)
    number = {"md5": 4, "sha1": 5}[digest.name]
    with_sha256, with_digest = (bytes.fromhex(f"2a864886f70d0101{n:02x}") for n in (11, number))
    weak = certificate.public_bytes(Encoding.DER).replace(with_sha256, with_digest)
    signed = load_der_x509_certificate(weak).tbs_certificate_bytes
    signature = authority.key.sign(signed, padding.PKCS1v15(), digest)
    return load_der_x509_certificate(weak[: -len(signature)] + signature)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (SubjectRule("MAC", re.compile("(?P<mac>.*)")), "'MAC'"),
        (SubjectRule("CN", re.compile("[0-9A-F]{12}")), "no group 'mac'"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_at_once(rule: SubjectRule, named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        DeviceCertificates([], {"acme": rule})
