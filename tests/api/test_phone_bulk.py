"""/phones/edit, /phones/migrate, /phones/remove and /jobs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX

SECRET = "p&\"4'x%;"
ONES = {"ids": [VVX, OTHER_VVX]}


async def run(rest: Rest, answer: Any) -> Any:
    """The job as it is when the server's runner is through with it."""
    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    assert answer.json["state"] == "queued"
    await rest.services.job_runner.run(answer.json["id"])
    return (await rest.get(f"/jobs/{answer.json['id']}")).json


async def test_many_are_edited_seen_and_set_back(rest: Rest) -> None:
    change = {"settings": {"rtp_port_start": 5000, "tls_minimum": "1.2", "admin_password": SECRET}}
    job = await run(rest, await rest.post("/phones/edit", {"filter": {"site": "madrid"}, "change": change}))
    assert (job["state"], job["total"], job["summary"]) == ("done", 3, {"done": 2, "refused": 1})
    assert job["order"]["settings"]["admin_password"] == "***" and job["undoable"]
    found = await rest.get(f"/jobs/{job['id']}/items", state="refused")
    (item,) = found.json["items"]
    assert item["label"].startswith(HD400) and item["detail"].startswith("settings.")
    undone = await run(rest, await rest.post(f"/jobs/{job['id']}/undo"))
    assert (undone["undoes"], undone["summary"]) == (job["id"], {"done": 2})
    assert (await rest.post(f"/jobs/{job['id']}/undo")).status == 409


async def test_windows_are_opened_for_many_and_what_becomes_of_each_is_said(rest: Rest) -> None:
    await rest.services.phones.edit(ADMIN, VVX, {"proofs": ()}, {})
    await rest.services.phones.edit(ADMIN, OTHER_VVX, {"proofs": ("window", "network")}, {})
    body = {"filter": {"site": "madrid"}, "minutes": 30, "reason": SECRET}
    job = await run(rest, await rest.post("/phones/windows", body))
    assert (job["state"], job["total"], job["summary"]) == ("done", 3, {"done": 2, "refused": 1})
    assert not job["undoable"] and job["order"]["minutes"] == 30
    items = {item["label"][:12]: item for item in (await rest.get(f"/jobs/{job['id']}/items")).json["items"]}
    assert "blocked" in items[VVX]["detail"] and "by its address" in items[OTHER_VVX]["detail"]
    assert items[HD400]["detail"] == ""
    window = (await rest.get(f"/phones/{OTHER_VVX}/proofs")).json["window"]
    assert window and window["first_used_at"] is None
    records = (await rest.get("/audit", action="window.opened")).json["items"]
    assert len(records) == 2 and all(job["id"] in record["reason"] for record in records)
    assert (await rest.post("/phones/windows", {**ONES, "minutes": 0})).fields == ["minutes"]
    assert (await rest.post("/phones/windows", {**ONES, "expected_count": 9})).status == 409


async def test_phones_are_listed_by_whose_proofs_count(rest: Rest) -> None:
    await rest.services.phones.edit(ADMIN, VVX, {"proofs": ()}, {})
    await rest.services.phones.edit(ADMIN, OTHER_VVX, {"proofs": ("window",)}, {})

    async def listed(proofs: str) -> set[str]:
        return {row["hardware_id"] for row in (await rest.get("/phones", proofs=proofs)).json["items"]}

    assert await listed("blocked") == {VVX} and await listed("own") == {OTHER_VVX}
    assert await listed("blocked,own") == {VVX, OTHER_VVX} and await listed("!blocked,!own") == await listed("site")
    assert HD400 in await listed("site")
    assert (await rest.get("/phones", proofs="none")).fields == ["proofs"]


async def test_items_and_jobs_come_page_by_page(rest: Rest) -> None:
    for _ in range(2):
        job = await run(rest, await rest.post("/phones/edit", {**ONES, "change": {"settings": {"sip_dscp": 9}}}))
    first = await rest.get(f"/jobs/{job['id']}/items", limit=1)
    second = await rest.get(f"/jobs/{job['id']}/items", limit=1, cursor=first.json["next_cursor"])
    assert [i["position"] for i in (*first.json["items"], *second.json["items"])] == [1, 2]
    assert second.json["next_cursor"] is None
    newest = await rest.get("/jobs", limit=1)
    oldest = await rest.get("/jobs", limit=1, cursor=newest.json["next_cursor"])
    assert newest.json["items"][0]["id"] == job["id"] != oldest.json["items"][0]["id"]
    assert oldest.json["next_cursor"] is None
    assert (await rest.get("/jobs", state="queued")).json["items"] == []
    assert (await rest.get("/jobs", cursor="x")).fields == ["cursor"]


