from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import OTHER_VVX, VVX, sample_phone

PATH = f"/phones/{VVX}"
CSV = "hardware_id,name,model,site,base_settings\n0004f2000001,One,vvx-411,madrid,vvx-standard\n"


async def secrets_seen(rest: Rest) -> str:
    """Whatever an administrator can read afterwards."""
    answers = [await rest.get(path) for path in (PATH, f"{PATH}/proofs", "/phones", "/audit", "/events")]
    answers.append(await rest.post(f"{PATH}/why", {}))
    assert {answered.status for answered in answers} == {200}
    return "".join(answered.body.decode() for answered in answers)


async def test_tokens_are_made_shown_without_their_secret_and_removed(rest: Rest) -> None:
    made = await rest.post(f"{PATH}/tokens", {"kind": "bootstrap", "reason": "new desk"})
    assert made.status == 201 and made.json["token"] in made.json["addresses"][0]
    steady = await rest.post(f"{PATH}/tokens", {"kind": "steady"})
    shown = (await rest.get(f"{PATH}/proofs")).json
    assert [token["kind"] for token in shown["tokens"]] == ["bootstrap", "steady"]
    assert shown["tokens"][0]["created_by"] == "token:admin" and shown["tokens"][0]["first_used_at"] is None
    assert (shown["source"], shown["blocked"]) == ("site madrid", False)
    assert shown["proofs"] == ["certificate", "token", "window", "digest", "network"]
    seen = await secrets_seen(rest)
    assert made.json["token"] not in seen and steady.json["token"] not in seen and "new desk" in seen

    assert (await rest.delete(f"{PATH}/tokens/bootstrap", reason="sent back")).status == 204
    assert (await rest.delete(f"{PATH}/tokens/bootstrap")).status == 404
    assert (await rest.delete(f"{PATH}/tokens/%E2%98%8E")).fields == ["kind"]
    assert (await rest.post(f"{PATH}/tokens", {"kind": "x"})).fields == ["kind"]


async def test_a_window_is_opened_and_closed(rest: Rest) -> None:
    opened = await rest.put(f"{PATH}/window", {"minutes": 90, "reason": "Sales & <1'> é😀"})
    assert opened.status == 200 and opened.json["warnings"] == []
    assert opened.json["afterwards"]["proof"] == "token" and opened.json["address"] is None
    assert (await rest.get(f"{PATH}/proofs")).json["window"]["until"] == opened.json["until"]
    assert (await rest.delete(f"{PATH}/window")).status == 204
    assert (await rest.delete(f"{PATH}/window")).status == 404
    assert (await rest.get(f"{PATH}/proofs")).json["window"] is None
    for minutes in (0, 10_081, "60", 1.5):
        assert (await rest.put(f"{PATH}/window", {"minutes": minutes})).fields == ["minutes"]
    assert (await rest.put(f"{PATH}/window", {"reason": "a\nb"})).fields == ["reason"]
    await rest.patch(PATH, {"proofs": ["token"]})
    assert (await rest.put(f"{PATH}/window", {})).fields == ["proofs"]


async def test_digest_is_set_revealed_and_removed(rest: Rest) -> None:
    made = await rest.put(f"{PATH}/digest", {})
    assert made.json["user"] == VVX and len(made.json["password"]) == 24
    own = await rest.put(f"{PATH}/digest", {"user": "ops", "password": "a&b<12345"})
    assert (own.json["user"], own.json["password"]) == ("ops", "a&b<12345")
    assert "still holds" in own.json["warnings"][0]
    wrong = await rest.put(f"{PATH}/digest", {"password": "short&1"})
    assert wrong.fields == ["password"] and "short&1" not in wrong.body.decode()
    assert (await rest.get(f"{PATH}/proofs")).json["digest"]["user"] == "ops"
    assert (await rest.post(f"{PATH}/digest/reveal", {})).fields == ["reason"]
    assert (await rest.post(f"{PATH}/digest/reveal", {"reason": "reset"})).json == {**own.json, "warnings": []}
    seen = await secrets_seen(rest)
    assert "phone.revealed" in seen and own.json["password"] not in seen and made.json["password"] not in seen
    assert (await rest.put(f"/phones/{OTHER_VVX}/digest", {"user": "ops"})).status == 409
    assert (await rest.delete(f"{PATH}/digest")).status == 204
    assert (await rest.delete(f"{PATH}/digest")).status == 404


