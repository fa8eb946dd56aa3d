"""Certificates that a maker's CA has signed and that say too much, too little, or something else than they seem to."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from tests.pki.test_device_certificates import signed_with
from ztp_server.errors import BadValue
from ztp_server.pki import device
from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.contexts import legacy_context, mtls_context
from ztp_server.pki.device import DeviceAuthority, DeviceCertificates, SubjectRule
from ztp_server.pki.factory_certificate import MAC_NAME, read_factory_certificate
from ztp_server.pki.issuing import new_key
from ztp_server.pki.makers import parse_certificates
from ztp_server.pki.pair import Pair

Make = Callable[..., Any]
MAC, OTHER = "0004F2AABBCC", "0004F2AABBCD"
BLOCKS = {"0004f2": "acme", "000413": "other"}
RULE = SubjectRule(
    "CN", re.compile("(?P<mac>[0-9A-Fa-f:.-]+)"), (re.compile("CN=Acme Generic"), re.compile("OU=Shared"))
)
CN, OU, ORG, SERIAL = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.SERIAL_NUMBER,
)
KEY = ec.generate_private_key(ec.SECP256R1())


def owner(mac: str) -> str | None:
    return BLOCKS.get(mac[:6])


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def certificate(
    subject: x509.Name | str = MAC,
    alternatives: Sequence[x509.GeneralName] = (),
    *,
    key: Any = None,
    digest: Any = None,
    issuer: Pair | None = None,
    days: int = 365,
    ca: bool | None = None,
    more: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    """As a maker might sign one: by `issuer`, or by a key nobody asks about."""
    now, signer = datetime.now(UTC), issuer.key if issuer else KEY
    own = subject if isinstance(subject, x509.Name) else name((CN, subject))
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else name((CN, "Maker CA")),
        own,
        (key or KEY).public_key() if hasattr(key or KEY, "public_key") else key,
        x509.random_serial_number(),
        now - timedelta(days=400),
        now + timedelta(days=days),
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, digest or hashes.SHA256())


def mac_name(value: bytes) -> x509.OtherName:
    return x509.OtherName(MAC_NAME, value)


def octets(mac: str) -> bytes:
    raw = bytes.fromhex(mac)
    return b"\x04" + bytes([len(raw)]) + raw


def one_part(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """All attributes in one part of the name (`CN=…+OU=…`)."""
    return x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(oid, value) for oid, value in attributes])])


SUBJECTS: list[tuple[Any, Sequence[x509.GeneralName], str]] = [
    # What a phone may say.
    (MAC, (), MAC),
    ("00:04:f2:aa:bb:cc", (), MAC),
    (name((CN, MAC), (ORG, "Acme Inc."), (OU, "A1")), (), MAC),
    (name((CN, MAC), (SERIAL, f"SN{MAC}")), (), MAC),
    (MAC, [x509.DNSName(f"{MAC.lower()}.phones.example.net"), mac_name(octets(MAC))], MAC),
    (MAC, [x509.UniformResourceIdentifier(f"urn:uuid:6ba7b810-9dad-11d1-80b4-{OTHER.lower()}")], MAC),
    (name((CN, MAC), (ORG, "Téléphones Ñandú")), (), MAC),
    ("9C9D7E000001", (), "9C9D7E000001"),
    # Serial numbers look like MACs; they count where a maker's block begins so.
    (name((CN, MAC), (SERIAL, "202401151234")), (), MAC),
    (name((CN, MAC), (SERIAL, "000413151234")), (), "names two MACs"),
    # Two phones in one.
    (name((CN, MAC), (SERIAL, OTHER)), (), "names two MACs"),
    (name((CN, MAC), (OU, f"SEP{OTHER}")), (), "names two MACs"),
    (name((CN, MAC), (OU, "00-04-F2-AA-BB-CD")), (), "names two MACs"),
    (MAC, [x509.DNSName(f"{OTHER.lower()}.example.net")], "names two MACs"),
    (MAC, [x509.RFC822Name(f"{OTHER.lower()}@example.net")], "names two MACs"),
    (MAC, [x509.DirectoryName(name((CN, OTHER)))], "names two MACs"),
    (MAC, [mac_name(octets(MAC)), mac_name(octets(OTHER))], "names two MACs"),
    (name((CN, MAC), (CN, OTHER)), (), "more than one value"),
    (name((CN, MAC), (CN, MAC)), (), "more than one value"),
    (one_part((CN, MAC), (CN, OTHER)), (), "more than one value"),
    (one_part((CN, MAC), (OU, "A1")), (), "more than one value"),
    # An address that is no phone's.
    (MAC, [mac_name(octets("0004F2FFFEAABBCC"))], "no MAC of 48 bits"),
    (MAC, [mac_name(b"\x0c\x06" + bytes.fromhex(MAC))], "no MAC of 48 bits"),
    (MAC, [mac_name(b"\x04\x03abc")], "no MAC of 48 bits"),
    ("0204F2AABBCC", (), "locally administered"),
    ("0104F2AABBCC", (), "not the address of one device"),
    ("FFFFFFFFFFFF", (), "not the address of one device"),
    ("000000000000", (), "not the address of one device"),
    # Of another maker.
    ("000413AABBCC", (), "acme signed it, and 000413aabbcc is an address of other"),
    # Of no phone in particular.
    ("Acme Generic Phone", (), "many phones of acme share it"),
    (name((CN, MAC), (OU, "Shared by all")), (), "many phones of acme share it"),
    ("Desk phone", (), "no MAC where acme writes it"),
    (MAC + "DD", (), "no MAC where acme writes it"),
    (MAC[:-1], (), "no MAC where acme writes it"),
    (name((ORG, "Acme"), (SERIAL, MAC)), (), "has no CN"),
    (x509.Name([]), [mac_name(octets(MAC))], "has no CN"),
    # Texts that one reader cuts off and another does not.
    (MAC + "\0", (), "control character"),
    (f"{MAC}\0.evil.example.net", (), "control character"),
    (MAC + "\n", (), "control character"),
    (name((CN, MAC), (ORG, "Acme\0")), (), "control character"),
    (name((CN, MAC), (ORG, "\u202eAcme")), (), "control character"),
    ("\uff10" + MAC[1:], (), "no ASCII text"),
    ("Phone \U0001f600", (), "no ASCII text"),
]


@pytest.mark.parametrize(("subject", "alternatives", "expected"), SUBJECTS)
def test_a_certificate_is_of_one_phone_or_of_nobody_and_says_why(
    subject: Any, alternatives: Sequence[x509.GeneralName], expected: str
) -> None:
    leaf = certificate(subject, alternatives)
    if re.fullmatch("[0-9A-F]{12}", expected):
        said = read_factory_certificate(leaf, "acme", RULE, owner)
        assert (said.mac, said.weakness) == (expected.lower(), "")
        return
    with pytest.raises(BadValue) as refused:
        read_factory_certificate(leaf, "acme", RULE, owner)
    assert expected in refused.value.reason
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("key", "digest", "flaw", "weakness"),
    [
        (rsa.generate_private_key(65537, 2048), hashes.SHA256(), "", ""),
        (ed25519.Ed25519PrivateKey.generate(), hashes.SHA256(), "", ""),
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512(), "", ""),
        (rsa.generate_private_key(65537, 1024), hashes.SHA256(), "", "out of date (RSA 1024)"),
        (ec.generate_private_key(ec.SECP224R1()), hashes.SHA256(), "", "out of date (EC secp224r1)"),
        (ec.generate_private_key(ec.SECP192R1()), hashes.SHA256(), "short (EC secp192r1)", ""),
        (dsa.generate_private_key(2048), hashes.SHA256(), "neither RSA nor", ""),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, str) else "",
)
def test_a_key_or_signature_that_could_be_forged_counts_nowhere_and_an_old_one_for_old_phones(
    key: Any, digest: Any, flaw: str, weakness: str
) -> None:
    leaf = certificate(key=key, digest=digest)
    if flaw:
        with pytest.raises(BadValue, match=re.escape(flaw)):
            read_factory_certificate(leaf, "acme", RULE, owner)
        return
    said = read_factory_certificate(leaf, "acme", RULE, owner)
    assert said.mac == MAC.lower() and weakness in said.weakness and bool(said.weakness) == bool(weakness)


def rsa_pair(subject: str = "Maker CA", issuer: Pair | None = None) -> Pair:
    key = new_key()
    issued = certificate(name((CN, subject)), key=key, ca=True, issuer=issuer or Pair(None, key))  # type: ignore[arg-type]
    return Pair(issued, key)


@pytest.fixture(scope="module")
def root() -> Pair:
    key = new_key()
    own = name((CN, "Maker CA"))
    builder = x509.CertificateBuilder(
        own, own, key.public_key(), 1, datetime.now(UTC) - timedelta(days=500), datetime.now(UTC) + timedelta(days=500)
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


class Session:
    """The server's end of a resumed session: the certificate, and no chain."""

    def __init__(self, leaf: x509.Certificate | bytes) -> None:
        self.der = leaf if isinstance(leaf, bytes) else leaf.public_bytes(Encoding.DER)

    def getpeercert(self, _binary: bool) -> bytes:
        return self.der


