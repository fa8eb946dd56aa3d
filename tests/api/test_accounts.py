"""Accounts, log-ins, roles, tokens over REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HOSTILE_NAME
from ztp_server.domain.access import Actor
from ztp_server.domain.account import EVERYTHING
from ztp_server.log import RequestLog

PASSWORD = "correct horse <battery> & 'staple'"
OTHER = "a wholly different é😀 sentence"


@pytest.fixture
async def door(rest: Rest) -> Rest:
    """The REST interface, which knows real tokens beside those of the tests."""
    known, real = rest.tokens.actors, rest.services.tokens

    async def authenticate(token: str, address: str) -> Actor | None:
        return known.get(token) or await real.authenticate(token, address)

    rest.tokens.authenticate = authenticate  # type: ignore[method-assign]
    return rest


async def test_from_nothing_to_a_token_of_ones_own(door: Rest) -> None:
    first = await door.services.tokens.new_first()
    made = await door.post("/accounts/first", {"token": first, "id": "ana", "password": PASSWORD}, token=None)
    assert made.status == 201 and made.headers["Location"] == "/api/v1/accounts/ana"

    session = (await door.post("/login", {"account": "ana", "password": PASSWORD}, token=None)).json["token"]
    body = {"name": "ci", "roles": [{"role": "viewer"}, {"role": "editor", "site": "madrid"}], "expires": "90d"}
    created = await door.post("/tokens", body, token=session)
    assert created.status == 201 and created.json["created_by"] == "account:ana"
    assert (await door.get("/models", token=created.json["token"])).status == 200
    assert (await door.get("/accounts", token=created.json["token"])).status == 403

    assert (await door.post("/logout", token=session)).status == 204
    assert (await door.get("/accounts", token=session)).status == 401
    assert (
        await door.post("/accounts/first", {"token": first, "id": "eve", "password": PASSWORD}, token=None)
    ).status == 401


async def test_a_failed_login_says_the_same_whatever_was_wrong(door: Rest) -> None:
    await door.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    await door.services.accounts.add(ADMIN, "ben", "Ben", PASSWORD)
    await door.services.accounts.edit(ADMIN, "ben", enabled=False)
    said = {
        (answer.status, answer.body)
        for account, password in (("ana", "wrong"), ("nobody", PASSWORD), ("ben", PASSWORD), ("😀'", "\ud83d"[:0]))
        for answer in [await door.post("/login", {"account": account, "password": password}, token=None)]
    }
    assert len(said) == 1 and {status for status, _ in said} == {401}


async def test_too_many_failures_are_told_when_to_come_back(door: Rest) -> None:
    body = {"account": "nobody", "password": "wrong"}
    answers = [await door.post("/login", body, token=None) for _ in range(6)]
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_an_account_is_made_shown_changed_and_removed(door: Rest) -> None:
    body = {"id": "ana", "name": HOSTILE_NAME, "password": PASSWORD, "roles": [{"role": "admin"}]}
    made = await door.post("/accounts", body)
    assert made.status == 201 and made.json["name"] == HOSTILE_NAME and "password" not in made.json
    await door.post("/accounts", body | {"id": "ben", "roles": []})
    shown = await door.get("/accounts/ben")
    changed = await door.patch(
        "/accounts/ben",
        {"enabled": False, "roles": [{"role": "viewer", "site": "madrid"}]},
        headers={"If-Match": shown.headers["ETag"]},
    )
    assert changed.json["roles"] == [{"role": "viewer", "site": "madrid"}] and not changed.json["enabled"]
    assert (await door.patch("/accounts/ben", {"name": "x"}, headers={"If-Match": '"1"'})).status == 412
    assert (await door.patch("/accounts/ben", {"name": None})).fields == ["name"]
    assert (await door.patch("/accounts/ana", {"enabled": False})).status == 409
    assert (await door.delete("/accounts/ben")).status == 204
    assert [row["id"] for row in (await door.get("/accounts")).json["items"]] == ["ana"]


async def test_people_change_their_own_password_over_rest(door: Rest) -> None:
    await door.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD)
    session = (await door.post("/login", {"account": "ana", "password": PASSWORD}, token=None)).json["token"]
    path = "/accounts/ana/password"
    assert (await door.post(path, {"password": OTHER}, token=session)).status == 401
    assert (await door.post(path, {"password": OTHER}, token="viewer-token")).status == 403
    assert (await door.post(path, {"password": "short", "current": PASSWORD}, token=session)).fields == ["password"]
    assert (await door.post(path, {"password": OTHER, "current": PASSWORD}, token=session)).status == 200
    assert (await door.get("/models", token=session)).status == 401
    assert (await door.post("/login", {"account": "ana", "password": OTHER}, token=None)).status == 200


async def test_a_refusal_repeats_neither_password_nor_token(door: Rest) -> None:
    first = await door.services.tokens.new_first()
    answers = [
        await door.post("/accounts", {"id": "ana", "password": "Zq81-secret", "roles": [{"role": "boss"}]}),
        await door.post("/accounts", {"id": "A b", "password": "Zq81-secret-long-enough"}),
        await door.post("/accounts/first", {"token": first, "id": "Zq 1", "password": "Zq81-secret-long"}, token=None),
        await door.post("/login", {"account": "ana", "password": ["Zq81-secret"]}, token=None),
        await door.get("/accounts", token=first),
    ]
    assert [answer.status for answer in answers] == [422, 422, 422, 422, 401]
    assert not [answer for answer in answers if b"Zq81" in answer.body or first.encode() in answer.body]


async def test_a_role_is_made_shown_changed_and_removed(door: Rest) -> None:
    made = await door.post("/roles", {"id": "helpdesk", "permissions": ["phones:*"]})
    assert made.json["permissions"] == ["phones:*"] and "phones:reveal" in made.json["allowed"]
    assert (await door.patch("/roles/helpdesk", {"permissions": ["phones:view"]})).json["allowed"] == ["phones:view"]
    assert (await door.patch("/roles/viewer", {"name": "x"})).status == 409
    assert (await door.post("/roles", {"id": "x", "permissions": ["phones:fly"]})).fields == ["permissions"]
    assert [row["id"] for row in (await door.get("/roles", limit=3)).json["items"]] == ["admin", "editor", "helpdesk"]
    assert (await door.delete("/roles/helpdesk")).status == 204
    assert (await door.get("/roles/helpdesk")).status == 404


async def test_tokens_are_listed_without_their_text_and_revoked(door: Rest) -> None:
    texts = [
        (await door.post("/tokens", {"name": f"t{n}", "roles": [{"role": "viewer"}], "expires": "never"})).json["token"]
        for n in range(3)
    ]
    first = await door.get("/tokens", limit=2)
    rest = await door.get("/tokens", cursor=first.json["next_cursor"])
    assert sorted(row["name"] for row in first.json["items"] + rest.json["items"]) == ["t0", "t1", "t2"]
    assert not [text for text in texts if text[-64:] in str(first.json) + str(rest.json)]
    assert (await door.delete("/tokens/t1")).status == 204
    assert [(await door.get("/models", token=text)).status for text in texts] == [200, 401, 200]
    assert (await door.post("/tokens", {"name": "x", "roles": [{"role": "viewer"}], "expires": "soon"})).fields == [
        "expires"
    ]


@pytest.mark.parametrize("token", ["viewer-token", "madrid-token"])
async def test_who_may_not_see_accounts_sees_none(door: Rest, token: str) -> None:
    await door.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    for path in ("/accounts", "/accounts/ana", "/roles", "/tokens"):
        assert (await door.get(path, token=token)).status == 403
    assert (await door.post("/tokens", {"name": "x", "roles": [{"role": "viewer"}]}, token=token)).status == 403
    assert (await door.delete("/accounts/ana", token=token)).status == 403


async def test_a_line_of_a_log_holds_no_password_and_no_token(door: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(RequestLog, "write", lambda _self, fields: lines.append(fields))
    await door.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    session = (await door.post("/login", {"account": "ana", "password": PASSWORD}, token=None)).json["token"]
    await door.get("/accounts/ana", token=session)
    await door.get("/accounts/ana", token=session[:-1])

    assert [(line["path"], line["actor"]) for line in lines] == [
        ("/api/v1/login", "nobody"),
        ("/api/v1/accounts/ana", "account:ana"),
        ("/api/v1/accounts/ana", ""),
    ]
    assert PASSWORD not in str(lines) and session[-63:-1] not in str(lines)
