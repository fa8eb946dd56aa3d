"""The doctor where things do not open, where a check fails itself, and what its advice is worth."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click import Group

from tests.services.opened import new_data
from tests.services.well_kept import Place, of, said
from ztp_server.cli.main import cli
from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.pki.authority import ensure_server_files
from ztp_server.services import (
    doctor,
    doctor_certificates,
    doctor_files,
    doctor_listeners,
    doctor_machine,
    doctor_phones,
    doctor_records,
)
from ztp_server.services.doctor import CHECKS, diagnosis
from ztp_server.services.doctor_patient import Check, Machine, Patient
from ztp_server.services.doctor_phones import TELLING
from ztp_server.services.opening import installation_of

ROOT = Path(__file__).parents[2]
MODULES = (doctor, doctor_certificates, doctor_files, doctor_listeners, doctor_machine, doctor_phones, doctor_records)


def skipped(found: doctor.Diagnosis) -> set[str]:
    return {check.name for check in found.checks if check.skipped}


NEED_DATABASE = {check.name for check in CHECKS if check.needs in ("database", "key")}
NEED_KEY = {check.name for check in CHECKS if check.needs == "key"}


async def test_a_file_that_a_full_disk_keeps_from_being_read_is_not_called_damaged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_args: object, **_named: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3, "connect", connect)
    examined = await place.examine()
    (finding,) = of(examined, "integrity")

    assert of(examined, "database")[0].advice == finding.advice
    assert finding.level == "failure" and finding.what.endswith("cannot be looked through: disk I/O error")
    assert "make room" in finding.advice and "docs/how-to/troubleshoot.md" in finding.advice


async def test_a_database_that_does_not_open_hinders_no_check_that_needs_none(place: Place) -> None:
    (place.data / "ztp.db").write_bytes(b"this is no database" * 400)

    found = await place.examine()

    assert "not a database" in of(found, "database")[0].what and of(found, "database")[0].level == "failure"
    assert "docs/how-to/backup.md" in of(found, "database")[0].advice
    assert skipped(found) == NEED_DATABASE
    assert {name for name, _ in said(found)} == {"server", "database", "integrity"}


async def test_a_database_that_is_gone_is_a_failure_where_a_server_ran_and_none_where_none_did(place: Place) -> None:
    for path in place.data.glob("ztp.db*"):
        path.unlink()
    gone = await place.examine()
    (place.data / "serving.json").unlink()
    never = await place.examine()

    assert [one.level for one in (of(gone, "database")[0], of(never, "database")[0])] == ["failure", "advice"]
    assert not (place.data / "ztp.db").exists()


@pytest.mark.parametrize(("schema", "words"), [("0001", "is older"), ("9999", "newer ztp")])
async def test_a_database_of_another_version_is_said_to_be_one(place: Place, schema: str, words: str) -> None:
    place.sql("UPDATE alembic_version SET version_num = ?", schema)

    found = await place.examine()

    assert words in of(found, "database")[0].what and skipped(found) == NEED_DATABASE
    with closing(sqlite3.connect(place.data / "ztp.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema,)]


async def test_a_page_that_was_overwritten_is_found(place: Place) -> None:
    pages = bytearray((place.data / "ztp.db").read_bytes())
    for page in range(30, 90):
        pages[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    (place.data / "ztp.db").write_bytes(pages)

    found = await place.examine()

    assert of(found, "integrity")[0].level == "failure" and "restore a backup" in of(found, "integrity")[0].advice


async def test_without_the_key_all_is_looked_at_that_needs_none(place: Place) -> None:
    place.key.unlink()

    assert skipped(await place.examine()) == NEED_KEY


async def test_a_check_that_fails_itself_is_a_finding_without_the_words_of_its_error(tmp_path: Path) -> None:
    def fails(_patient: Patient) -> list[Finding]:
        raise ValueError("s3cret")

    own = Place(tmp_path).options
    installation = installation_of(own.data, own.database_url, own.own_templates, own.makers)
    patient = Patient(installation, datetime.now(UTC))
    found = await diagnosis(patient, [Check("broken", "", fails), Check("next", "", lambda patient: ok("well"))])

    assert found.level == "failure" and found.checks[1].level == "ok"
    assert re.search(r"failed itself: ValueError in test_doctor_closed\.py:\d+", of(found, "broken")[0].what)
    assert "s3cret" not in str(found)


async def test_a_folder_that_is_not_there_is_said_to_be_missing_and_is_not_made(tmp_path: Path) -> None:
    found = await Place(tmp_path / "nowhere").examine()

    assert "no such folder" in of(found, "data-folder")[0].what and of(found, "secret-key")[0].level == "advice"
    assert not (tmp_path / "nowhere").exists()


async def test_a_new_folder_has_nothing_above_advice(tmp_path: Path) -> None:
    place = Place(tmp_path)
    new_data(place.data)

    found = await place.examine()

    assert found.level == "advice", said(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_files_of_another_user_are_named_with_that_user(place: Place) -> None:
    os.chown(place.data / "ztp.db", 54321, -1)

    found = of(await place.examine(), "owners")

    assert "ztp.db (54321)" in found[0].what and "chown -R" in found[0].advice


async def test_a_ca_that_does_not_count_or_will_not_for_long_is_named(place: Place) -> None:
    near, over = (datetime.now(UTC) + timedelta(days=days) for days in (365 * 20 - 100, 365 * 20 + 30))

    soon, late = await place.examine(at=near), await place.examine(at=over)

    assert any("counts on the listener expired alone" in one.what for one in of(late, "makers-cas"))
    assert [one.level for one in of(soon, "makers-cas")] == ["advice", "ok"]


async def test_our_own_certificate_is_spoken_of_later_than_one_that_nobody_renews(place: Place) -> None:
    tls = place.data / "tls"
    certificate = ensure_server_files(tls, []).certificate
    end = doctor_certificates.read_certificate(certificate).not_valid_after_utc
    own = of(await place.examine(at=end - timedelta(days=20)), "server-certificate")
    (tls / "ca.key").unlink()
    theirs = of(await place.examine(at=end - timedelta(days=20)), "server-certificate")

    assert own[0].level == "ok" and theirs[0].level == "warning" and "ends in 20 days" in theirs[0].what


INSERT = "INSERT INTO meta VALUES ('demo', '1')"
KILLED = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit(); os._exit(0)"


async def test_the_log_of_a_server_that_was_killed_is_read_and_stays(place: Place) -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, str(place.data / "ztp.db"), INSERT])
    log = (place.data / "ztp.db-wal").read_bytes()

    found = await place.examine()

    assert of(found, "demo")[0].level == "warning" and log
    assert (place.data / "ztp.db-wal").read_bytes() == log


def test_this_machine_is_asked_and_tells(tmp_path: Path) -> None:
    machine = Machine()

    space = machine.space(tmp_path)

    assert 0 < space.free <= space.size == shutil.disk_usage(tmp_path).total
    assert machine.is_synchronized() in (True, False, None)


def sources() -> str:
    return "\n".join(Path(str(module.__file__)).read_text() for module in MODULES)


def is_command(words: list[str]) -> bool:
    """Whether these words begin with a command, or a group and a command of it."""
    found = cli
    for word in words:
        if not isinstance(found, Group):
            return True
        deeper = found.get_command(None, word)  # type: ignore[arg-type]
        if deeper is None:
            return False
        found = deeper  # type: ignore[assignment]
    return not isinstance(found, Group) or not words


def test_what_is_advised_is_there() -> None:
    word = "[a-z]+(?:-[a-z]+)*"
    commands = {tuple(found.split()) for found in re.findall(rf"\bztp ({word}(?: {word}){{0,2}})", sources())}
    known = {command for command in commands if cli.get_command(None, command[0])}  # type: ignore[arg-type]
    pages = set(re.findall(r"docs/how-to/[a-z-]+\.md", sources())) | {
        f"docs/how-to/{name}.md" for name in re.findall(r"_page\('([a-z-]+)'\)", sources())
    }

    assert len(known) > 15 and all(is_command(list(command)) for command in known), known
    assert len(pages) > 8 and [page for page in pages if not (ROOT / page).is_file()] == []


def test_every_event_that_is_looked_for_is_reported_by_somebody() -> None:
    package = ROOT / "ztp_server"
    others = "\n".join(path.read_text() for path in package.rglob("*.py") if path.name != "doctor_phones.py")

    assert [action for action in TELLING if f'"{action}"' not in others] == []


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names) and all(re.fullmatch("[a-z-]+", name) for name in names)
