"""ztp phone why"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import MAC, Ztp


def test_a_phone_that_never_asked_is_explained_in_plain_words(ztp: Ztp, office: object) -> None:
    told = ztp("phone", "why", MAC.upper(), "--from", "10.0.0.7")
    assert told.code == 0 and told.err == ""
    assert "+ 10.0.0.7 lies in the networks of site madrid" in told.out
    assert "No attempts so far." in told.out and "To do:" in told.out
    assert f"  https {MAC}-settings.cfg: 200, its own file" in told.out


def test_scripts_get_the_same_as_json(ztp: Ztp, office: object) -> None:
    told = json.loads(ztp("phone", "why", MAC, "--from", "192.0.2.1", "--file", f"{MAC}-settings.cfg", "--json").out)
    assert (told["hardware_id"], told["from"], told["from_is"]) == (MAC, "192.0.2.1", "as asked")
    assert {(answer["listener"], answer["status"]) for answer in told["answers"]} >= {("https", 404)}
    assert {answer["file"] for answer in told["answers"]} == {f"{MAC}-settings.cfg"}


def test_a_certificate_that_cannot_be_read_is_refused(ztp: Ztp, office: object, tmp_path: Path) -> None:
    refused = ztp("phone", "why", MAC, "--cert", tmp_path / "none.pem")
    assert refused.code == 1 and "none.pem: No such file or directory" in refused.complaint


def test_a_word_that_is_no_phone_is_refused(ztp: Ztp, office: object) -> None:
    assert "hardware_id: 'reception' is neither" in ztp("phone", "why", "reception").complaint
