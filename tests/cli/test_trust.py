"""ztp ca, ztp certificate"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.conftest import MAC, Ztp
from tests.services.test_device_cas import HASH, authority, pem, pin


def test_a_ca_is_added_from_a_file_listed_shown_and_removed(ztp: Ztp, data: Path, tmp_path: Path) -> None:
    root, file = authority(), tmp_path / "root.crt"
    file.write_bytes(root.public_bytes(Encoding.DER))
    before = ztp("ca", "list").out.splitlines()
    assert before[0].startswith("No CA of ") and any("Polycom Root CA" in line and "http" in line for line in before)

    added = ztp("ca", "add", "poly", file, "--reason", "from the maker")
    assert (added.code, added.err) == (0, "") and f"SHA-256 {pin(root)}" in added.out
    table = ztp("ca", "list").out
    assert f"poly\tCN=Polycom Root CA\t{pin(root)}\t" in table and "No CA of Poly" not in table
    (listed,) = json.loads(ztp("ca", "list", "--json").out)
    assert (listed["sha256"], listed["listener"], listed["problem"], listed["own"]) == (pin(root), "mtls", "", True)
    assert json.loads(ztp("ca", "show", pin(root)[:16]).out) == [listed]

    assert ztp("ca", "add", "poly", file).complaint.startswith(f"ztp: CA {pin(root)} is there already")
    assert ztp("ca", "remove", pin(root)).code == 0
    gone = ztp("ca", "show", pin(root))
    assert gone.code == 1 and gone.complaint == f"ztp: no CA '{pin(root)}'"
    assert list((data / "certs").rglob("*.pem")) == []


def test_a_ca_that_is_refused_says_why_in_one_line(ztp: Ztp, tmp_path: Path) -> None:
    dead = tmp_path / "dead.pem"
    dead.write_bytes(pem(authority(days=-10)))
    assert "expired" in ztp("ca", "add", "poly", dead).complaint
    assert ztp("ca", "add", "poly", dead, "--listener", "expired").code == 0
    assert "\texpired\t" in ztp("ca", "list").out
    assert "none with factory certificates" in ztp("ca", "add", "spectralink", dead).complaint
    named = ztp("ca", "add", "audiocodes", dead, "--listener", "expired")
    assert named.code == 1 and "no name of AudioCodes's CAs (CA_ipp1)" in named.complaint
    assert ztp("ca", "add", "poly", tmp_path / "nothing.pem").code == 2
    (tmp_path / "empty.pem").write_bytes(b"")
    assert "not a certificate" in ztp("ca", "add", "poly", tmp_path / "empty.pem").complaint


def test_a_certificate_is_denied_and_allowed(office: Callable[..., str], ztp: Ztp) -> None:
    assert office("certificate", "list", "--json") == "[]\n"
    assert office("certificate", "deny", HASH, "--reason", "stolen & sold") == f"denied {HASH}\n"
    (denied,) = json.loads(office("certificate", "list", "--json"))
    assert (denied["sha256"], denied["subject"], denied["reason"]) == (HASH, "", "stolen & sold")
    assert f"{HASH}\t\tstolen & sold\t" in office("certificate", "list")
    assert "denied already" in ztp("certificate", "deny", HASH.upper(), "--reason", "again").complaint
    assert "never proved itself with a certificate" in ztp("certificate", "deny", MAC, "--reason", "why").complaint
    assert ztp("certificate", "deny", HASH).code == 2
    assert office("certificate", "allow", HASH, "--reason", "found again") == ""
    assert ztp("certificate", "allow", HASH).complaint == f"ztp: no denied certificate {HASH}"