async def test_a_migration_is_looked_at_done_and_undone(rest: Rest) -> None:
    await rest.services.base_settings.add(ADMIN, "vvx-new", "", "vvx-411", {"dtmf_payload_type": "110"})
    asked = {"filter": {}, "to": "vvx-new"}
    first = (await rest.post("/phones/migrate/preview", asked, limit=1)).json
    assert (first["phones"], first["changed"], first["refused"]) == (3, 2, 1)
    second = (await rest.post("/phones/migrate/preview", asked, limit=2, cursor=first["next_cursor"])).json
    rows = {row["label"].split()[0]: row for row in (*first["items"], *second["items"])}
    assert rows[VVX]["fields"] == {"base_settings": {"before": "vvx-standard", "after": "vvx-new"}}
    assert rows[VVX]["files"] and rows[HD400]["state"] == "refused"
    job = await run(rest, await rest.post("/phones/migrate", {**asked, "expected_count": 3}))
    assert job["summary"] == {"done": 2, "refused": 1}
    assert (await rest.post("/phones/migrate", {**asked, "expected_count": 2})).status == 409


async def test_phones_are_removed_and_brought_back(rest: Rest) -> None:
    job = await run(rest, await rest.post("/phones/remove", ONES))
    assert job["summary"] == {"done": 2}
    assert (await run(rest, await rest.post(f"/jobs/{job['id']}/undo")))["summary"] == {"done": 2}


async def test_a_job_is_stopped_and_resumed(rest: Rest) -> None:
    made = (await rest.post("/phones/remove", ONES)).json
    stopped = await rest.post(f"/jobs/{made['id']}/stop")
    assert (stopped.status, stopped.json["state"]) == (202, "stopped")
    assert (await rest.post(f"/jobs/{made['id']}/stop")).status == 409
    assert (await run(rest, await rest.post(f"/jobs/{made['id']}/resume")))["summary"] == {"done": 2}


async def test_who_may_not_change_phones_makes_no_job(rest: Rest) -> None:
    change = {**ONES, "change": {"settings": {"sip_dscp": 9}}}
    assert (await rest.post("/phones/edit", change, token="viewer-token")).status == 403
    assert (await rest.post("/phones/edit/preview", change, token="viewer-token")).status == 403
    assert (await rest.post("/phones/remove", ONES, token="viewer-token")).status == 403
    assert (await rest.get("/jobs")).json["items"] == []


async def test_jobs_of_others_are_not_there_for_one_of_a_site(rest: Rest) -> None:
    made = (await rest.post("/phones/remove", ONES)).json
    for path in (f"/jobs/{made['id']}", f"/jobs/{made['id']}/items"):
        assert (await rest.get(path, token="madrid-token")).status == 404
    assert (await rest.post(f"/jobs/{made['id']}/stop", token="madrid-token")).status == 404
    own = (await rest.post("/phones/remove", ONES, token="madrid-token")).json
    assert [job["id"] for job in (await rest.get("/jobs", token="madrid-token")).json["items"]] == [own["id"]]
    assert (await rest.post(f"/jobs/{own['id']}/stop", token="madrid-token")).status == 202


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/phones/edit", {"change": {"site": "madrid"}}, "filter"),
        ("/phones/edit", {"filter": {}, "change": {"name": "x"}}, "change.name"),
        ("/phones/edit", {"filter": {}, "change": {"settings": {"sip_dscp": 99}}}, "change.settings.sip_dscp"),
        ("/phones/edit", {"filter": {"siet": "x"}, "change": {"site": "madrid"}}, "filter.siet"),
        ("/phones/remove", {"ids": ["x & y"]}, "ids.1"),
        ("/phones/migrate", {"filter": {}, "to": "nowhere"}, "to"),
        ("/phones/migrate", {"filter": {}, "to": "400hd", "overrides": "burn"}, "overrides"),
    ],
)  # fmt: skip
async def test_a_mistake_names_its_field(rest: Rest, path: str, body: Any, field: str) -> None:
    answer = await rest.post(path, body)
    assert (answer.status, answer.fields) == (422, [field])
