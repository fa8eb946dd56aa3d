"""Phones as CSV over REST: imported as a job, exported, and a report of every row."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import HD400, HOSTILE_NAME, OTHER_VVX, VVX

HEADER = "hardware_id,name,model,site,base_settings,line1_user,line1_password\r\n"
GOOD = "0004f2000001,One,vvx-411,madrid,vvx-standard,1001,secret-1\r\n"
BAD = "0004f2000002,=cmd,vvx-412,madrid,vvx-standard,1002,secret-2\r\n"


async def imported(rest: Rest, text: str, **parameters: Any) -> Any:
    """Sends a file, runs the job as the server does, and returns the job."""
    sent = await rest.post("/phones/import", data=text.encode(), headers={"Content-Type": "text/csv"}, **parameters)
    assert sent.status == 202, sent.body
    assert sent.headers["Location"] == f"/api/v1/jobs/{sent.json['id']}"
    await rest.services.job_runner.run(sent.json["id"])
    return (await rest.get(f"/jobs/{sent.json['id']}")).json


async def report(rest: Rest, job: Any) -> list[list[str]]:
    answer = await rest.get(f"/jobs/{job['id']}/report")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.body.decode(), newline="")))


async def test_a_file_becomes_phones_and_a_report(rest: Rest) -> None:
    job = await imported(rest, HEADER + GOOD + f"{VVX},{'x'},,,,,\r\n", mode="upsert", file="office.csv")
    assert (job["kind"], job["state"], job["total"], job["summary"]) == ("phones.import", "done", 2, {"done": 2})
    assert job["order"] == {
        "file": "office.csv", "mode": "upsert", "dry_run": False, "partial": False, "open_window": 0,
    }  # fmt: skip
    assert await report(rest, job) == [
        ["line", "hardware_id", "result", "column", "reason"],
        ["2", "0004f2000001", "created", "", ""],
        ["3", VVX, "updated", "", ""],
    ]
    assert (await rest.get("/phones/0004f2000001")).json["name"] == "One"


async def test_a_bad_row_fails_the_job_and_is_named(rest: Rest) -> None:
    job = await imported(rest, HEADER + GOOD + BAD)
    assert (job["state"], job["failed"]) == ("failed", 1)
    assert job["reason"] == "phones.csv: 1 problem, nothing imported"
    (_, row) = await report(rest, job)
    assert row[0] == "3" and row[2:4] == ["refused", "model"] and "did you mean vvx-411?" in row[4]
    assert (await rest.get("/phones/0004f2000001")).status == 404


async def test_a_dry_run_tells_every_row_and_changes_nothing(rest: Rest) -> None:
    job = await imported(rest, HEADER + GOOD + BAD, dry_run=1)
    assert (job["state"], job["summary"]) == ("done", {"done": 1, "refused": 1})
    assert [row[:4] for row in (await report(rest, job))[1:]] == [
        ["2", "0004f2000001", "created", ""],
        ["3", "0004f2000002", "refused", "model"],
    ]
    assert (await rest.get("/phones/0004f2000001")).status == 404


async def test_good_rows_alone_are_taken_when_asked(rest: Rest) -> None:
    job = await imported(rest, HEADER + BAD + GOOD, partial="true")
    assert (job["state"], job["summary"]) == ("done", {"done": 1, "refused": 1})
    assert (await rest.get("/phones/0004f2000001")).status == 200


async def test_a_report_runs_nothing_in_a_spreadsheet(rest: Rest) -> None:
    job = await imported(rest, "hardware_id,name\r\n=cmd|x!A0,y\r\n", dry_run="true")
    assert (await report(rest, job))[1][1] == "'=cmd|x!A0"


async def test_what_is_no_table_fails_with_the_reason(rest: Rest) -> None:
    job = await imported(rest, "hardware_id,colour\r\n")
    assert (job["state"], job["reason"]) == ("failed", "file: unknown column 'colour' in line 1")
    assert await report(rest, job) == [["line", "hardware_id", "result", "column", "reason"]]


async def test_phones_are_served_while_rows_are_checked(rest: Rest) -> None:
    """A request is answered before an import that was begun earlier has come to its end."""
    rows = "".join(f"0004f2{n:06x},P,vvx-411,madrid,vvx-standard,{n},\r\n" for n in range(3000))
    job = asyncio.create_task(imported(rest, HEADER + rows))
    while not (await rest.get("/jobs")).json["items"]:
        assert not job.done()
    assert (await rest.get(f"/phones/{VVX}")).status == 200
    assert not job.done()
    assert (await job)["summary"] == {"done": 3000}


@pytest.mark.parametrize(("content_type", "status"), [("application/json", 415), ("text/csv", 202)])
async def test_only_csv_is_taken(rest: Rest, content_type: str, status: int) -> None:
    answer = await rest.post("/phones/import", data=b"id\r\n", headers={"Content-Type": content_type})
    assert answer.status == status


async def test_who_may_only_look_imports_nothing_and_sees_no_report(rest: Rest) -> None:
    headers = {"Content-Type": "text/csv"}
    answer = await rest.post("/phones/import", data=b"id\r\n", headers=headers, token="viewer-token")
    assert answer.status == 403
    job = await imported(rest, HEADER + GOOD)
    assert (await rest.get(f"/jobs/{job['id']}/report", token="madrid-token")).status == 404


# ---- export ----------------------------------------------------------------------------------------------------------


async def exported(rest: Rest, **parameters: Any) -> list[dict[str, str]]:
    answer = await rest.get("/phones/export", **parameters)
    assert answer.status == 200, answer.body
    assert "phones.csv" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))


async def test_phones_are_exported_by_name_and_filter(rest: Rest) -> None:
    assert [row["name"] for row in await exported(rest)] == ["Lobby", HOSTILE_NAME, HOSTILE_NAME]
    assert {row["hardware_id"] for row in await exported(rest, model="vvx-*")} == {VVX, OTHER_VVX}
    assert [row["hardware_id"] for row in await exported(rest, q=HD400)] == [HD400]


async def test_an_unknown_filter_or_value_is_refused_before_anything_is_sent(rest: Rest) -> None:
    assert (await rest.get("/phones/export", colour="red")).fields == ["colour"]
    assert (await rest.get("/phones/export", category="x")).fields == ["category"]


async def test_passwords_come_only_with_a_reason_and_the_permission(rest: Rest) -> None:
    assert not [row for row in await exported(rest) if row["line1_password"]]
    assert (await rest.get("/phones/export", reveal=1)).fields == ["reason"]
    assert (await rest.get("/phones/export", reveal=1, reason="move", token="madrid-token")).status == 403
    assert [row["line1_password"] for row in await exported(rest, reveal=1, reason="move", q="Lobby")] == ["p5"]
