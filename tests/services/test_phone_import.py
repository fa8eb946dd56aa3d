"""CSV import: every bad row named with line, column and reason; all or nothing; killed in the middle, nothing."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, VVX, examples
from tests.services.opened import new_data, open_data
from ztp_server.domain.phone import Line
from ztp_server.domain.support import key_types
from ztp_server.errors import BadValue, ImportRefused
from ztp_server.services.opening import Services
from ztp_server.services.phone_import import Report

ROOT = Path(__file__).parents[2]
PLACE = {"model": "vvx-411", "site": "madrid", "base_settings": "vvx-standard"}


def table(*rows: dict[str, str], columns: list[str] | None = None) -> str:
    text = io.StringIO(newline="")
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(number: int, **cells: str) -> dict[str, str]:
    return {"hardware_id": f"0004f2{number:06x}", "name": f"Phone {number}", **PLACE, **cells}


@pytest.fixture
def imported(office: Services, tmp_path: Path) -> Any:
    async def run(content: str | bytes, mode: Any = "create", **options: Any) -> Report:
        file = tmp_path / "phones.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return await office.phone_import.run(ADMIN, file, mode, **options)

    return run


@pytest.fixture
def refused(office: Services, imported: Any) -> Any:
    """Imports a file that must be refused, and sees that nothing of it was written; returns the problems."""

    async def run(content: str | bytes, mode: Any = "create") -> list[str]:
        before = await office.phones.all()
        with pytest.raises((ImportRefused, BadValue)) as refusal:
            await imported(content, mode)
        assert await office.phones.all() == before
        error = refusal.value
        return error.problems if isinstance(error, ImportRefused) else [str(error)]

    return run


async def test_columns_come_in_any_order(office: Services, imported: Any) -> None:
    cells = {
        **row(1, name=HOSTILE_NAME), "line1_password": HOSTILE_PASSWORD, "line1_user": "1001", "line1_auth_user": "a",
        "line1_display_name": HOSTILE_NAME, "line1_label": "L", "line2_user": "1002", "category": "managed", "user": "",
        "key1_type": "line", "key2_type": "blf", "key2_value": "1003", "key2_label": "Sales & Co", "remote_address": "",
        "key3_type": "line", "key3_value": "2", "settings.rtp_dscp": "40", "settings.custom.a.b": "x=y",
    }  # fmt: skip
    for number, columns in enumerate((sorted(cells), sorted(cells, reverse=True)), 1):
        report = await imported(table({**cells, "hardware_id": f"0004f200000{number}"}, columns=columns))
        assert (report.created, report.updated) == (1, 0)

    first, second = [await office.phones.get(f"0004f200000{number}") for number in (1, 2)]
    assert first.lines == second.lines == (Line("1001", "a", HOSTILE_PASSWORD, HOSTILE_NAME, "L"), Line("1002"))
    assert [(k.type, k.line, k.value, k.label) for k in first.line_keys] == [
        ("line", 1, "", ""), ("blf", 0, "1003", "Sales & Co"), ("line", 2, "", ""),
    ]  # fmt: skip
    assert first.settings == second.settings == {"rtp_dscp": 40, "custom.a.b": "x=y"}
    assert (first.name, first.category, first.revision) == (HOSTILE_NAME, "managed", 1)


async def test_a_row_may_have_each_kind_of_key_that_a_model_takes(office: Services, imported: Any) -> None:
    """Every model of every maker, with its kinds of keys on all buttons of its own."""
    await office.sites.add(ADMIN, "anywhere", "", {"time_zone": "Etc/UTC"})
    catalog = office.templates.catalog
    bases: set[str] = set()
    for number, model in enumerate(catalog.models.values(), 1):
        types = key_types(catalog.family_of(model), model)
        base = model.family.replace("_", "-")
        if base not in bases:
            bases.add(base)
            await office.base_settings.add(ADMIN, base, "", model.id, {})
        room = model.speed_dial_keys + model.line_keys if model.speed_dial_keys else model.line_keys
        wanted = sorted((types[n % len(types)] for n in range(room)), key=types.index)
        if model.speed_dial_keys and "line" in types:
            others = [kind for kind in types if kind != "line"]
            wanted = ["line"] * model.line_keys + [others[n % len(others)] for n in range(model.speed_dial_keys)]
        cells = {f"key{n}_type": kind for n, kind in enumerate(wanted, 1)}
        cells |= {f"key{n}_value": f"20{n:02}" for n, kind in enumerate(wanted, 1) if kind not in ("line", "none")}
        place = {"model": model.id, "site": "anywhere", "base_settings": base, "line1_user": "1001"}

        report = await imported(table({**row(number), **place, **cells}))

        assert report.created == 1, model.id
        phone = await office.phones.get(f"0004f2{number:06x}")
        assert [key.type for key in phone.line_keys] == wanted, model.id


async def test_every_bad_row_is_named_with_line_column_and_reason(refused: Any) -> None:
    problems = await refused(
        table(
            row(1),
            row(2, hardware_id="nonsense"),
            row(3, model="vvx-412"),
            row(4, site="paris"),
            row(5, base_settings="400hd"),
            row(6, line1_user="1", line1_password="a\x01b"),
            row(7, line1_label="no user"),
            row(8, key1_type="url", key1_value="https://a/"),
            row(9, key1_type="line", key1_value="two", line1_user="1"),
            row(10, **{"settings.rtp_dscp": "64"}),
            row(11, category="webrtc"),
            row(12, user="anna"),
            row(13, line2_user="2"),
            row(14, hardware_id=VVX),
        )
    )

    assert [problem.split(": ")[0] for problem in problems] == [
        "line 3, column hardware_id", "line 4, column model", "line 5, column site", "line 6, column base_settings",
        "line 7, column line1_password", "line 8, column line1_user", "line 9, column key1_type",
        "line 10, column key1_value", "line 11, column settings.rtp_dscp", "line 12, column category",
        "line 13, column user", "line 14, column line1_user", "line 15, column hardware_id",
    ]  # fmt: skip
    assert "did you mean vvx-411" in problems[1] and "no site 'paris'" in problems[2]
    assert "for AudioCodes 4xxHD" in problems[3] and "U+0001" in problems[4] and "exists already" in problems[-1]


@pytest.mark.parametrize(
    "cells",
    [
        {"settings.codecs": "audio/G722,bad"},
        {"settings.sntp_servers": "a,b c"},
        {f"line{n}_user": str(n) for n in range(1, 36)},
        {f"key{n}_{part}": value for n in range(1, 14) for part, value in (("type", "blf"), ("value", "1"))},
        {"line1_user": "1", "key1_type": "line", "key1_value": "7"},
        {"settings.rtp_port_start": "65530"},
        {"settings.gmt_offset": "+01:00", "settings.dst_start": "M3.5.0"},
    ],
)
async def test_the_column_a_problem_names_is_one_of_the_file(refused: Any, cells: dict[str, str]) -> None:
    (problem,) = await refused(table(row(1, **cells)))
    named = problem.split(": ")[0].removeprefix("line 2, column ")
    assert named in row(1, **cells) or named in ("settings.dst_stop",)


async def test_a_problem_never_repeats_a_password(refused: Any) -> None:
    problems = await refused(table(row(1, line1_user="1", line1_password="hunter2" * 40)))
    assert "hunter2" not in problems[0] and "line1_password" in problems[0]


async def test_a_mac_that_stands_twice_names_both_lines(refused: Any) -> None:
    problems = await refused(table(row(1), row(2), row(1, hardware_id="00:04:F2:00:00:01")))
    assert problems == ["line 4, column hardware_id: 0004f2000001 is on line 2 as well"]


async def test_a_line_break_in_a_cell_does_not_shift_the_numbers_of_lines(refused: Any) -> None:
    text = table(row(1), row(2, name="two\nlines"), row(3), row(4, name="\r\n\r\n"), row(5, model="x"))
    problems = await refused(text)
    assert [problem.split(":")[0] for problem in problems] == [
        "line 3, column name", "line 6, column name", "line 9, column model",
    ]  # fmt: skip


async def test_empty_lines_are_passed_over_and_counted(refused: Any, imported: Any) -> None:
    text = table(row(1), row(2, model="x")).replace("\r\n", "\r\n\r\n")
    assert (await refused(text))[0].startswith("line 5, column model")
    assert (await imported(table(row(1)) + "\r\n,,,,\r\n")).created == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hardware_id,colour\n", "unknown column 'colour' in line 1"),
        ("hardware_id,line0_user\n", "unknown column 'line0_user'"),
        ("hardware_id,line1_pasword\n", "unknown column 'line1_pasword'"),
        ("hardware_id,settings.\n", "unknown column 'settings.'"),
        ("hardware_id,name,name\n", "column name stands twice in line 1"),
        ("name,model\n", "no column hardware_id in line 1"),
        ("", "no column hardware_id"),
        ("hardware_id;name;model\n0004f2000001;x;vvx-411\n", "separated by semicolons"),
        ("hardware_id\tname\n0004f2000001\tx\n", "unknown column"),
        ("hardware_id,name\n0004f2000001,x,y\n", "line 2 has 3 cells, the header has 2"),
        ("hardware_id,name\n0004f2000001\n", "line 2 has 1 cells, the header has 2"),
        ('hardware_id,name\n0004f2000001,ok\n0004f2000002,"unclosed\n', "line 3"),
        ('hardware_id,name\n0004f2000001,"a"b\n', "line 2"),
        ("hardware_id,name\n0004f2000001," + "x" * 4097 + "\n", "line 2"),
        ("hardware_id," + ",".join(f"settings.custom.a{n}" for n in range(1024)) + "\n", "more than 1024 columns"),
        ("hardware_id,name\n0004f2000001,é\n".encode("latin-1"), "is not UTF-8"),
        ("hardware_id,name\n".encode("utf-16"), "is not UTF-8"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_such_table_is_refused_whole(refused: Any, content: str | bytes, says: str) -> None:
    (problem,) = await refused(content)
    assert says in problem


async def test_more_rows_than_the_bound_are_refused(refused: Any) -> None:
    many = "hardware_id\n" + "".join(f"0004f2{n:06x}\n" for n in range(200_001))
    assert "200000 rows" in (await refused(many))[0]


async def test_a_byte_order_mark_is_no_part_of_the_first_column(imported: Any) -> None:
    assert (await imported(b"\xef\xbb\xbf" + table(row(1)).encode())).created == 1


async def test_a_dry_run_reports_and_writes_nothing(office: Services, imported: Any) -> None:
    before = await office.phones.all()
    report = await imported(table(row(1), row(2)), dry_run=True)
    assert (report.created, report.updated) == (2, 0)
    assert await office.phones.all() == before
    async with office.store.read() as session:
        assert "phones.imported" not in [event.action for event in await session.events.latest()]


async def test_update_changes_what_is_filled_and_keeps_the_rest(office: Services, imported: Any) -> None:
    before = await office.phones.get(VVX)
    report = await imported(
        table({"hardware_id": VVX, "name": "New", "model": "", "settings.rtp_dscp": "40"}), "update"
    )
    after = await office.phones.get(VVX)
    assert (report.created, report.updated) == (0, 1)
    assert (after.name, after.model, after.settings) == ("New", before.model, {**before.settings, "rtp_dscp": 40})
    assert (after.lines, after.line_keys, after.revision) == (before.lines, before.line_keys, before.revision + 1)


async def test_update_refuses_phones_that_are_not_there(refused: Any) -> None:
    assert await refused(table(row(9)), "update") == ["line 2, column hardware_id: no phone 0004f2000009"]


async def test_upsert_does_both_and_leaves_alone_what_does_not_change(office: Services, imported: Any) -> None:
    await imported(table(row(1), row(2)))
    report = await imported(table(row(1), row(2, name="Changed"), row(3)), "upsert")
    assert (report.created, report.updated) == (1, 1)
    assert [(await office.phones.get(f"0004f200000{n}")).revision for n in (1, 2, 3)] == [1, 2, 1]


async def test_an_empty_password_keeps_the_one_there_is_and_a_dash_clears_it(office: Services, imported: Any) -> None:
    lines = {"line1_user": "1", "line1_password": "first", "line2_user": "2", "line2_password": "second"}
    await imported(table(row(1, **lines)))

    await imported(table(row(1, **lines, line1_label="x") | {"line1_password": "", "line2_password": "-"}), "update")
    assert [line.password for line in (await office.phones.get("0004f2000001")).lines] == ["first", ""]

    await imported(table(row(2, line1_user="1", line1_password="")))
    assert (await office.phones.get("0004f2000002")).lines[0].password == ""


async def test_one_apostrophe_is_taken_off_before_what_a_spreadsheet_would_run(office: Services, imported: Any) -> None:
    cells = {
        "name": "'=1+1", "line1_user": "'+34600000000", "line1_password": "'-", "line1_label": "''quoted",
        "line1_display_name": "'plain", "line2_user": "'@home", "line2_label": "O'Brien",
    }  # fmt: skip
    await imported(table(row(1, **cells)))
    phone = await office.phones.get("0004f2000001")
    assert phone.name == "=1+1"
    assert [(line.user, line.label) for line in phone.lines] == [("+34600000000", "'quoted"), ("@home", "O'Brien")]
    assert phone.lines[0].display_name == "'plain"


async def test_the_event_of_an_import_counts_and_holds_no_secret(office: Services, imported: Any) -> None:
    await imported(table(row(1, line1_user="1", line1_password="hunter2")))
    async with office.store.read() as session:
        event = (await session.events.latest(1))[0]
    assert (event.action, event.detail["created"], event.detail["updated"]) == ("phones.imported", 1, 0)
    assert "hunter2" not in repr(event)


# ---- ten thousand, and a kill in the middle -------------------------------------------------------------------------


def many(count: int) -> str:
    return table(
        *(
            row(n, line1_user=str(n), line1_password=f"pass-{n}", line2_user=f"2{n}", key1_type="line")
            for n in range(1, count + 1)
        )
    )


def count_of(data: Path, what: str) -> int:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        return database.execute(f"SELECT count(*) FROM {what}").fetchone()[0]


@pytest.fixture
def empty_office(tmp_path: Path) -> Path:
    data = new_data(tmp_path / "large")

    async def fill_it() -> None:
        services = await open_data(data)
        await services.sites.add(ADMIN, "madrid", "", {})
        await services.base_settings.add(ADMIN, "vvx-standard", "", "vvx-411", {})
        await services.close()

    asyncio.run(fill_it())
    return data


def start_import(data: Path, file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ztp_server", "phone", "import", str(file), "--data", str(data)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_ten_thousand_phones_are_imported_and_a_second_time_refused(empty_office: Path, tmp_path: Path) -> None:
    file = tmp_path / "phones.csv"
    file.write_text(many(10_000), newline="")

    out, err = (first := start_import(empty_office, file)).communicate(timeout=120)
    assert (first.returncode, out) == (0, b"10000 phones were created, 0 updated\n"), err
    assert (count_of(empty_office, "phones"), count_of(empty_office, "lines")) == (10_000, 20_000)

    _, err = (again := start_import(empty_office, file)).communicate(timeout=120)
    assert again.returncode == 1 and b"10000 problems, nothing imported" in err


@pytest.mark.slow
def test_an_import_killed_at_any_moment_leaves_no_phone_and_can_be_run_again(
    empty_office: Path, tmp_path: Path
) -> None:
    file = tmp_path / "phones.csv"
    file.write_text(many(3_000), newline="")
    moments = random.Random(4711)

    killed = 0
    for _ in range(examples(3, 30)):
        process = start_import(empty_office, file)
        try:
            process.wait(timeout=0.4 + moments.random() * 2)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        there = (count_of(empty_office, "phones"), count_of(empty_office, "lines"))
        assert there in ((0, 0), (3_000, 6_000)), "some of the phones, but not all"
        if process.returncode != 0:
            killed += 1
        # Killed after the commit, everything is there; never the phones without the event, or the event without them.
        assert count_of(empty_office, "events WHERE action = 'phones.imported'") == (there != (0, 0))
        with closing(sqlite3.connect(empty_office / "ztp.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("DELETE FROM phones")
            database.execute("DELETE FROM events")
            database.commit()
    assert killed, "no import was killed"

    out, err = (process := start_import(empty_office, file)).communicate(timeout=60)
    assert (process.returncode, out) == (0, b"3000 phones were created, 0 updated\n"), err
