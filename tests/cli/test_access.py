"""ztp account, role, token, user."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.conftest import HOSTILE_NAME, HOSTILE_PASSWORD

PASSWORD = "correct horse <battery> & 'staple'"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "password.txt"
    path.write_text(PASSWORD + "\n")
    return f"@{path}"


def test_a_token_is_printed_alone_and_listed_without_its_text(office: Any) -> None:
    text = office("token", "create", "--name", "ci", "--role", "admin", "--role", "viewer@madrid", "--expires", "90d")
    assert re.fullmatch("ztp_[0-9a-f]{16}_[0-9a-f]{64}\n", text)
    [row] = json.loads(office("token", "list", "--json"))
    assert (row["name"], row["roles"]) == (
        "ci",
        [{"role": "admin", "site": None}, {"role": "viewer", "site": "madrid"}],
    )
    assert text.strip()[-64:] not in office("token", "list") + json.dumps(row)
    office("token", "revoke", "ci")
    assert office("token", "list") == ""


def test_roles_count_at_the_sites_that_are_named(office: Any) -> None:
    office("token", "create", "--name", "ci", "--role", "editor", "--site", "madrid", "--expires", "never")
    [row] = json.loads(office("token", "list", "--json"))
    assert row["roles"] == [{"role": "editor", "site": "madrid"}] and row["expires_at"] is None


def test_who_logs_in_elsewhere_needs_no_password_and_can_be_linked_later(office: Any, ztp: Ztp, secret: str) -> None:
    office("account", "add", "ana", "--oidc", "https://idp.example.net#4711", "--role", "viewer")
    office("account", "add", "ben", "--password", secret)
    assert json.loads(office("account", "show", "ana"))["external_id"] == "https://idp.example.net#4711"
    assert "ana" in ztp("account", "edit", "ben", "--oidc", "https://idp.example.net#4711").complaint
    assert "external_id" in ztp("account", "edit", "ben", "--oidc", "4711").complaint
    office("account", "edit", "ana", "--oidc", "")
    office("account", "edit", "ben", "--oidc", "https://idp.example.net#4711", "--name", "Ben")
    assert json.loads(office("account", "show", "ana"))["external_id"] is None


def test_an_account_is_added_changed_and_shown_without_its_password(office: Any, ztp: Ztp, secret: str) -> None:
    office("account", "add", "ana", "--name", HOSTILE_NAME, "--password", secret, "--role", "admin")
    assert ztp("account", "add", "ben", "--password", "@-", stdin=PASSWORD).code == 0
    office("account", "edit", "ben", "--disable", "--role", "viewer@madrid")
    office("account", "password", "ben", "--password", secret)
    shown = json.loads(office("account", "show", "ben"))
    assert (shown["enabled"], shown["roles"], shown["tokens"]) == (False, [{"role": "viewer", "site": "madrid"}], [])
    assert office("account", "list") == f"ana\t{HOSTILE_NAME}\tyes\tadmin\nben\tben\tno\tviewer@madrid\n"
    office("account", "remove", "ben")
    assert [row["id"] for row in json.loads(office("account", "list", "--json"))] == ["ana"]


def test_what_is_wrong_is_said_in_one_line_without_the_password(office: Any, ztp: Ztp, secret: str) -> None:
    for arguments, said in (
        (("account", "add", "ana", "--password", "Zq81-short"), "password: 10 characters"),
        (("account", "add", "Ana", "--password", "Zq81-long-enough"), "id: "),
        (("account", "add", "ana", "--password", secret, "--role", "boss"), "no role boss"),
        (("account", "add", "ana", "--password", secret, "--role", "viewer@atlantis"), "no site atlantis"),
        (("token", "create", "--name", "x", "--role", "admin", "--expires", "soon"), "expires: "),
        (("token", "create", "--name", "x"), "roles: "),
        (("token", "revoke", "x"), "no token x"),
        (("role", "add", "x", "--permission", "phones:fly"), "phones:fly"),
        (("role", "remove", "admin"), "built in"),
        (("user", "add", "x", "--extension", "1 2"), "extension: "),
    ):
        ended = ztp(*arguments)
        assert ended.code == 1 and said in ended.complaint and "Zq81" not in ended.err


def test_a_wrong_call_is_told_from_a_refusal(office: Any, ztp: Ztp) -> None:
    for arguments in (
        ("account", "add", "ana"),
        ("token", "create", "--role", "admin"),
        ("token", "create", "--name", "x", "--site", "madrid"),
        ("user", "edit", "x", "--line", "user=1", "--no-lines"),
    ):
        assert ztp(*arguments).code == 2


def test_the_last_admin_stays(office: Any, ztp: Ztp, secret: str) -> None:
    office("account", "add", "ana", "--password", secret, "--role", "admin")
    assert "last" in ztp("account", "remove", "ana").complaint


def test_a_role_of_ones_own(office: Any) -> None:
    office("role", "add", "helpdesk", "--name", "Help desk", "--permission", "phones:*", "--permission", "sites:view")
    office("role", "edit", "helpdesk", "--permission", "phones:view")
    assert "helpdesk\tHelp desk\tno\tphones:view\n" in office("role", "list")
    office("role", "remove", "helpdesk")
    assert [row["id"] for row in json.loads(office("role", "list", "--json"))] == [
        "admin",
        "editor",
        "installer",
        "operator",
        "viewer",
    ]


def test_a_user_with_lines_and_phones(office: Any, ztp: Ztp, tmp_path: Path) -> None:
    file = tmp_path / "line.txt"
    file.write_text(HOSTILE_PASSWORD)
    office("user", "add", "eva", "--name", HOSTILE_NAME, "--extension", "1001", "--line", f"user=1001,password=@{file}")
    office("user", "edit", "eva", "--line", "user=1001,label=L", "--line", "user=1002")
    shown = office("user", "show", "eva")
    assert [line["user"] for line in json.loads(shown)["lines"]] == ["1001", "1002"] and HOSTILE_PASSWORD not in shown
    assert office("user", "list", "--q", "zzz") == ""
    assert office("user", "list") == f"eva\t{HOSTILE_NAME}\t1001\t1001,1002\n"
    office("user", "edit", "eva", "--no-lines")
    assert json.loads(office("user", "list", "--json"))[0]["lines"] == []
    office("user", "remove", "eva")
    assert office("user", "list") == ""
    assert ztp("phone", "show", MAC).code == 0
