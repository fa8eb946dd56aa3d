"""/phones/restart, /phones/resync, and the same of one phone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX
from tests.services.told_phones import UNSUPPORTED, Messages, add_phones, told_by
from ztp_server.domain.account import RoleGrant

ONES = {"ids": [VVX, OTHER_VVX]}
FAST = {"rate": 50, "follow": 0}


@pytest.fixture
async def messages(rest: Rest) -> Messages:
    # A job is done for who can still ask for it.
    await rest.services.tokens.create(ADMIN, "admin", [RoleGrant("admin")])
    return told_by(rest.services, Messages())


async def run(rest: Rest, answer: Any) -> Any:
    """The job as it is when the server's runner is through with it."""
    assert answer.status == 202 and answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    await rest.services.job_runner.run(answer.json["id"])
    return (await rest.get(f"/jobs/{answer.json['id']}")).json


async def test_phones_are_restarted_and_what_became_of_each_can_be_read(rest: Rest, messages: Messages) -> None:
    messages.answers[OTHER_VVX], messages.refusals[HD400] = UNSUPPORTED, "no way & why"
    job = await run(rest, await rest.post("/phones/restart", {"filter": {}, **FAST}))
    assert (job["kind"], job["state"], job["summary"]) == ("phones.restart", "done", {"done": 1, "refused": 2})
    assert job["order"] == {"when": "now", "rate": 50, "follow": 0, "filter": {}} and not job["undoable"]
    items = {item["label"][:12]: item for item in (await rest.get(f"/jobs/{job['id']}/items")).json["items"]}
    assert items[HD400]["told"] is None and items[HD400]["detail"] == "no way & why"
    assert (items[OTHER_VVX]["told"]["answer"], items[OTHER_VVX]["told"]["code"]) == ("not_supported", 489)
    assert items[VVX]["state"] == "done" and items[VVX]["told"]["answer"] == "answered"


@pytest.mark.parametrize("action", ["restart", "resync"])
async def test_one_phone_is_told(rest: Rest, messages: Messages, action: str) -> None:
    body = {"when": "idle", "follow": 0}
    job = await run(rest, await rest.post(f"/phones/{VVX}/{action}", body))
    assert (job["kind"], job["total"], job["summary"]) == (f"phones.{action}", 1, {"done": 1})
    assert messages.sent == [VVX]
    assert (await rest.post(f"/phones/0004f2ffffff/{action}", {})).status == 404
    assert (await rest.post(f"/phones/{VVX}/{action}", {"rate": 5})).fields == ["rate"]


async def test_a_request_that_comes_twice_tells_phones_once(rest: Rest, messages: Messages) -> None:
    key = {"Idempotency-Key": "restart-1"}
    first = await rest.post("/phones/restart", {**ONES, **FAST}, headers=key)
    again = await rest.post("/phones/restart", {**ONES, **FAST}, headers=key)
    assert again.json["id"] == first.json["id"]
    await run(rest, again)
    assert sorted(messages.sent) == [VVX, OTHER_VVX]


async def test_many_take_their_number(rest: Rest, messages: Messages) -> None:
    await add_phones(rest.services, 48)
    refused = await rest.post("/phones/restart", {"filter": {}})
    assert refused.status == 422 and refused.fields == ["confirm"]
    assert (await rest.post("/phones/restart", {"filter": {}, "confirm": 51})).fields == ["confirm"]  # as text
    made = await rest.post("/phones/restart", {"filter": {}, "confirm": "51"})
    assert (made.status, made.json["total"]) == (202, 51)
    assert (await rest.post(f"/jobs/{made.json['id']}/stop")).json["state"] == "stopped" and messages.sent == []


async def test_times_are_read_in_any_zone_and_shown_with_the_job(rest: Rest, messages: Messages) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    elsewhere = begin.astimezone(timezone(timedelta(hours=1)))
    body = {**ONES, "not_before": elsewhere.isoformat(), "not_after": f"{begin + timedelta(days=2):%Y-%m-%d}"}
    job = (await rest.post("/phones/resync", body)).json
    assert job["not_before"] == begin.isoformat() and job["not_after"].endswith("T00:00:00+00:00")
    assert not await rest.services.job_runner.try_to_run(job["id"])
    for wrong in ({"not_before": "tomorrow"}, {"not_after": "2020-01-01"}, {"not_before": "&'😀"}, {"rate": 51}):
        refused = await rest.post("/phones/resync", {**ONES, **wrong})
        assert refused.status == 422 and refused.fields == list(wrong)


async def test_a_preview_says_how_many_and_why_not(rest: Rest, messages: Messages) -> None:
    messages.refusals[HD400] = "no way known"
    found = (await rest.post("/phones/restart/preview", {"filter": {}})).json
    assert (found["phones"], found["ways"], found["refused"]) == (3, {"check-sync": 2}, 1)
    assert [row["reason"] for row in found["refusals"]] == ["no way known"] and found["costs"] == ["it drops calls"]
    assert (await rest.post("/phones/resync/preview", {**ONES, "when": "idle"})).json["ways"] == {"check-sync": 2}
    assert messages.sent == [] and (await rest.get("/jobs")).json["items"] == []


async def test_who_only_looks_restarts_nothing(rest: Rest, messages: Messages) -> None:
    for path in ("/phones/restart", "/phones/resync", "/phones/restart/preview"):
        assert (await rest.post(path, {"filter": {}}, token="viewer-token")).status == 403
    assert (await rest.post(f"/phones/{VVX}/restart", {}, token="viewer-token")).status == 403
    assert (await rest.post(f"/phones/{VVX}/restart", {}, token="madrid-token")).status == 202
