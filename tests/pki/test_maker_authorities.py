from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.errors import Misconfigured
from ztp_server.pki.device import load_authorities

Make = Callable[..., Any]


def put(path: Path, *minted: Any, encoding: Encoding = Encoding.PEM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(m.certificate.public_bytes(encoding) for m in minted))
    return path


def test_the_vendor_is_the_name_of_the_folder(tmp_path: Path, mint: Make) -> None:
    path = put(tmp_path / "acme" / "root.pem", mint("Maker CA", ca=True))
    assert [(a.vendor, a.file) for a in load_authorities([tmp_path])] == [("acme", str(path))]


def test_bundles_and_der_are_read_and_other_files_are_not(tmp_path: Path, mint: Make) -> None:
    put(tmp_path / "acme" / "bundle.crt", mint("One", ca=True), mint("Two", ca=True))
    put(tmp_path / "acme" / "three.CER", mint("Three", ca=True), encoding=Encoding.DER)
    for name in ("acme/README.md", "acme/._bundle.crt", "README.md", "stray.pem", ".git/head.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no certificate")
    found = [a.certificate.subject.rfc4514_string() for a in load_authorities([tmp_path])]
    assert found == ["CN=One", "CN=Two", "CN=Three"]


def test_the_same_ca_counts_once(tmp_path: Path, mint: Make) -> None:
    maker = mint("Maker CA", ca=True)
    first = put(tmp_path / "own" / "acme" / "a.pem", maker, maker)
    put(tmp_path / "shipped" / "acme" / "b.pem", maker)
    assert [a.file for a in load_authorities([tmp_path / "own", tmp_path / "shipped"])] == [str(first)]


def test_a_missing_folder_has_no_authorities(tmp_path: Path) -> None:
    assert load_authorities([tmp_path / "none"]) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path / "acme" / "root.pem")
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=f"{path}: not a certificate"):
        load_authorities([tmp_path])


def test_a_private_key_is_refused(tmp_path: Path, mint: Make) -> None:
    maker = mint("Maker CA", ca=True)
    certificate, key = maker.write(tmp_path)
    path = put(tmp_path / "acme" / "root.pem")
    path.write_bytes(certificate.read_bytes() + key.read_bytes())
    with pytest.raises(Misconfigured, match=f"{path}: holds a private key"):
        load_authorities([tmp_path])


def test_a_certificate_that_is_not_a_cas_is_refused(tmp_path: Path, mint: Make) -> None:
    path = put(tmp_path / "acme" / "root.pem", mint("Maker CA", ca=True), mint("0004F2AABBCC"))
    with pytest.raises(Misconfigured, match=f"{path}: 'CN=0004F2AABBCC' is not a CA"):
        load_authorities([tmp_path])
