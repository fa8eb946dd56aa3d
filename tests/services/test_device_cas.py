"""Makers' CAs added and removed, and certificates denied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.conftest import ADMIN, VVX
from ztp_server.errors import BadValue, Conflict, NotFound, StoreUnavailable
from ztp_server.services.ca_pins import report_changed_cas
from ztp_server.services.opening import Services
from ztp_server.store import Session

HASH = "ab" * 32


def authority(name: str = "Polycom Root CA", *, ca: bool = True, days: int = 365, key: Any = None) -> x509.Certificate:
    """A CA such as a maker has, signed by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def pin(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


async def audited(services: Services) -> list[tuple[str, str]]:
    async with services.store.read() as session:
        return [(row.action, row.subject) for row in await session.audit.page(below=None, limit=20)]


async def test_a_ca_is_added_listed_with_its_pin_and_removed(services: Services, data: Path) -> None:
    root, below = authority(), authority("Polycom Equipment Policy CA")
    added = await services.device_cas.add(ADMIN, "poly", pem(root, below), reason="from the maker")

    assert [ca.sha256 for ca in added] == [pin(root), pin(below)]
    listed = await services.device_cas.all(ADMIN)
    assert {(ca.vendor, ca.sha256, ca.problem, ca.own) for ca in listed} == {
        ("poly", pin(root), "", True), ("poly", pin(below), "", True),
    }  # fmt: skip
    written = data / "certs" / "poly" / f"{pin(root)[:16]}.pem"
    assert x509.load_pem_x509_certificate(written.read_bytes()) == root and written.stat().st_mode & 0o777 == 0o644
    assert {maker.vendor: maker.cas for maker in await services.device_cas.makers(ADMIN)}["poly"] == 2

    colons = ":".join(pin(root)[i : i + 2] for i in range(0, 64, 2)).upper()
    await services.device_cas.remove(ADMIN, colons, reason="no longer")
    assert [ca.sha256 for ca in await services.device_cas.all(ADMIN)] == [pin(below)] and not written.exists()
    assert ("ca.added", f"ca:{pin(root)}") in await audited(services)
    assert ("ca.removed", f"ca:{pin(root)}") in await audited(services)
    with pytest.raises(NotFound):
        await services.device_cas.remove(ADMIN, pin(root))


async def test_what_is_no_ca_to_trust_is_refused_and_nothing_is_written(services: Services, data: Path) -> None:
    good, key = authority(), ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    short = rsa.generate_private_key(65537, 1024)
    for vendor, content, reason in (
        ("poly", pem(good, authority("Phone", ca=False)), "is not a CA certificate"),
        ("poly", pem(good) + private, "holds a private key"),
        ("poly", b"nonsense", "not a certificate"),
        ("poly", b"x" * 300_000, "at most"),
        ("poly", pem(good, good), "stands in it twice"),
        ("poly", pem(authority("Other Root CA")), "no name of Poly"),
        ("poly", pem(authority(days=-10)), "expired"),
        ("poly", pem(authority(key=short)), "out of date"),
        ("nobody", pem(good), "none with factory certificates"),
    ):
        with pytest.raises(BadValue, match=reason):
            await services.device_cas.add(ADMIN, vendor, content)
    assert await services.device_cas.all(ADMIN) == [] and not list((data / "certs").rglob("*.pem"))


async def test_old_cas_count_on_the_listeners_of_their_own(services: Services) -> None:
    dead, short = authority(days=-10), authority(key=rsa.generate_private_key(65537, 1024))
    await services.device_cas.add(ADMIN, "poly", pem(dead), listener="expired")
    await services.device_cas.add(ADMIN, "poly", pem(short), listener="legacy")
    await services.device_cas.add(ADMIN, "poly", pem(authority("Anything")), any_name=True)
    with pytest.raises(BadValue, match="none of mtls"):
        await services.device_cas.add(ADMIN, "poly", pem(authority()), listener="http")

    listed = await services.device_cas.all(ADMIN)
    assert {(ca.listener, ca.problem) for ca in listed} == {("expired", ""), ("legacy", ""), ("mtls", "")}


async def test_a_ca_that_is_there_already_or_shares_its_file_is_told(services: Services, data: Path) -> None:
    root, other = authority(), authority("Polycom Equipment Policy CA")
    await services.device_cas.add(ADMIN, "poly", pem(root))
    with pytest.raises(Conflict, match="there already"):
        await services.device_cas.add(ADMIN, "poly", pem(other, root))
    assert len(await services.device_cas.all(ADMIN)) == 1

    (data / "certs" / "poly" / "bundle.pem").write_bytes(pem(other, authority("Polycom Third CA")))
    with pytest.raises(Conflict, match=r"bundle\.pem holds 1 more"):
        await services.device_cas.remove(ADMIN, pin(other))


async def test_a_certificate_is_denied_by_its_fingerprint_and_allowed_again(office: Services) -> None:
    denied = await office.denied_certificates.deny(ADMIN, HASH.upper(), "sold with the phone")
    assert (denied.sha256, denied.subject, denied.denied_by) == (HASH, "", "test")
    with pytest.raises(Conflict):
        await office.denied_certificates.deny(ADMIN, HASH, "again")
    assert await office.denied_certificates.page(ADMIN) == ([denied], False)

    await office.denied_certificates.allow(ADMIN, HASH)
    assert await office.denied_certificates.page(ADMIN) == ([], False)
    with pytest.raises(NotFound):
        await office.denied_certificates.allow(ADMIN, HASH)
    for wrong in ("", "ab", "zz" * 32):
        with pytest.raises(BadValue):
            await office.denied_certificates.deny(ADMIN, wrong, "why")
    with pytest.raises(BadValue, match="never proved itself"):
        await office.denied_certificates.deny_phone(ADMIN, VVX, "stolen")


async def test_a_ca_in_two_files_is_listed_twice_and_removed_from_both(services: Services, data: Path) -> None:
    root = authority()
    await services.device_cas.add(ADMIN, "poly", pem(root))
    by_hand = data / "certs" / "poly" / "zz-by-hand.crt"
    by_hand.write_bytes(root.public_bytes(Encoding.DER))
    await services.device_cas.add(ADMIN, "poly", pem(root), listener="legacy")
    found = await services.device_cas.get(ADMIN, pin(root)[:12])
    assert [(ca.listener, Path(ca.file).name) for ca in found] == [
        ("mtls", f"{pin(root)[:16]}.pem"), ("mtls", "zz-by-hand.crt"), ("legacy", f"{pin(root)[:16]}.pem"),
    ]  # fmt: skip
    assert {maker.vendor: maker.cas for maker in await services.device_cas.makers(ADMIN)}["poly"] == 1

    await services.device_cas.remove(ADMIN, pin(root), listener="mtls")
    assert [ca.listener for ca in await services.device_cas.all(ADMIN)] == ["legacy"]
    await services.device_cas.remove(ADMIN, pin(root))
    assert await services.device_cas.all(ADMIN) == [] and not by_hand.exists()


async def test_what_cannot_be_written_down_changes_no_file(
    services: Services, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a CA that no audit tells of, nor one that is gone and nobody knows why."""
    there, other = authority(), authority("Polycom Equipment Policy CA")
    await services.device_cas.add(ADMIN, "poly", pem(there))
    real, folder = services.store.write, data / "certs" / "poly"

    @asynccontextmanager
    async def fails_in_the_end() -> AsyncIterator[Session]:
        async with real() as session:
            yield session
            raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(services.store, "write", fails_in_the_end)
        with pytest.raises(StoreUnavailable):
            await services.device_cas.add(ADMIN, "poly", pem(other))
        with pytest.raises(StoreUnavailable):
            await services.device_cas.remove(ADMIN, pin(there))
    assert [path.name for path in folder.iterdir()] == [f"{pin(there)[:16]}.pem"]
    assert [ca.sha256 for ca in await services.device_cas.all(ADMIN)] == [pin(there)]
    assert [action for action, _ in await audited(services)] == ["ca.added"]

    (data / "certs" / "audiocodes").write_text("no folder")
    with pytest.raises(Conflict, match="audiocodes"):
        await services.device_cas.add(ADMIN, "audiocodes", pem(other), any_name=True)
    assert [action for action, _ in await audited(services)] == ["ca.added"]


async def test_cas_of_a_demonstration_count_where_there_is_one_and_are_nobodys_to_remove(
    services: Services, data: Path
) -> None:
    demo = data / "demo" / "certs" / "poly" / "demo.pem"
    demo.parent.mkdir(parents=True)
    demo.write_bytes(pem(authority("Demo")))
    assert await services.device_cas.all(ADMIN) == []
    services.address.is_demo = True
    (found,) = await services.device_cas.all(ADMIN)
    assert not found.own and found.file == str(demo)
    with pytest.raises(Conflict, match="not yours to remove"):
        await services.device_cas.remove(ADMIN, found.sha256)


async def test_a_file_with_another_ca_in_it_is_reported_also_when_no_server_ran_meanwhile(
    services: Services, data: Path
) -> None:
    certs = data / "certs"
    told: list[tuple[str, str, str]] = []
    one, two = authority(), authority("Polycom Equipment Policy CA")
    first, second = certs / "poly" / "first.pem", certs / "legacy" / "poly" / "second.pem"
    second.parent.mkdir(parents=True)
    first.parent.mkdir()
    first.write_bytes(pem(one))

    async def look() -> list[tuple[str, str]]:
        told.clear()
        await report_changed_cas(services.store, [certs], lambda *event: told.append(event))
        return [(action, file) for action, file, _ in told]

    assert await look() == [] and await look() == []  # what was there at the first start of all is no news
    first.write_bytes(pem(two))
    assert await look() == [("ca.changed", "poly/first.pem")]
    assert pin(two) in told[0][2] and pin(one) in told[0][2]
    assert await look() == []
    second.write_bytes(pem(one))
    first.write_bytes(pem(one, two))
    assert await look() == [("ca.found", "legacy/poly/second.pem"), ("ca.changed", "poly/first.pem")]
    first.unlink()
    assert await look() == [("ca.gone", "poly/first.pem")]
