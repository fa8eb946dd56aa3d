"""Base settings and sites on the command line: what an edit touches, revisions, diffs, secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp
from ztp_server.cli.common import show_table

Done = Callable[..., str]
BASE = ("base-settings", "edit", "vvx-standard")


def test_a_dry_run_shows_what_would_change_and_changes_nothing(office: Done) -> None:
    shown = office(*BASE, "--set", "dtmf_payload_type=104", "--set", "mwi_enabled=off", "--dry-run").splitlines()
    assert shown[:3] == ["dtmf_payload_type: inherited → 104", "mwi_enabled: inherited → off", "1 phone: 1 vvx-411"]
    assert f"{MAC} (vvx-411)" in shown and any(line.startswith("+") and "104" in line for line in shown)
    assert office("base-settings", "list").endswith("\t1\n")
    tried = json.loads(office(*BASE, "--set", "dtmf_payload_type=104", "--dry-run", "--json"))
    assert tried["affected"]["phones"] == 1 and tried["revision"] == 1 and len(tried["samples"]) == 1


def test_an_edit_says_its_revision_and_how_many_phones_it_touches(office: Done) -> None:
    assert office(*BASE, "--set", "rtp_dscp=40") == "revision 2\n1 phone: 1 vvx-411\n"
    assert office(*BASE, "--set", "rtp_dscp=40") == "nothing changes\n"
    edited = json.loads(office(*BASE, "--set", "rtp_dscp=41", "--json"))
    assert edited["changes"] == [{"name": "settings.rtp_dscp", "before": 40, "after": 41}]
    assert office("site", "edit", "madrid", "--set", "rtp_dscp=1") == "revision 2\n1 phone: 1 vvx-411\n"


def test_revisions_tell_who_and_why_and_can_be_returned_to(office: Done) -> None:
    office(*BASE, "--set", "dtmf_payload_type=104", "--reason", "new gateway")
    newest, first = (row.split("\t") for row in office("base-settings", "revisions", "vvx-standard").splitlines())
    assert (newest[0], newest[2][:5], newest[3]) == ("2", "local", "new gateway") and first[0] == "1"
    rows = json.loads(office("base-settings", "revisions", "vvx-standard", "--json"))
    assert [row["revision"] for row in rows] == [2, 1]
    older = json.loads(office("base-settings", "revisions", "vvx-standard", "--before", "2", "--json"))
    assert older == rows[1:]

    assert "→ inherited" in office("base-settings", "revert", "vvx-standard", "1", "--dry-run")
    assert office("base-settings", "revert", "vvx-standard", "1").startswith("revision 3\n")
    assert json.loads(office("base-settings", "show", "vvx-standard"))["settings"] == {}


def test_a_diff_shows_the_files_of_a_phone(office: Done, ztp: Ztp) -> None:
    office(*BASE, "--set", "dtmf_payload_type=104")
    assert office("base-settings", "diff", "vvx-standard", "1") == "dtmf_payload_type: inherited → 104\n"
    for wanted in (["--files"], ["--phone", MAC]):
        shown = office("base-settings", "diff", "vvx-standard", "1", "2", *wanted)
        assert f"{MAC} (vvx-411)" in shown and "(before)" in shown and "104" in shown
    found = json.loads(office("base-settings", "diff", "vvx-standard", "1", "--files", "--json"))
    assert (found["from"], found["to"], found["sample"]["phone"]) == (1, 2, MAC)

    office("base-settings", "clone", "vvx-standard", "unused")
    ended = ztp("base-settings", "diff", "unused", "1", "1", "--files")
    assert (ended.code, ended.out) == (0, "") and "no phone has these base settings" in ended.complaint


def test_a_secret_is_revealed_with_a_reason_and_never_otherwise(office: Done, ztp: Ztp, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2&b\n")
    office(*BASE, "--set", f"admin_password=@{secret}")
    office(*BASE, "--set", "admin_password=other")
    assert "hunter2" not in office("base-settings", "diff", "vvx-standard", "2", "3", "--files")
    office("base-settings", "revert", "vvx-standard", "2")
    assert ztp("base-settings", "show", "vvx-standard", "--reveal").complaint.startswith("ztp: reason: must say why")
    shown = json.loads(office("base-settings", "show", "vvx-standard", "--reveal", "--reason", "locked out"))
    assert shown["settings"]["admin_password"] == "hunter2&b"
    assert ztp("base-settings", "show", "vvx-standard", "--reveal", "--revision", "1").code == 2


def test_a_clone_goes_its_own_way(office: Done) -> None:
    office(*BASE, "--set", "rtp_dscp=40", "--set", "language=Spanish_Spain")
    office("base-settings", "clone", "vvx-standard", "copy", "--name", "Copy", "--unset", "language")
    office(*BASE, "--set", "rtp_dscp=41")
    copy = json.loads(office("base-settings", "show", "copy"))
    assert (copy["name"], copy["settings"], copy["revision"]) == ("Copy", {"rtp_dscp": 40}, 1)


def test_the_template_of_a_model_is_a_table_or_json(office: Done) -> None:
    lines = office("base-settings", "template", "vvx-411").splitlines()
    assert "rtp_dscp\t46\tproduct default\tparameter" in lines
    assert "standalone\toff\tproduct default\tserver" in lines
    rows = {row["name"]: row for row in json.loads(office("base-settings", "template", "vvx-411", "--json"))}
    assert rows["rtp_dscp"]["value"] == 46


def test_a_site_has_its_address_and_what_a_browser_connects_to(office: Done, ztp: Ztp) -> None:
    office(
        *("site", "edit", "madrid", "--set", "civic.country=ES", "--set", "civic.A3=Madrid"),
        *("--set", "webrtc_url=wss://sip.example.net/ws", "--set", "ice_servers=stun:stun.example.net"),
    )
    site = json.loads(office("site", "show", "madrid"))
    assert site["civic_address"] == {"country": "ES", "A3": "Madrid"}
    assert (site["webrtc_url"], site["ice_servers"]) == ("wss://sip.example.net/ws", ["stun:stun.example.net"])
    shown = office("site", "edit", "madrid", "--unset", "civic.A3", "--unset", "webrtc_url", "--dry-run")
    assert shown.splitlines()[:2] == ["civic_address.A3: Madrid → none", "webrtc_url: wss://sip.example.net/ws → "]
    assert "its files stay as they are" in shown
    assert ztp("site", "edit", "madrid", "--unset", "civic.country").complaint == (
        "ztp: civic_address.country: is needed in a civic address"
    )


def test_what_is_in_use_is_refused_naming_the_phones(office: Done, ztp: Ztp) -> None:
    for noun, record in (("site", "madrid"), ("base-settings", "vvx-standard")):
        assert ztp(noun, "remove", record).complaint.endswith(f"in use by 1 phone: {MAC}")


def test_on_a_narrow_terminal_what_names_a_row_stays_whole_and_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job, at = "01a2097d2adb1df65227400c412b2739", datetime(2026, 11, 23, 17, 38, 47, 643192, tzinfo=UTC)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    show_table(("ID", "Kind", "Who", "When"), [(job, "phones.import", "token:a-name-as-long-as-this", at)])
    shown = capsys.readouterr().out
    assert job in shown
    assert "…" not in shown


def test_a_time_in_a_table_is_to_the_second_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("When",), [(datetime(2026, 11, 23, 17, 38, 47, 643192, tzinfo=timezone(timedelta(hours=2))),)])
    assert capsys.readouterr().out == "2026-11-23T15:38:47Z\n"
