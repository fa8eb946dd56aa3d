"""Users logged out of phones and in again, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import MAC, Ztp
from tests.conftest import HOSTILE_PASSWORD

DESK = "0004f2dddd01"


def test_a_day_at_a_hot_desk(office: Callable[..., str], ztp: Ztp, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(HOSTILE_PASSWORD)
    secret = f"@{tmp_path / 'secret.txt'}"
    office(
        "site",
        "edit",
        "madrid",
        "--logged-out-line",
        f"user=900,password={secret}",
        "--set",
        "logged_out.digit_map=112",
    )
    shown = json.loads(office("site", "show", "madrid"))["logged_out"]
    assert shown["settings"] == {"digit_map": "112"} and shown["line"]["user"] == "900"
    office("user", "add", "ana", "--line", f"user=3001,password={secret}")
    office("phone", "edit", MAC, "--user", "ana")
    office("phone", "add", "--hardware-id", DESK, "--name", "Desk", "--model", "vvx-411", "--site", "madrid",
         "--base-settings", "vvx-standard")  # fmt: skip
    into = ztp("phone", "log-in", DESK, "--user", "ana")
    assert into.code == 0 and f"user ana was logged out of phone {MAC} at site madrid" in into.err
    assert "3001" in office("phone", "preview", DESK)
    assert json.loads(office("phone", "log-out", DESK, "--json"))["logged_out"] is True
    preview = office("phone", "preview", DESK)
    assert 'reg.1.address="900"' in preview and "3001" not in preview and HOSTILE_PASSWORD not in preview
    explained = office("phone", "explain", DESK)
    assert "logged-out profile of site madrid" in explained
    assert "logged-out profile of site madrid" in office("phone", "preview", DESK, "--annotate")
    office("phone", "log-in", MAC)
    rows = json.loads(office("phone", "list", "--filter", "logged_in=no", "--json"))
    assert [row["hardware_id"] for row in rows] == [DESK]
    said = office("phone", "log-out", "--filter", "logged_in=yes", "--filter", "user=ana")
    assert json.loads(office("phone", "show", MAC))["logged_out"] is True
    office("job", "undo", said.split()[1])
    assert json.loads(office("phone", "show", MAC))["logged_out"] is False
    office("site", "edit", "madrid", "--logged-out-line", "", "--unset", "logged_out.digit_map")
    assert json.loads(office("site", "show", "madrid"))["logged_out"] == {"settings": {}, "line": None}


def test_what_is_wrong_is_said_in_a_line(office: Callable[..., str], ztp: Ztp) -> None:
    assert "logged_out.settings.emergency_numbers" in ztp(
        "site", "edit", "madrid", "--set", "logged_out.emergency_numbers=112"
    ).complaint  # fmt: skip
    assert ztp("phone", "log-in", MAC, "--user", "nobody").complaint
    assert ztp("phone", "log-out").code == 2
    assert ztp("phone", "log-out", MAC, DESK, "--json").code == 2
