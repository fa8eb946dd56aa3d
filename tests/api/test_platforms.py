"""/platforms"""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import ADMIN

NEW = {"id": "pbx", "domains": ["sip.example.net"], "address": "udp:192.168.1.5", "user": "ztp", "password": "s3cret"}


async def test_a_platform_is_made_listed_changed_and_removed(rest: Rest) -> None:
    made = await rest.post("/platforms", {**NEW, "reason": "new"}, headers={"Idempotency-Key": "1"})
    assert made.status == 201 and made.headers["Location"] == "/api/v1/platforms/pbx"
    assert made.json["address"] == "udp:192.168.1.5:5060" and made.json["has_password"]
    assert b"s3cret" not in made.body and "password" not in made.json
    again = await rest.post("/platforms", {**NEW, "reason": "new"}, headers={"Idempotency-Key": "1"})
    assert again.status == 201 and (await rest.post("/platforms", NEW)).status == 409
    await rest.post("/platforms", {"id": "abc", "domains": ["abc.example.net"]})
    first = (await rest.get("/platforms", limit=1)).json
    assert [row["id"] for row in first["items"]] == ["abc"]
    rest_of = (await rest.get("/platforms", cursor=first["next_cursor"])).json
    assert [row["id"] for row in rest_of["items"]] == ["pbx"] and rest_of["next_cursor"] is None

    shown = await rest.get("/platforms/pbx")
    stale = {"If-Match": '"7"'}
    assert (await rest.patch("/platforms/pbx", {"direct": True}, headers=stale)).status == 412
    changed = await rest.patch("/platforms/pbx", {"direct": True}, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.json["direct"], changed.json["revision"], changed.json["has_password"]) == (True, 2, True)
    assert (await rest.patch("/platforms/pbx", {"address": "udp:198.51.100.66"})).fields == ["password"]
    emptied = await rest.patch("/platforms/pbx", {"user": None, "password": None, "name": "Head & office"})
    assert (emptied.json["user"], emptied.json["has_password"], emptied.json["name"]) == ("", False, "Head & office")
    assert (await rest.delete("/platforms/pbx", headers=stale)).status == 412
    assert (await rest.delete("/platforms/pbx", reason="gone")).status == 204
    assert (await rest.get("/platforms/pbx")).status == 404


async def test_what_cannot_be_is_named(rest: Rest) -> None:
    for body, fields in (
        ({"id": "A B", "domains": ["a"]}, ["id"]),
        ({"id": "new"}, ["domains"]),
        ({"id": "new", "domains": ["a"], "source": "pigeon"}, ["source"]),
        ({"id": "new", "domains": ["a"], "revision": 3}, ["revision"]),
        ({"id": "new", "domains": ["a"], "direct": "yes"}, ["direct"]),
        ({"id": "new", "domains": ["a"], "address": "udp:u:s3cret@x"}, ["address"]),
    ):
        refused = await rest.post("/platforms", body)
        assert refused.status == 422 and refused.fields == fields and b"s3cret" not in refused.body, body


async def test_who_only_looks_sees_them_and_who_is_of_a_site_does_not(rest: Rest) -> None:
    await rest.post("/platforms", NEW)
    assert (await rest.get("/platforms/pbx", token="viewer-token")).status == 200
    assert (await rest.patch("/platforms/pbx", {"direct": True}, token="viewer-token")).status == 403
    assert (await rest.post("/platforms/pbx/check", token="viewer-token")).status == 403
    assert (await rest.get("/platforms", token="madrid-token")).status == 403


async def test_a_check_says_what_came_and_what_to_do(rest: Rest) -> None:
    await rest.services.platforms.add(ADMIN, "bare", "", {"domains": "bare.example.net"})
    found = (await rest.post("/platforms/bare/check")).json
    assert (found["id"], found["level"]) == ("bare", "advice")
    assert [(row["part"], row["level"]) for row in found["findings"]] == [("address", "advice"), ("source", "advice")]
    assert (await rest.post("/platforms/none/check")).status == 404
