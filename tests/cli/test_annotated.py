"""`ztp phone preview --annotate`: each line with what made it."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
import pytest

from tests.cli.conftest import MAC, Ztp
from ztp_server.cli.annotated import show_annotated
from ztp_server.services.annotations import AnnotatedLine, Origin

Done = Callable[..., str]
FILE = f"{MAC}-settings.cfg"


def test_below_each_line_stands_what_made_it(office: Done) -> None:
    office("base-settings", "edit", "vvx-standard", "--set", "rtp_dscp=34")

    lines = office("phone", "preview", MAC, FILE, "--annotate").splitlines()

    at = lines.index('    qos.ip.rtp.dscp="34"')
    assert lines[at + 1].startswith("    # poly/parts/media.cfg.j2:")
    assert lines[at + 1].endswith(
        "  settings.rtp_dscp ← base settings vvx-standard  because of renders.rtp_dscp ← family VVX"
    )


def test_without_the_notes_the_lines_are_the_preview(office: Done) -> None:
    plain = office("phone", "preview", MAC, FILE).splitlines()
    assert office("phone", "preview", MAC, FILE, "--annotate").splitlines()[::2] == plain


def test_all_files_are_told_one_after_the_other_under_their_names(office: Done) -> None:
    printed = office("phone", "preview", MAC, "--annotate")
    assert printed.startswith(f"--- {MAC}.cfg\n") and f"\n--- {FILE}\n" in printed


def test_a_list_for_programs_has_a_row_for_each_line_and_hides_passwords_too(office: Done) -> None:
    rows = json.loads(office("phone", "preview", MAC, "--annotate", "--json"))

    (row,) = [row for row in rows if "auth.password" in row["text"]]
    assert row.pop("number") > 1 and row.pop("sources")[0].startswith("poly/parts/lines.cfg.j2:")
    assert row == {
        "file": FILE,
        "text": '    reg.1.auth.password="***"',
        "settings": [{"name": "lines.1.password", "source": "phone", "underneath": 0}],
        "because": [],
        "replaces": [],
    }


def test_passwords_are_told_when_they_are_to_be_revealed(office: Done) -> None:
    assert 'auth.password="s3cret"' in office("phone", "preview", MAC, "--annotate", "--reveal")


def test_json_is_for_annotations_alone(ztp: Ztp) -> None:
    ended = ztp("phone", "preview", MAC, "--json")
    assert ended.code == 2 and "--json goes with --annotate" in ended.err


def test_a_raw_parameter_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    origin = Origin("settings.custom.a", "phone")
    replacing = AnnotatedLine(1, "a=1", (), (origin,), (), ("acme/desk.cfg.j2:7",))
    show_annotated({"f": [replacing, AnnotatedLine(2, "b=1", (), (origin,), ())]}, False)
    assert capsys.readouterr().out == (
        "a=1\n    # custom  in place of acme/desk.cfg.j2:7  settings.custom.a ← phone\n"
        "b=1\n    # custom  settings.custom.a ← phone\n"
    )


def test_notes_are_dimmed_on_a_terminal_and_no_line_can_move_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[tuple[str, bool]] = []
    monkeypatch.setattr(click, "echo", lambda text: printed.append((text, False)))
    monkeypatch.setattr(click, "secho", lambda text, dim: printed.append((text, dim)))

    show_annotated({"f": [AnnotatedLine(1, "a=\u202e\x1b[2J😀", ("t.j2:1",), (), ())]}, False)

    assert printed == [("a=\\u202e\\x1b[2J😀", False), ("    # t.j2:1", True)]
