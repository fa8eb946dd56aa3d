from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Ztp


def test_it_exits_with_0_while_nothing_must_be_mended_and_with_1_when_something_must(ztp: Ztp, data: Path) -> None:
    well = ztp("doctor")
    (data / "secret.key").write_text("nonsense")
    ill = ztp("doctor")

    assert (well.code, ill.code) == (0, 1) and well.err == ill.err == ""
    assert "0 failures" in well.out and "FAILURE  key of secrets: " in ill.out
    assert "→ chmod 600" in ill.out


def test_its_json_is_that_of_rest(ztp: Ztp, data: Path) -> None:
    ended = ztp("doctor", "--json")

    found = json.loads(ended.out)
    assert set(found) == {"at", "level", "counts", "checks"} and found["level"] in ("advice", "warning")
    assert {"name", "about", "level", "skipped", "findings"} == set(found["checks"][0])
    assert ended.code == 0


def test_a_database_that_does_not_open_is_one_line_and_the_rest_is_examined(ztp: Ztp, data: Path) -> None:
    (data / "ztp.db").write_bytes(b"nonsense\n" * 1000)

    ended = ztp("doctor")

    assert ended.code == 1 and ended.err == ""
    assert "FAILURE  database: " in ended.out and "not a database" in ended.out
    assert "ok       data folder: " in ended.out
    assert ended.out.count("skipped  ") == 2  # for want of a database, and of a server


def test_a_folder_that_is_not_there_is_not_made(ztp: Ztp, tmp_path: Path) -> None:
    ended = ztp("doctor", "--data", tmp_path / "none")

    assert ended.code == 1 and "no such folder" in ended.out
    assert not (tmp_path / "none").exists()


def test_a_database_that_is_no_url_is_one_line(ztp: Ztp) -> None:
    ended = ztp("doctor", "--database", "oracle://scott:tiger@db/x")

    assert ended.code == 1 and "tiger" not in ended.complaint
