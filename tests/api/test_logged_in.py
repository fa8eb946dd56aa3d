"""Users logged out of phones and in again, over REST."""

from __future__ import annotations

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, VVX, sample_phone

DESK = "0004f2dddd01"
GUEST = {"user": "900", "password": HOSTILE_PASSWORD, "display_name": HOSTILE_NAME}


@pytest.fixture
async def desks(rest: Rest) -> Rest:
    ana = {"id": "ana", "name": HOSTILE_NAME, "lines": [{"user": "3001", "password": HOSTILE_PASSWORD}]}
    assert (await rest.post("/users", ana)).status == 201
    await rest.services.phones.add(ADMIN, sample_phone(DESK, name="Desk", lines=(), line_keys=()))
    await rest.services.phones.edit(ADMIN, VVX, {"user": "ana"}, {})
    return rest


async def test_a_user_is_logged_in_and_out(desks: Rest) -> None:
    answer = await desks.post(f"/phones/{DESK}/log-in", {"user": "ana", "reason": "Monday"})
    assert (answer.status, answer.json["user"], answer.json["logged_out"]) == (200, "ana", False)
    assert answer.json["warnings"] == [f"user ana was logged out of phone {VVX} at site madrid"]
    phones = (await desks.get("/users/ana")).json["phones"]
    assert {phone["hardware_id"]: phone["logged_in"] for phone in phones} == {DESK: True, VVX: False}
    found = await desks.get("/phones", logged_in="no")
    assert [phone["hardware_id"] for phone in found.json["items"]] == [VVX]
    assert found.json["items"][0]["logged_out"] and found.json["items"][0]["lines"]
    out = await desks.post(f"/phones/{DESK}/log-out", {})
    assert (out.status, out.json["user"], out.json["logged_out"]) == (200, None, True)
    assert HOSTILE_PASSWORD not in str(answer.json) + str(out.json)


async def test_what_cannot_be_is_refused_by_its_field(desks: Rest) -> None:
    assert (await desks.post(f"/phones/{DESK}/log-in", {})).fields == ["user"]
    assert (await desks.post(f"/phones/{DESK}/log-in", {"user": "' OR 1=1 --"})).fields == ["user"]
    assert (await desks.post(f"/phones/{VVX}/log-in", {"user": "other"})).fields == ["user"]
    assert (await desks.post("/phones/0004f2ffffff/log-out", {})).status == 404
    assert (await desks.post(f"/phones/{VVX}/log-out", {}, token="viewer-token")).status == 403
    assert (await desks.patch(f"/phones/{VVX}", {"logged_out": True})).status in (400, 422)


async def test_many_are_logged_out_by_a_job(desks: Rest) -> None:
    answer = await desks.post("/phones/log-out", {"filter": {"logged_in": ["yes"], "user": "ana"}, "expected_count": 1})
    assert (answer.status, answer.json["kind"]) == (202, "phones.log_out")
    await desks.services.job_runner.run(answer.json["id"])
    assert (await desks.get(f"/phones/{VVX}")).json["logged_out"]


async def test_a_site_has_a_profile_that_a_patch_merges_into(desks: Rest) -> None:
    profile = {"settings": {"digit_map": "112"}, "line": GUEST}
    patched = (await desks.patch("/sites/madrid", {"logged_out": profile})).json["logged_out"]
    assert patched["settings"] == {"digit_map": "112"} and patched["line"]["display_name"] == HOSTILE_NAME
    assert "password" not in patched["line"]
    await desks.patch("/sites/madrid", {"logged_out": {"line": {"user": "900"}}})
    site = await desks.services.sites.get(ADMIN, "madrid")
    assert site.logged_out.line.password == HOSTILE_PASSWORD and site.logged_out.settings == {"digit_map": "112"}
    refused = await desks.patch("/sites/madrid", {"logged_out": {"settings": {"emergency_numbers": ["112"]}}})
    assert refused.fields == ["logged_out.settings.emergency_numbers"]
    assert (await desks.patch("/sites/madrid", {"logged_out": {"line": {}}})).fields == ["logged_out.line.user"]
    dry = await desks.patch("/sites/madrid?dry_run=true", {"logged_out": {"line": None}})
    assert HOSTILE_PASSWORD not in str(dry.json) and "logged_out.line.user" in str(dry.json["changes"])
    emptied = await desks.patch("/sites/madrid", {"logged_out": None})
    assert emptied.json["logged_out"] == {"settings": {}, "line": None}
