"""CSV import: every bad row named with line, column and reason; all or nothing; files as spreadsheets save them."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX
from tests.services.opened import open_data
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.support import key_types
from ztp_server.errors import BadValue, Forbidden, ImportRefused
from ztp_server.services.opening import Services
from ztp_server.services.phone_import import Report

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


async def phone(office: Services, hardware_id: str) -> Phone:
    return await office.phones.get(ADMIN, hardware_id)


async def every(office: Services) -> list[Phone]:
    return await office.phones.all(ADMIN)


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
        before = await office.phones.all(ADMIN)
        with pytest.raises((ImportRefused, BadValue)) as refusal:
            await imported(content, mode)
        assert await office.phones.all(ADMIN) == before
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

    first, second = [await office.phones.get(ADMIN, f"0004f200000{number}") for number in (1, 2)]
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
        made = await phone(office, f"0004f2{number:06x}")
        assert [key.type for key in made.line_keys] == wanted, model.id


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
        "line 10, column key1_value", "line 11, column settings.rtp_dscp", "line 12, column base_settings",
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
        ("hardware_id|name\n", "unknown column 'hardware_id|name'"),
        ("sep=|\nhardware_id|name\n", "line 1: the separator must be"),
        ("sep=;\nhardware_id;colour\n", "unknown column 'colour' in line 2"),
        ("hardware_id,line1_user,line1_user\n", "column line1_user stands twice"),
        ("hardware_id,name\n0004f2000001,x,y\n", "line 2: 3 cells, the header has 2"),
        ("hardware_id,name\n0004f2000001\n", "line 2: 1 cells, the header has 2"),
        ('hardware_id,name\n0004f2000001,ok\n0004f2000002,"unclosed\n', "line 3"),
        ('hardware_id,name\n0004f2000001,"a"b\n', "line 2"),
        ("hardware_id,name\n0004f2000001," + "x" * 4097 + "\n", "line 2"),
        ("hardware_id," + ",".join(f"settings.custom.a{n}" for n in range(1024)) + "\n", "more than 1024 columns"),
        ("hardware_id,name\n\n0004f2000001,é\n".encode("cp1252"), "line 3 is not UTF-8, as by Windows-1252"),
        ("hardware_id,name\n0004f2000001,x\n".encode("utf-16-le"), "line 1 holds a NUL character"),
        (b"\xff\xfe" + "hardware_id\n\ud800\n".encode("utf-16-le", "surrogatepass"), "line 2 is not UTF-16"),
        (b"\xff\xfeh", "is not UTF-16"),
        ("hardware_id,name\n0004f2000001,a\x00b\n", "line 2 holds a NUL character"),
        ("hardware_id,name\r0004f2000001,x\r", "line 1: a carriage return that ends no line"),
        ("hardware_id,name\n0004f2000001,x\ry\n", "line 2: a carriage return that ends no line"),
        (b"PK\x03\x04" + bytes(64), "is a workbook, not CSV"),
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
    before = await office.phones.all(ADMIN)
    report = await imported(table(row(1), row(2)), dry_run=True)
    assert (report.created, report.updated) == (2, 0)
    assert await office.phones.all(ADMIN) == before
    async with office.store.read() as session:
        assert "phones.imported" not in [event.action for event in await session.events.latest()]


async def test_update_changes_what_is_filled_and_keeps_the_rest(office: Services, imported: Any) -> None:
    before = await office.phones.get(ADMIN, VVX)
    report = await imported(
        table({"hardware_id": VVX, "name": "New", "model": "", "settings.rtp_dscp": "40"}), "update"
    )
    after = await office.phones.get(ADMIN, VVX)
    assert (report.created, report.updated) == (0, 1)
    assert (after.name, after.model, after.settings) == ("New", before.model, {**before.settings, "rtp_dscp": 40})
    assert (after.lines, after.line_keys, after.revision) == (before.lines, before.line_keys, before.revision + 1)


async def test_update_refuses_phones_that_are_not_there(refused: Any) -> None:
    assert await refused(table(row(9)), "update") == ["line 2, column hardware_id: no phone 0004f2000009"]


async def test_upsert_does_both_and_leaves_alone_what_does_not_change(office: Services, imported: Any) -> None:
    await imported(table(row(1), row(2)))
    report = await imported(table(row(1), row(2, name="Changed"), row(3)), "upsert")
    assert (report.created, report.updated) == (1, 1)
    assert [(await office.phones.get(ADMIN, f"0004f200000{n}")).revision for n in (1, 2, 3)] == [1, 2, 1]


async def test_an_empty_password_keeps_the_one_there_is_and_a_dash_clears_it(office: Services, imported: Any) -> None:
    lines = {"line1_user": "1", "line1_password": "first", "line2_user": "2", "line2_password": "second"}
    await imported(table(row(1, **lines)))

    await imported(table(row(1, **lines, line1_label="x") | {"line1_password": "", "line2_password": "-"}), "update")
    assert [line.password for line in (await office.phones.get(ADMIN, "0004f2000001")).lines] == ["first", ""]

    await imported(table(row(2, line1_user="1", line1_password="")))
    assert (await office.phones.get(ADMIN, "0004f2000002")).lines[0].password == ""


async def test_one_apostrophe_is_taken_off_before_what_a_spreadsheet_would_run(office: Services, imported: Any) -> None:
    cells = {
        "name": "'=1+1", "line1_user": "'+34600000000", "line1_password": "'-", "line1_label": "''quoted",
        "line1_display_name": "'plain", "line2_user": "'@home", "line2_label": "O'Brien",
    }  # fmt: skip
    await imported(table(row(1, **cells)))
    found = await office.phones.get(ADMIN, "0004f2000001")
    assert found.name == "=1+1"
    assert [(line.user, line.label) for line in found.lines] == [("+34600000000", "'quoted"), ("@home", "O'Brien")]
    assert found.lines[0].display_name == "'plain"


async def test_an_import_is_audited_row_by_row_and_as_a_whole_without_a_secret(office: Services, imported: Any) -> None:
    cells = {
        "line1_user": "1",
        "line1_password": "hunter2",
        "settings.custom.device.auth.localAdminPassword": "hunter3",
    }
    await imported(table(row(1, **cells), {"hardware_id": VVX, "name": "New", **PLACE}), "upsert")
    async with office.store.read() as session:
        whole, changed, added = await session.audit.page(below=None, limit=3)
        assert not (await session.audit.verify()).broken
    assert (whole.action, whole.subject, whole.actor) == ("phones.imported", "phones.csv", ADMIN.name)
    assert (whole.after["created"], whole.after["updated"], whole.after["unchanged"]) == (1, 1, 0)
    assert (changed.action, changed.subject, changed.after) == ("phone.changed", VVX, {"name": "New"})
    assert (added.action, added.subject, added.before) == ("phone.added", "0004f2000001", {})
    assert added.reason == "import of phones.csv" and added.after["lines.1.password"].startswith("digest:")
    assert "hunter" not in repr((whole, changed, added))


async def test_a_row_that_changes_nothing_writes_nothing(office: Services, imported: Any) -> None:
    before = await phone(office, VVX)
    async with office.store.read() as session:
        records = (await session.audit.head())[0]

    report = await imported(
        table({"hardware_id": VVX, "name": before.name, "line1_user": before.lines[0].user}), "update"
    )

    assert (report.updated, report.unchanged, report.rows[0].result) == (0, 1, "unchanged")
    assert await phone(office, VVX) == before
    async with office.store.read() as session:
        assert (await session.audit.head())[0] == records + 1, "only the import itself"


async def test_good_rows_are_taken_when_asked_and_the_bad_ones_reported(office: Services, imported: Any) -> None:
    text = table(row(1), row(2, model="x"), row(3), row(1, name="again")) + "one cell\r\n"
    report = await imported(text, partial=True)
    assert (report.created, report.refused) == (2, 3)
    assert [(r.line, r.label, r.result, r.column) for r in report.rows] == [
        (2, "0004f2000001", "created", ""),
        (3, "0004f2000002", "refused", "model"),
        (4, "0004f2000003", "created", ""),
        (5, "0004f2000001", "refused", "hardware_id"),
        (6, "", "refused", ""),
    ]
    assert [p.hardware_id for p in await every(office) if p.name.startswith("Phone ")] == [
        "0004f2000001",
        "0004f2000003",
    ]


async def test_a_refused_import_says_what_was_found_of_every_row(imported: Any) -> None:
    with pytest.raises(ImportRefused) as refusal:
        await imported(table(row(1), row(2, model="x")))
    assert [found.result for found in refusal.value.rows] == ["created", "refused"]


# ---- what a cell says of a phone that is there ----------------------------------------------------------------------


async def test_an_empty_or_missing_cell_keeps_and_a_dash_takes_away(office: Services, imported: Any) -> None:
    lines = {
        "line1_user": "1",
        "line1_auth_user": "a",
        "line1_display_name": "D",
        "line1_label": "L",
        "line2_user": "2",
    }
    keys = {
        "key1_type": "line",
        "key2_type": "blf",
        "key2_value": "3",
        "key2_label": "K",
        "key3_type": "blf",
        "key3_value": "4",
    }
    await imported(table(row(1, **lines, **keys, **{"settings.rtp_dscp": "40", "settings.codecs": "audio/G722"})))

    cells = {"line1_user": "", "line1_label": "-", "line1_auth_user": "b", "line2_user": "-", "key3_type": "-",
             "key2_label": "-", "settings.rtp_dscp": "-", "settings.codecs": ""}  # fmt: skip
    await imported(table({"hardware_id": "0004f2000001", **cells}), "update")

    after = await phone(office, "0004f2000001")
    assert after.lines == (Line("1", "b", "", "D", ""),)
    assert after.line_keys == (LineKey("line", line=1), LineKey("blf", "3", ""))
    assert after.settings == {"codecs": ["audio/G722"]}


async def test_only_the_last_lines_and_keys_can_be_taken_away(refused: Any) -> None:
    problems = await refused(
        table({"hardware_id": VVX, "line1_user": "-"}, {"hardware_id": OTHER_VVX, "key2_type": "none"}), "update"
    )
    assert problems == [
        "line 2, column line1_user: is empty, while line 2 is filled",
        "line 3, column key1_type: is empty, while key 2 is filled",
    ]


async def test_a_key_that_becomes_another_kind_keeps_nothing_of_the_one_it_was(office: Services, imported: Any) -> None:
    await imported(table({"hardware_id": VVX, "key2_type": "line"}), "update")
    assert (await phone(office, VVX)).line_keys[1] == LineKey("line", line=1)


async def test_a_dash_and_an_empty_text_can_be_written_as_values(office: Services, imported: Any) -> None:
    await imported(table(row(1, line1_user="1", line1_password="'-", **{"settings.sip_server_secondary": "'"})))
    found = await phone(office, "0004f2000001")
    assert (found.lines[0].password, found.settings) == ("-", {"sip_server_secondary": ""})


# ---- what spreadsheet programs do -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mac", "says"),
    [
        ("4.13112E+11", "4.13112E+11 was rounded: a spreadsheet program took it for a number"),
        ("4,13112E+11", "was rounded"),
        ("413112233", "9 digits instead of 12, leading zeros were lost"),
        ("41311223344", "11 digits instead of 12, leading zeros were lost"),
    ],
)
async def test_a_mac_that_a_spreadsheet_took_for_a_number_is_never_guessed(refused: Any, mac: str, says: str) -> None:
    (problem,) = await refused(table(row(1, hardware_id=mac)))
    assert problem.startswith("line 2, column hardware_id: ") and says in problem


async def test_a_number_that_a_spreadsheet_rounded_is_warned_of(imported: Any) -> None:
    report = await imported(table(row(1, line1_user="3.46E+10")))
    assert report.warnings == ["line 2, column line1_user: looks rounded by a spreadsheet program"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("said", [False, True])
async def test_every_way_a_spreadsheet_saves_a_table_reads_the_same(
    office: Services, imported: Any, encoding: str, separator: str, said: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL if said else csv.QUOTE_MINIMAL)
    cells = row(1, name=HOSTILE_NAME + ",;", line1_user="1001", line1_password=HOSTILE_PASSWORD)
    writer.writerows([[*cells, "", ""], [*cells.values(), "", ""]])
    lines = (f"sep={separator}\r\n" if said else "") + text.getvalue()

    assert (await imported(lines.encode(encoding))).created == 1

    found = await phone(office, "0004f2000001")
    assert (found.name, found.lines[0].password) == (cells["name"], HOSTILE_PASSWORD)


async def test_utf_16_with_the_other_byte_first_is_read(imported: Any) -> None:
    assert (await imported(b"\xfe\xff" + table(row(1)).encode("utf-16-be"))).created == 1


async def test_an_unknown_column_that_is_nearly_one_is_named(refused: Any) -> None:
    assert (await refused("hardware_id,line3_pasword\n"))[0].endswith("did you mean line3_password?")


async def test_a_cell_longer_than_the_bound_is_a_problem_of_its_row(refused: Any) -> None:
    assert await refused(table(row(1), row(2, name="x" * 4097))) == [
        "line 3, column name: 4097 characters, at most 4096"
    ]


# ---- all categories, by id -------------------------------------------------------------------------------------------


async def test_phones_without_a_hardware_id_are_made_and_found_again_by_id(office: Services, imported: Any) -> None:
    await office.users.add(ADMIN, "ana", "Ana", extension="1001")
    text = table(
        {"name": "Ana at home", "category": "webrtc", "site": "madrid", "user": "ana"},
        {"name": "Doctor", "category": "remote", "site": "madrid", "remote_address": "'+34600000000"},
        {"name": "Gate", "category": "unmanaged", "site": "madrid", "line1_user": "7001"},
    )
    report = await imported(text)
    assert report.created == 3
    by_name = {found.name: found for found in await every(office)}
    assert by_name["Ana at home"].lines[0].user == "1001" and by_name["Ana at home"].lines[0].password
    assert by_name["Doctor"].remote_address == "+34600000000"

    doctor = by_name["Doctor"]
    report = await imported(table({"id": doctor.id, "name": "Doctor on duty"}), "update")
    assert (report.updated, report.rows[0].phone_id) == (1, doctor.id)
    assert {p.name for p in await every(office) if p.id == doctor.id} == {"Doctor on duty"}


async def test_a_phone_found_by_its_id_may_get_another_hardware_id(
    office: Services, imported: Any, refused: Any
) -> None:
    before = await phone(office, VVX)
    assert await refused(table({"id": before.id, "hardware_id": OTHER_VVX}), "update") == [
        f"line 2, column hardware_id: phone {OTHER_VVX} exists already, and is another one than {before.id}"
    ]
    await imported(table({"id": before.id, "hardware_id": "0004f2000009"}), "update")
    assert (await phone(office, "0004f2000009")).lines == before.lines


async def test_an_id_that_is_none_or_stands_twice_is_refused(office: Services, refused: Any) -> None:
    known = (await phone(office, VVX)).id
    rows = [
        {"id": "x"},
        {"id": known},
        {"id": known, "name": "n"},
        {"hardware_id": VVX},
        {"id": "0" * 32},
        {"name": "n"},
    ]
    problems = await refused(table(*rows), "update")
    assert [problem.split(": ")[0] for problem in problems] == [
        f"line {number}, column {column}"
        for number, column in ((2, "id"), (4, "id"), (5, "hardware_id"), (6, "id"), (7, "hardware_id"))
    ]


async def test_a_removed_phone_does_not_come_back_by_its_id(office: Services, refused: Any) -> None:
    gone = await phone(office, VVX)
    await office.phones.remove(ADMIN, VVX)
    (problem,) = await refused(table({"id": gone.id, "hardware_id": VVX, **PLACE}), "upsert")
    assert problem.startswith("line 2, column id: was removed")


# ---- who may ---------------------------------------------------------------------------------------------------------


async def test_rows_at_other_sites_are_refused_one_by_one(office: Services, tmp_path: Path) -> None:
    await office.sites.add(ADMIN, "paris", "", {})
    await office.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    who = Actor("token:madrid", (Grant(ROLES["editor"], "madrid"),))
    file = tmp_path / "phones.csv"
    file.write_text(table(
        row(1), row(2, site="paris"), {"hardware_id": VVX, "site": "paris"}, {"hardware_id": OTHER_VVX, "name": "x"},
    ), newline="")  # fmt: skip

    report = await office.phone_import.run(who, file, "upsert", partial=True)

    assert [(found.result, found.reason) for found in report.rows] == [
        ("created", ""),
        ("refused", "needs the permission phones:add at site paris"),
        ("refused", "needs the permission phones:edit at site paris"),
        ("refused", f"phone {OTHER_VVX} exists already"),
    ]


async def test_one_who_may_only_look_imports_nothing(office: Services, tmp_path: Path) -> None:
    viewer = Actor("token:viewer", (Grant(ROLES["viewer"]),))
    for mode in ("create", "update", "upsert"):
        with pytest.raises(Forbidden):
            await office.phone_import.run(viewer, [table(row(1)).encode()], mode)


async def test_a_change_made_while_rows_were_checked_is_seen(office: Services, data: Path, imported: Any) -> None:
    async def edit() -> None:
        other = await open_data(data)
        await other.phones.edit(ADMIN, VVX, {"name": "meanwhile"}, {})
        await other.close()

    heard: list[int] = []

    def edit_at_the_end_of_the_first_time(done: int, rows: int) -> None:
        if done == rows and not heard:
            process = threading.Thread(target=asyncio.run, args=(edit(),))
            process.start()
            process.join()
        heard.append(done)

    cells = {"hardware_id": VVX, "settings.rtp_dscp": "40"}
    await imported(table(cells), "update", progress=edit_at_the_end_of_the_first_time)

    after = await phone(office, VVX)
    assert (after.name, after.settings["rtp_dscp"]) == ("meanwhile", 40)
