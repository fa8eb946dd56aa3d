"""Which CA phones are told to trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.certificates import CertificateFiles
from ztp_server.pki.authority import ensure_server_files
from ztp_server.pki.issuing import SERVER, certificates_pem, issue, key_pem, new_authority, new_key
from ztp_server.pki.pair import Pair
from ztp_server.services.templates import Templates

NAMES = ["ztp.example.net"]


def told(folder: Path, tmp_path: Path) -> str:
    templates = Templates(Path(__file__).parents[1] / "templates", tmp_path / "own", tmp_path / "state")
    return CertificateFiles(folder, NAMES, []).load(templates.catalog).ca_pem


def replace_server(folder: Path, *chain: Pair) -> None:
    """A certificate of somebody else's, with so much of its chain."""
    key = new_key()
    name = x509.Name.from_rfc4514_string("CN=ztp.example.net")
    leaf = issue(chain[0], key, name, SERVER, [x509.DNSName("ztp.example.net")])
    (folder / "server.pem").write_bytes(certificates_pem(leaf, *(pair.certificate for pair in chain)))
    (folder / "server.key").write_bytes(key_pem(key))


def intermediate(root: Pair) -> Pair:
    key, now = new_key(), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=Issuing CA"))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return Pair(builder.sign(root.key, hashes.SHA256()), key)


def pem(pair: Pair) -> str:
    return pair.certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_server_files(tmp_path / "tls", NAMES)
    return tmp_path / "tls"


def test_our_own_ca_is_told(folder: Path, tmp_path: Path) -> None:
    assert told(folder, tmp_path) == (folder / "ca.pem").read_text()


def test_a_root_at_the_end_of_an_operators_chain_is_told(folder: Path, tmp_path: Path) -> None:
    root = new_authority("Own root")
    replace_server(folder, root)

    assert told(folder, tmp_path) == pem(root)


def test_an_intermediate_alone_is_not_told(folder: Path, tmp_path: Path) -> None:
    """As with a certificate of a public CA: phones use the roots they were made with."""
    replace_server(folder, intermediate(new_authority("Public root")))

    assert told(folder, tmp_path) == ""


def test_the_root_that_an_operator_put_into_ca_pem_is_told(folder: Path, tmp_path: Path) -> None:
    root = new_authority("Own root")
    replace_server(folder, intermediate(root))
    (folder / "ca.pem").write_text(pem(root))
    (folder / "ca.key").unlink()

    assert told(folder, tmp_path) == pem(root)