def judged(root: Pair, leaf: x509.Certificate, **lenient: bool) -> str:
    known = DeviceCertificates([DeviceAuthority("acme", "ca.pem", root.certificate)], {"acme": RULE}, owner, **lenient)
    found = known.judge(Session(leaf))
    assert found and found.sha256 == leaf.fingerprint(hashes.SHA256()).hex()
    # Read once, and then remembered.
    assert known.judge(Session(leaf)) == found
    assert found.refused == ("" if found.device else f"certificate {found.sha256[:16]}: {found.reason}")
    return found.device.mac if found.device else found.reason


def test_what_is_old_or_over_counts_where_it_is_asked_for_and_nowhere_else(root: Pair) -> None:
    good, over = certificate(issuer=root), certificate(issuer=root, days=-1)
    early = certificate(issuer=root, days=800)
    sha1 = signed_with(hashes.SHA1(), good, root)
    md5 = signed_with(hashes.MD5(), good, root)
    mac = MAC.lower()
    assert judged(root, good) == judged(root, good, weak=True) == judged(root, early, expired=True) == mac
    assert "signed with SHA-1, which counts on the listener legacy" in judged(root, sha1)
    assert judged(root, sha1, weak=True) == mac
    assert "SHA-1" in judged(root, sha1, expired=True)
    assert "not valid now, but was until" in judged(root, over)
    assert "not valid now" in judged(root, over, weak=True)
    assert judged(root, over, expired=True) == mac
    assert {judged(root, md5), judged(root, md5, weak=True), judged(root, md5, expired=True)} == {
        "it is signed with MD5"
    }
    stranger = certificate(issuer=rsa_pair("Other CA", root))
    assert judged(root, stranger) == "no CA in certs/ vouches for it"


