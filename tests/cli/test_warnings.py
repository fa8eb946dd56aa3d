"""Raw parameters that the firmware is not known to have: told on stderr, never refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp

Done = Callable[..., str]
MISSPELT, RIGHT = "custom.feature.urlDialling.enabled", "custom.feature.urlDialing.enabled"
UNKNOWN = f"{MISSPELT}: no parameter of that name is known; did you mean feature.urlDialing.enabled?"
HEADER = f"hardware_id,model,site,base_settings,settings.{MISSPELT}\n"


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[int], Path]:
    def write(rows: int) -> Path:
        path = tmp_path / "phones.csv"
        path.write_text(HEADER + "".join(f"0004f21{n:05x},vvx-411,madrid,vvx-standard,1\n" for n in range(rows)))
        return path

    return write


@pytest.mark.parametrize(
    "command",
    [
        ("base-settings", "add", "other", "--model", "vvx-411"),
        ("base-settings", "edit", "vvx-standard"),
        ("phone", "edit", MAC),
        ("phone", "add", "--hardware-id", "0004f2aabbcd", "--model", "vvx-411", "--site", "madrid",
         "--base-settings", "vvx-standard"),
    ],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_a_command_that_sets_one_says_so_and_does_it(office: Done, ztp: Ztp, command: tuple[str, ...]) -> None:
    ended = ztp(*command, "--set", f"{MISSPELT}=1")
    assert (ended.code, ended.complaint) == (0, f"warning: {UNKNOWN}")
    ended = ztp("phone", "edit", MAC, "--set", f"{RIGHT}=1")
    assert (ended.code, ended.err) == (0, "")


def test_a_value_that_is_not_taken_is_not_repeated(office: Done, ztp: Ztp) -> None:
    ended = ztp("phone", "edit", MAC, "--set", "custom.device.auth.localAdminPassword=" + "s3cret" * 10)
    assert ended.code == 0 and ended.complaint.endswith("must be at most 32 characters") and "s3cret" not in ended.err


def test_taking_one_away_is_nothing_to_warn_of(office: Done, ztp: Ztp) -> None:
    ztp("phone", "edit", MAC, "--set", f"{MISSPELT}=1")
    ended = ztp("phone", "edit", MAC, "--unset", MISSPELT)
    assert (ended.code, ended.err) == (0, "")


def test_an_import_says_it_once_with_the_first_line(office: Done, ztp: Ztp, csv: Callable[[int], Path]) -> None:
    for dry_run in (["--dry-run"], []):
        ended = ztp("phone", "import", csv(3), *dry_run)
        assert (ended.code, ended.complaint) == (0, f"warning: line 2 and 2 more: {UNKNOWN}")
    assert len(office("phone", "list").splitlines()) == 4


@pytest.mark.slow
def test_an_import_of_many_phones_is_no_slower_for_it(office: Done, ztp: Ztp, csv: Callable[[int], Path]) -> None:
    wrong = csv(2000)
    begun = time.process_time()
    assert "and 1999 more" in ztp("phone", "import", wrong, "--dry-run").complaint
    warned = time.process_time() - begun
    wrong.write_text(wrong.read_text().replace(MISSPELT, RIGHT))
    begun = time.process_time()
    assert ztp("phone", "import", wrong, "--dry-run").err == ""
    assert warned < 1.5 * (time.process_time() - begun) + 0.5


def test_the_check_of_templates_looks_at_what_is_stored(office: Done, ztp: Ztp) -> None:
    ztp("base-settings", "edit", "vvx-standard", "--set", f"{MISSPELT}=1")
    ztp("phone", "edit", MAC, "--set", "custom.reg.1.lineKeys=1", "--set", "custom.reg.1.callsPerLineKey=99")

    ended = ztp("templates", "check", "poly", "--strict", "--json")
    assert ended.code == 1
    assert [(row["severity"], row["file"], row["reason"]) for row in json.loads(ended.out)] == [
        ("warning", "base settings vvx-standard", UNKNOWN),
        ("warning", f"phone {MAC}", "custom.reg.1.callsPerLineKey: must be a number from 1 to 24"),
    ]
    assert ztp("templates", "check", "spectralink").err == "", "told with its own vendor only"