async def test_a_phone_is_blocked_and_let_in_again(rest: Rest) -> None:
    await rest.put(f"{PATH}/window", {})
    blocked = await rest.post(f"{PATH}/block", {"reason": "stolen"})
    assert blocked.json["proofs"] == [] and "blocked" in blocked.json["status"]["reason"]
    shown = (await rest.get(f"{PATH}/proofs")).json
    assert (shown["blocked"], shown["window"], shown["tokens"]) == (True, None, [])
    assert "it is blocked" in (await rest.post(f"{PATH}/why", {})).body.decode()
    assert (await rest.post(f"{PATH}/unblock", {})).json["proofs"] is None


async def test_which_proofs_count_is_a_field_of_a_phone(rest: Rest) -> None:
    assert (await rest.get(PATH)).json["proofs"] is None
    changed = await rest.patch(PATH, {"proofs": ["network", "token"]})
    assert changed.json["proofs"] == ["token", "network"]
    assert (await rest.get("/phones", hardware_id=VVX)).json["items"][0]["proofs"] == ["token", "network"]
    assert (await rest.patch(PATH, {"name": "New"})).json["proofs"] == ["token", "network"]
    assert (await rest.patch(PATH, {"proofs": []})).json["proofs"] == []
    assert (await rest.patch(PATH, {"proofs": None})).json["proofs"] is None
    for wrong in ("token", ["magic"], [1]):
        assert (await rest.patch(PATH, {"proofs": wrong})).fields[0].startswith("proofs")
    phone = sample_phone("0004f2000009")
    new = {"name": "New", "hardware_id": phone.hardware_id, "model": phone.model, "site": phone.site}
    added = await rest.post("/phones", {**new, "base_settings": phone.base_settings, "proofs": ["window"]})
    assert added.json["proofs"] == ["window"]


@pytest.mark.parametrize("token", ["viewer-token", "madrid-token"])
async def test_who_may_not_let_phones_in_only_looks(rest: Rest, token: str) -> None:
    assert (await rest.get(f"{PATH}/proofs", token=token)).status == 200
    made: list[tuple[str, str, Any]] = [
        ("POST", "tokens", {}),
        ("DELETE", "tokens/steady", None),
        ("PUT", "window", {}),
        ("DELETE", "window", None),
        ("PUT", "digest", {}),
        ("DELETE", "digest", None),
        ("POST", "digest/reveal", {"reason": "curious"}),
    ]
    for method, path, body in made:
        refused = await rest.ask(method, f"{PATH}/{path}", body, token=token)
        assert (method, path, refused.status) == (method, path, 403)
    assert (await rest.post(f"{PATH}/block", {}, token="viewer-token")).status == 403


async def test_an_import_opens_windows_when_it_is_asked_to(rest: Rest) -> None:
    sent = {"data": CSV.encode(), "headers": {"Content-Type": "text/csv"}}
    assert (await rest.post("/phones/import", open_window=60, token="madrid-token", **sent)).status == 403
    assert (await rest.post("/phones/import", open_window=10_081, **sent)).fields == ["open_window"]
    job = (await rest.post("/phones/import", open_window=60, **sent)).json
    assert job["order"]["open_window"] == 60
    await asyncio.wait_for(rest.services.job_runner.run(job["id"]), 60)
    assert (await rest.get("/phones/0004f2000001/proofs")).json["window"]["opened_by"] == "token:admin"