def test_a_refusal_is_not_remembered_where_only_the_chain_was_missing(root: Pair) -> None:
    known = DeviceCertificates([DeviceAuthority("acme", "ca.pem", root.certificate)], {"acme": RULE}, owner)
    assert known.judge(Session(certificate(issuer=rsa_pair("Between", root))))
    assert known.judge(Session(b"\x30\x03abc"))
    assert not known._known


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def test_a_file_is_vouched_for_by_cas_alone(root: Pair) -> None:
    known = DeviceCertificates([DeviceAuthority("acme", "ca.pem", root.certificate)], {"acme": RULE}, owner)
    between = rsa_pair("Issuing CA", root)
    assert known.of_file(pem(certificate(issuer=between), between.certificate)).mac == MAC.lower()
    thief = Pair(certificate(OTHER, issuer=root, key=between.key), between.key)
    forged = certificate(issuer=thief)
    for refused, reason in (
        ((forged, thief.certificate), "vouches for its issuer"),
        ((certificate(issuer=between),), "vouches for its issuer"),
        ((certificate(issuer=between), signed_with(hashes.MD5(), between.certificate, root)), "vouches for its issuer"),
        ((certificate(issuer=root, more=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]),), "for clients"),
    ):
        with pytest.raises(BadValue, match=reason):
            known.of_file(pem(*refused))


