"""`ztp phone import` and `ztp phone export`, as a person uses them."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp

Done = Callable[..., str]
HEADER = "hardware_id,name,model,site,base_settings\n"
GOOD = "0004f2000001,Lobby,vvx-411,madrid,vvx-standard\n"
BAD = "0004f2000002,=x,vvx-41,madrid,vvx-standard\n"
REVEAL = ("--reveal", "--reason", "a move")


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "phones.csv").write_text(text, newline="")
        return tmp_path / "phones.csv"

    return write


def test_what_is_exported_is_imported_without_a_change(office: Done, tmp_path: Path) -> None:
    office("phone", "import", "--mode", "upsert", _exported(office, tmp_path, *REVEAL))
    assert office("phone", "import", "--mode", "upsert", tmp_path / "out.csv") == (
        "0 phones were created, 0 updated, 1 unchanged\n"
    )
    assert "s3cret" in (tmp_path / "out.csv").read_text()
    assert "s3cret" not in _exported(office, tmp_path).read_text()


def _exported(office: Done, tmp_path: Path, *more: str) -> Path:
    assert office("phone", "export", "-o", tmp_path / "out.csv", *more) == ""
    return tmp_path / "out.csv"


def test_an_export_is_for_ones_own_eyes_and_leaves_nothing_beside_it(office: Done, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("older, and readable by all")
    file = _exported(office, tmp_path, *REVEAL)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".out*"))


def test_an_export_goes_to_standard_output_and_through_a_filter(office: Done) -> None:
    (row,) = csv.DictReader(office("phone", "export", "--filter", "site=madrid", "--filter", "q=Recep").splitlines())
    assert (row["hardware_id"], row["line1_user"], row["line1_password"]) == (MAC, "1001", "")
    assert len(office("phone", "export", "--filter", "site=!madrid").splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--reveal"], 1, "ztp: reason: must say why"),
        (["--filter", "colour=red"], 1, "ztp: colour: unknown filter"),
        (["--filter", "colour"], 2, "'colour' is not name=value"),
        (["-o", "/nowhere/x.csv"], 1, "ztp: --output: /nowhere/x.csv: No such file or directory"),
    ],
)
def test_an_export_that_cannot_be_says_why(office: Done, ztp: Ztp, arguments: list[str], code: int, says: str) -> None:
    ended = ztp("phone", "export", *arguments)
    assert ended.code == code and says in ended.err and ended.out == ""


def test_a_refused_import_leaves_a_report_of_every_row(
    office: Done, ztp: Ztp, table: Callable[[str], Path], tmp_path: Path
) -> None:
    ended = ztp("phone", "import", table(HEADER + GOOD + BAD), "--report", tmp_path / "report.csv")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1] == "ztp: phones.csv: 1 problem, nothing imported"
    rows = list(csv.reader((tmp_path / "report.csv").read_text().splitlines()))
    assert [row[:4] for row in rows] == [
        ["line", "hardware_id", "result", "column"],
        ["2", "0004f2000001", "created", ""],
        ["3", "0004f2000002", "refused", "model"],
    ]


def test_the_good_rows_are_taken_when_asked(office: Done, ztp: Ztp, table: Callable[[str], Path]) -> None:
    ended = ztp("phone", "import", table(HEADER + GOOD + BAD), "--partial")
    assert (ended.code, ended.out) == (0, "1 phones were created, 0 updated, 1 refused\n")
    assert ended.err.startswith("line 3, column model: unknown model 'vvx-41'")


def test_counts_come_as_json(office: Done, table: Callable[[str], Path]) -> None:
    shown = json.loads(office("phone", "import", table(HEADER + GOOD), "--dry-run", "--json"))
    assert shown == {
        "created": 1, "updated": 0, "unchanged": 0, "refused": 0, "windows": 0, "dry_run": True, "problems": [],
        "warnings": [],
    }  # fmt: skip
    assert "0004f2000001" not in office("phone", "list")


def test_a_table_comes_from_standard_input(office: Done, ztp: Ztp) -> None:
    ended = ztp("phone", "import", "-", stdin=HEADER + GOOD)
    assert (ended.code, ended.out) == (0, "1 phones were created, 0 updated\n")
