from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ztp_server.errors import Misconfigured
from ztp_server.pki import authority
from ztp_server.pki.authority import ensure_server_files, make_device_authority, make_device_certificate
from ztp_server.pki.pair import Pair, read_certificate

NAMES = ["ztp.example.com", "192.0.2.7"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def replace_server_pair(folder: Path, minted: Any) -> None:
    certificate, key = minted.write(folder)
    certificate.rename(folder / "server.pem")
    key.rename(folder / "server.key")


def names_in(path: Path) -> set[x509.GeneralName]:
    return set(read_certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tls"


def test_the_first_start_makes_a_ca_and_a_server_certificate(folder: Path) -> None:
    files = ensure_server_files(folder, NAMES)
    leaf, ca = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    leaf.verify_directly_issued_by(ca)
    assert ca == read_certificate(files.ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert names_in(files.certificate) == {x509.DNSName("ztp.example.com"), x509.IPAddress(ip_address("192.0.2.7"))}
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert leaf.subject.rfc4514_string() == "CN=ztp.example.com"
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=825)
    assert files.extra == ()


def test_only_the_owner_can_read_the_keys(folder: Path) -> None:
    ensure_server_files(folder, NAMES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.key")} == {0o600}


def test_nothing_but_the_four_files_is_left_behind(folder: Path) -> None:
    ensure_server_files(folder, NAMES)
    assert sorted(contents(folder)) == ["ca.key", "ca.pem", "server.key", "server.pem"]


def test_the_second_start_keeps_every_byte(folder: Path) -> None:
    ensure_server_files(folder, NAMES)
    before = contents(folder)
    ensure_server_files(folder, list(reversed(NAMES)))
    assert contents(folder) == before


def test_a_name_is_the_same_in_any_case_and_with_a_trailing_dot(folder: Path) -> None:
    ensure_server_files(folder, ["ztp.example.com"])
    before = contents(folder)
    ensure_server_files(folder, ["ZTP.Example.com."])
    assert contents(folder) == before


def test_a_new_name_renews_the_leaf_with_the_same_ca_and_key(folder: Path) -> None:
    ensure_server_files(folder, NAMES)
    before = contents(folder)
    files = ensure_server_files(folder, [*NAMES, "phones.example.com"])
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {"server.pem"}
    assert x509.DNSName("phones.example.com") in names_in(files.certificate)
    read_certificate(files.certificate).verify_directly_issued_by(read_certificate(files.ca))


def test_a_leaf_that_expires_within_a_month_is_renewed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ensure_server_files(folder, NAMES)
    before = contents(folder)
    monkeypatch.setattr(authority, "_RENEW_BEFORE", timedelta(days=825))
    ensure_server_files(folder, NAMES)
    assert contents(folder)["server.pem"] != before["server.pem"]
    assert contents(folder)["ca.pem"] == before["ca.pem"]
    assert read_certificate(files.certificate).not_valid_after_utc > datetime.now(UTC) + timedelta(days=800)


def test_a_name_too_long_for_a_common_name_is_still_served(folder: Path) -> None:
    name = "a" * 60 + ".example.com"
    files = ensure_server_files(folder, [name])
    assert names_in(files.certificate) == {x509.DNSName(name)}


def test_a_name_that_is_not_ascii_is_refused(folder: Path) -> None:
    with pytest.raises(Misconfigured, match="bücher"):
        ensure_server_files(folder, ["bücher.example"])


def test_an_operators_own_pair_is_left_alone(folder: Path, mint: Callable[..., Any]) -> None:
    ensure_server_files(folder, NAMES)
    replace_server_pair(folder, mint("pbx.example.net", mint("Corporate CA", ca=True), days=-1))
    before = contents(folder)
    ensure_server_files(folder, NAMES)
    assert contents(folder) == before


def test_an_operators_own_ca_without_its_key_is_left_alone(folder: Path, mint: Callable[..., Any]) -> None:
    folder.mkdir()
    corporate = mint("Corporate CA", ca=True)
    replace_server_pair(folder, mint("pbx.example.net", corporate))
    (folder / "ca.pem").write_bytes(corporate.certificate.public_bytes(Encoding.PEM))
    before = contents(folder)
    assert ensure_server_files(folder, NAMES).ca == folder / "ca.pem"
    assert contents(folder) == before


def test_a_ca_of_the_operators_with_its_key_issues_ours(folder: Path, mint: Callable[..., Any]) -> None:
    folder.mkdir()
    certificate, key = mint("Corporate CA", ca=True).write(folder)
    certificate.rename(folder / "ca.pem")
    key.rename(folder / "ca.key")
    files = ensure_server_files(folder, NAMES)
    read_certificate(files.certificate).verify_directly_issued_by(read_certificate(files.ca))


def test_an_ecdsa_pair_is_offered_as_well(folder: Path, mint: Callable[..., Any]) -> None:
    folder.mkdir()
    certificate, key = mint("pbx.example.net").write(folder)
    pair = certificate.rename(folder / "server-ecdsa.pem"), key.rename(folder / "server-ecdsa.key")
    assert ensure_server_files(folder, NAMES).extra == (pair,)


@pytest.mark.parametrize("missing", ["server.pem", "server.key", "ca.pem"])
def test_half_a_pair_names_both_files(folder: Path, missing: str) -> None:
    ensure_server_files(folder, NAMES)
    (folder / missing).unlink()
    stem = missing.split(".")[0]
    with pytest.raises(Misconfigured) as caught:
        ensure_server_files(folder, NAMES)
    assert f"{folder}/{stem}.pem" in str(caught.value) and f"{folder}/{stem}.key" in str(caught.value)


def test_a_mismatched_pair_names_both_files_in_one_line(folder: Path, mint: Callable[..., Any]) -> None:
    files = ensure_server_files(folder, NAMES)
    replace_server_pair(folder, mint("pbx.example.net"))
    files.certificate.write_bytes(mint("another").certificate.public_bytes(Encoding.PEM))
    with pytest.raises(Misconfigured) as caught:
        ensure_server_files(folder, NAMES)
    assert str(caught.value) == f"{files.certificate} and {files.key} do not belong together"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
@pytest.mark.parametrize("name", ["server.key", "ca.key"])
def test_a_key_that_others_can_read_is_refused(folder: Path, name: str, mode: int) -> None:
    ensure_server_files(folder, NAMES)
    (folder / name).chmod(mode)
    with pytest.raises(Misconfigured, match=rf"{folder / name}: .*chmod 600"):
        ensure_server_files(folder, NAMES)


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
@pytest.mark.parametrize("content", [b"", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_broken_file_is_named(folder: Path, name: str, content: bytes) -> None:
    ensure_server_files(folder, NAMES)
    (folder / name).write_bytes(content)
    with pytest.raises(Misconfigured, match=f"{folder / name}: no PEM"):
        ensure_server_files(folder, NAMES)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(folder: Path) -> None:
    files = ensure_server_files(folder, NAMES)
    pair = Pair.read(files.certificate, files.key)
    assert pair
    locked = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    files.key.write_bytes(locked)
    with pytest.raises(Misconfigured, match="passphrase"):
        ensure_server_files(folder, NAMES)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match=str(tmp_path / "file" / "tls")):
        ensure_server_files(tmp_path / "file" / "tls", NAMES)


def test_a_read_only_folder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)  # a real one would not stop root, who runs the tests in a container
    with pytest.raises(Misconfigured, match=f"{folder}: .*Permission denied"):
        ensure_server_files(folder, NAMES)


def test_a_read_only_folder_with_good_files_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ensure_server_files(folder, NAMES)
    monkeypatch.setattr(authority, "write_files", lambda *_: pytest.fail("nothing needs writing"))
    assert ensure_server_files(folder, NAMES) == files


def test_what_a_crash_left_behind_is_overwritten(folder: Path) -> None:
    folder.mkdir()
    (folder / ".server.pem.new").write_bytes(b"-----BEGIN CERT")
    ensure_server_files(folder, NAMES)
    assert sorted(contents(folder)) == ["ca.key", "ca.pem", "server.key", "server.pem"]


def test_a_device_certificate_is_for_clients_of_its_authority(folder: Path) -> None:
    ca, ca_key = make_device_authority(folder, "Example Phones CA")
    certificate, key = make_device_certificate(
        ca, ca_key, folder / "0004f2aabbcc", "device", {"CN": "0004F2AABBCC", "O": "Example"}
    )
    made = read_certificate(certificate)
    made.verify_directly_issued_by(read_certificate(ca))
    assert made.subject.rfc4514_string() == "O=Example,CN=0004F2AABBCC"
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_device_files_are_kept_while_they_fit(folder: Path) -> None:
    ca = make_device_authority(folder, "ca")
    make_device_certificate(*ca, folder, "phone", {"CN": "0004F2AABBCC"})
    before = contents(folder)
    make_device_certificate(*make_device_authority(folder, "ca"), folder, "phone", {"CN": "0004F2AABBCC"})
    assert contents(folder) == before


def test_a_device_certificate_is_made_anew_for_another_subject_or_authority(folder: Path) -> None:
    ca = make_device_authority(folder, "ca")
    first = make_device_certificate(*ca, folder, "phone", {"CN": "0004F2AABBCC"})[0].read_bytes()
    second = make_device_certificate(*ca, folder, "phone", {"CN": "0004F2AABBCD"})[0].read_bytes()
    other = make_device_authority(folder, "other")
    third = make_device_certificate(*other, folder, "phone", {"CN": "0004F2AABBCD"})[0].read_bytes()
    assert len({first, second, third}) == 3


def test_a_device_certificate_needs_its_authority(folder: Path) -> None:
    with pytest.raises(Misconfigured, match="make the authority first"):
        make_device_certificate(folder / "ca.pem", folder / "ca.key", folder, "phone", {"CN": "0004F2AABBCC"})


def test_an_unknown_subject_attribute_is_named(folder: Path) -> None:
    with pytest.raises(Misconfigured, match="'MAC'"):
        make_device_certificate(*make_device_authority(folder, "ca"), folder, "phone", {"MAC": "0004F2AABBCC"})