def test_a_name_of_a_kind_nobody_knows_is_refused_and_not_an_error(root: Pair) -> None:
    x400 = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3004a3023000"))
    twice = certificate(
        issuer=root,
        alternatives=[x509.DNSName("a")],
        more=[x509.IssuerAlternativeName([x509.DNSName("b")])],
    ).public_bytes(Encoding.DER)
    # The OID of the second becomes that of the first.
    twice = twice.replace(bytes.fromhex("0603551d12"), bytes.fromhex("0603551d11"))
    for leaf in (certificate(issuer=root, more=[x400]), x509.load_der_x509_certificate(twice)):
        with pytest.raises(BadValue, match="extensions cannot be read"):
            read_factory_certificate(leaf, "acme", RULE, owner)


def test_a_name_that_is_no_text_is_refused_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # A BIT STRING where `cryptography` takes none: its DER is that of another attribute, which takes one.
    bits = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x00\x01", _ASN1Type.BitString)
    der = certificate(x509.Name([x509.NameAttribute(CN, MAC), bits])).public_bytes(Encoding.DER)
    der = der.replace(b"\x06\x03\x55\x04\x2d", b"\x06\x03\x55\x04\x2e")
    monkeypatch.setattr(device, "is_issued_by", lambda *_: True)
    makers = [DeviceAuthority("acme", "acme/ca.pem", certificate(ca=True))]

    judged = DeviceCertificates(makers, {"acme": RULE}).judge(Session(der))
    assert judged and judged.device is None and judged.reason == "it cannot be read"
    with pytest.raises(BadValue, match="can be read"):
        parse_certificates(der)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_bytes_of_a_certificate_raise_anything(root: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if its maker had signed each of them."""
    monkeypatch.setattr(device, "is_issued_by", lambda *_: True)
    known = DeviceCertificates([DeviceAuthority("acme", "ca.pem", root.certificate)], {"acme": RULE}, owner)
    alternatives = [x509.DNSName("a.example.net"), mac_name(octets(MAC)), x509.DirectoryName(name((CN, MAC)))]
    eku = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    good = certificate(name((CN, MAC), (ORG, "Acme")), alternatives, issuer=root, more=[eku]).public_bytes(Encoding.DER)
    chance, told = random.Random(5), set()
    for _ in range(5000):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        found = known.judge(Session(bytes(bad)))
        assert found and (found.device is None) == bool(found.reason)
        told.add(found.reason.split(",")[0][:20])
    assert len(told) > 5


def test_a_ca_in_the_middle_that_could_be_forged_vouches_for_nobody(
    server_files: ServerFiles, client: Make, minted: Make, shake_hands: Make, root: Pair
) -> None:
    """The handshakes of old phones let an MD5 signature pass, also one above the phone's own certificate."""
    trusted = DeviceAuthority("acme", "ca.pem", root.certificate)
    context = legacy_context(server_files, [trusted])
    between = rsa_pair("Issuing CA", root)
    for above, mac in ((between.certificate, MAC.lower()), (signed_with(hashes.MD5(), between.certificate, root), "")):
        key = new_key()
        leaf = certificate(issuer=Pair(above, between.key), key=key)
        shown = client(minted(leaf, key, (above,)), newest=ssl.TLSVersion.TLSv1_2, ciphers="DEFAULT:@SECLEVEL=0")
        known = DeviceCertificates([trusted], {"acme": RULE}, owner, weak=True)
        found = known.judge(shake_hands(context, shown).server)
        assert found and (found.device.mac if found.device else "") == mac
        if not mac:
            assert found.reason == "no CA in certs/ vouches for it"


def test_how_a_ca_is_signed_does_not_matter_once_it_is_pinned(
    server_files: ServerFiles, client: Make, minted: Make, shake_hands: Make, root: Pair
) -> None:
    """Makers' CAs of 2009 are signed with SHA-1, and sign phones with SHA-256: OpenSSL's level 2 takes them as anchors,
    for it was an administrator and not that signature who vouched for them."""
    between = rsa_pair("Issuing CA", root)
    trusted = DeviceAuthority("acme", "ca.pem", signed_with(hashes.SHA1(), between.certificate, root))
    assert trusted.problem() == "" and trusted.remark == "it is signed with SHA-1"
    key = new_key()
    leaf = certificate(issuer=Pair(trusted.certificate, between.key), key=key)
    server = shake_hands(mtls_context(server_files, [trusted]), client(minted(leaf, key))).server
    found = DeviceCertificates([trusted], {"acme": RULE}, owner).judge(server)
    assert found and found.device and found.device.mac == MAC.lower()
