"""Approval rules over REST."""

from __future__ import annotations

from tests.api.conftest import Rest

LOBBY = {"id": "lobby", "site": "madrid", "base_settings": "vvx-standard", "most": 50}


async def test_a_rule_is_made_shown_changed_and_removed(rest: Rest) -> None:
    body = {**LOBBY, "networks": ["10.20.0.0/16"], "proof": "certificate", "until": "2099-01-01T10:00+01:00"}
    made = await rest.post("/approval-rules", body)
    assert made.status == 201 and made.headers["Location"] == "/api/v1/approval-rules/lobby"
    assert (made.json["approved"], made.json["until"]) == (0, "2099-01-01T09:00:00+00:00")
    assert made.json["created_by"] == "token:admin"
    path, tag = "/approval-rules/lobby", {"If-Match": made.headers["ETag"]}
    changed = await rest.patch(path, {"most": 60, "until": None, "networks": []}, headers=tag)
    assert (changed.json["most"], changed.json["until"], changed.json["networks"]) == (60, None, [])
    assert changed.json["proof"] == "certificate"
    assert (await rest.patch(path, {"most": 70}, headers=tag)).status == 412
    assert (await rest.get(path)).json == changed.json
    assert (await rest.post("/approval-rules", LOBBY)).status == 409
    assert (await rest.delete(path, reason="done")).status == 204
    assert (await rest.get(path)).status == 404


async def test_what_is_wrong_is_named(rest: Rest) -> None:
    assert (await rest.post("/approval-rules", LOBBY)).status == 201
    for body, field in (
        ({"networks": ["0.0.0.0/0"]}, "networks"),
        ({"most": 0}, "most"),
        ({"site": "atlantis"}, "site"),
        ({"base_settings": "nothing"}, "base_settings"),
        ({"until": "2001-01-01"}, "until"),
        ({"until": "<b>&"}, "until"),
        ({"proof": "luck"}, "proof"),
    ):
        assert (await rest.post("/approval-rules", {**LOBBY, "id": "new", **body})).fields == [field]
        assert (await rest.patch("/approval-rules/lobby", body)).fields == [field]
    assert (await rest.patch("/approval-rules/lobby", {"site": None})).fields == ["site"]
    await rest.post("/sites", {"id": "lisbon"})
    await rest.patch("/approval-rules/lobby", {"site": "lisbon"})
    in_use = await rest.delete("/sites/lisbon")
    assert in_use.status == 409 and "lobby" in in_use.json["detail"]


async def test_rules_come_in_parts_and_are_changed_by_those_only_who_may(rest: Rest) -> None:
    for number in range(5):
        await rest.post("/approval-rules", {**LOBBY, "id": f"r{number}"})
    first = await rest.get("/approval-rules", limit=3, token="viewer-token")
    second = await rest.get("/approval-rules", limit=3, cursor=first.json["next_cursor"])
    assert [row["id"] for row in first.json["items"] + second.json["items"]] == [f"r{n}" for n in range(5)]
    for call in (
        rest.post("/approval-rules", {**LOBBY, "id": "x"}, token="viewer-token"),
        rest.patch("/approval-rules/r1", {"most": 1}, token="madrid-token"),
        rest.delete("/approval-rules/r1", token="madrid-token"),
        rest.get("/approval-rules", token="madrid-token"),
    ):
        assert (await call).status == 403
