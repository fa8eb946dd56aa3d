"""ztp audit"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import MAC, Ztp
from tests.store.test_audit import meddle

Done = Callable[..., str]


def test_the_audit_names_who_what_and_which_fields(office: Done) -> None:
    office("phone", "edit", MAC, "--name", "a & <b> 😀\u202e")
    [newest, *_] = office("audit", "list", "--subject", MAC).splitlines()

    _, _, who, what, subject, fields = newest.split("\t")
    assert who.startswith("local:") and (what, subject, fields) == ("phone.changed", MAC, "name")


def test_the_audit_in_json_is_that_of_the_rest_interface(office: Done) -> None:
    office("phone", "edit", MAC, "--name", "Lobby")
    [record] = json.loads(office("audit", "list", "--action", "phone.changed", "--limit", "1", "--json"))

    assert (record["before"], record["after"]) == ({"name": "Reception"}, {"name": "Lobby"})
    assert len(record["hash"]) == 64


def test_a_whole_audit_verifies_up_to_its_head(office: Done) -> None:
    head = office("audit", "head").strip()

    assert head in office("audit", "verify", "--head", head)


def test_a_broken_audit_is_an_error_that_names_the_record(office: Done, ztp: Ztp, data: Path) -> None:
    meddle(data, "UPDATE audit SET actor = 'somebody else' WHERE seq = 2")
    ended = ztp("audit", "verify")

    assert ended.code == 1 and ended.complaint.startswith("ztp: audit: record 2 ")


def test_what_is_no_head_is_refused(office: Done, ztp: Ztp) -> None:
    assert ztp("audit", "verify", "--head", "twelve").complaint.startswith("ztp: head: ")
