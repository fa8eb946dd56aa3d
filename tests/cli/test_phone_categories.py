"""Phones of every category, removal and undo, lines and keys on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cli.conftest import MAC, Ztp

Done = Callable[..., str]


def test_an_unmanaged_phone_is_told_its_password_once(office: Done, ztp: Ztp) -> None:
    phone_id, line = office("phone", "add", "--category", "unmanaged", "--site", "madrid", "--name", "Door",
                            "--line", "user=5001").splitlines()  # fmt: skip
    number, user, password = line.split("\t")

    assert (number, user, len(password)) == ("line 1", "5001", 20)
    shown = dict(row.split("\t") for row in office("phone", "connection", phone_id).splitlines())
    assert (shown["Server"], shown["Port"], shown["Line 1: Password"]) == ("sip.example.net", "5061", "***")
    assert "reason" in ztp("phone", "connection", phone_id, "--reveal").complaint
    revealed = json.loads(office("phone", "connection", phone_id, "--reveal", "--reason", "reset", "--json"))
    assert revealed["accounts"][0]["password"] == password
    assert password not in office("phone", "new-password", phone_id)
    assert json.loads(office("phone", "show", phone_id))["category"] == "unmanaged"


def test_a_browser_phone_and_a_remote_phone_are_added(office: Done, ztp: Ztp) -> None:
    office("user", "add", "ana", "--name", "Ana", "--extension", "4001")

    added = ztp("phone", "add", "--category", "webrtc", "--site", "madrid", "--user", "ana")
    remote = office("phone", "add", "--category", "remote", "--site", "madrid",
                    "--remote-address", "+34600000000", "--json")  # fmt: skip

    assert added.code == 0
    assert added.err == "warning: site: madrid has no webrtc_url, so no browser knows where to connect\n"
    assert json.loads(remote)["remote_address"] == "+34600000000" and json.loads(remote)["name"] == "+34600000000"
    refused = ztp("phone", "edit", json.loads(remote)["id"], "--line", "user=1")
    assert "is not a field of a remote phone" in refused.complaint


def test_the_mac_of_another_maker_is_warned_of(office: Done, ztp: Ztp) -> None:
    ended = ztp("phone", "add", "--hardware-id", "00908f000001", "--model", "vvx-411", "--site", "madrid",
                "--base-settings", "vvx-standard")  # fmt: skip

    assert (ended.code, ended.out) == (0, "00908f000001\n") and "is made by Poly" in ended.err


def test_a_removed_phone_is_listed_and_restored(office: Done, ztp: Ztp) -> None:
    office("phone", "remove", MAC)
    (row,) = office("phone", "removed").splitlines()
    assert row.split("\t")[1:5] == [MAC, "Reception", "managed", "madrid"]

    assert office("phone", "restore", MAC.upper()) == f"{MAC}\n"

    assert office("phone", "removed") == "" and json.loads(office("phone", "removed", "--json")) == []
    assert "s3cret" in office("phone", "preview", MAC, f"{MAC}-settings.cfg", "--reveal", "--reason", "looking")
    assert ztp("phone", "restore", MAC).complaint == f"ztp: no removed phone {MAC}"


def test_keys_and_lines_are_changed_one_by_one(office: Done, ztp: Ztp) -> None:
    office("phone", "line", MAC, "add", "user=1002,password=p", "--at", "1")
    office("phone", "key", MAC, "add", "type=line,line=2")
    office("phone", "key", MAC, "add", "type=blf,value=1003,label=Sales & Co", "--at", "1")
    office("phone", "key", MAC, "set", "1", "label=Support")
    office("phone", "key", MAC, "move", "1", "2")
    office("phone", "line", MAC, "move", "1", "2")
    office("phone", "line", MAC, "set", "2", "label=second")

    shown = json.loads(office("phone", "show", MAC))
    assert [line["user"] for line in shown["lines"]] == ["1001", "1002"] and shown["lines"][1]["label"] == "second"
    assert shown["line_keys"] == [{"type": "line", "line": 1}, {"type": "blf", "value": "1003", "label": "Support"}]
    assert "line_keys.1.line: shows line 1" in ztp("phone", "line", MAC, "remove", "1").complaint
    office("phone", "key", MAC, "remove", "1")
    office("phone", "line", MAC, "remove", "1")
    assert [line["user"] for line in json.loads(office("phone", "show", MAC))["lines"]] == ["1002"]


def test_a_phone_is_called_by_its_id_as_well(office: Done) -> None:
    phone_id = json.loads(office("phone", "show", MAC))["id"]

    office("phone", "edit", phone_id, "--name", "By id")

    assert json.loads(office("phone", "show", MAC))["name"] == "By id"
