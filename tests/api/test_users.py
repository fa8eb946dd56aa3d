"""Users over REST."""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, VVX

LINE = {"user": "1001", "password": HOSTILE_PASSWORD, "display_name": HOSTILE_NAME}
EVA = {"id": "eva", "name": HOSTILE_NAME, "extension": "1001", "lines": [LINE]}


async def test_a_user_is_made_shown_changed_and_removed(rest: Rest) -> None:
    made = await rest.post("/users", EVA)
    assert made.status == 201 and made.headers["Location"] == "/api/v1/users/eva"
    assert made.json["name"] == HOSTILE_NAME and "password" not in made.json["lines"][0]
    changed = await rest.patch(
        "/users/eva",
        {"extension": None, "lines": [{"user": "1001", "label": "L"}]},
        headers={"If-Match": made.headers["ETag"]},
    )
    assert changed.json["extension"] == "" and changed.json["lines"][0]["label"] == "L"
    assert (await rest.services.users.get(ADMIN, "eva")).lines[0].password == HOSTILE_PASSWORD
    assert (await rest.patch("/users/eva", {"name": "x"}, headers={"If-Match": '"1"'})).status == 412
    assert (await rest.patch("/users/eva", {"lines": [{"user": "1"}, {"user": ""}]})).fields == ["lines.2.user"]
    assert (await rest.patch("/users/eva", {"lines": None})).json["lines"] == []
    assert (await rest.delete("/users/eva")).status == 204
    assert (await rest.get("/users/eva")).status == 404


async def test_a_user_is_shown_with_the_phones_one_may_see(rest: Rest) -> None:
    await rest.post("/users", EVA)
    await rest.services.phones.edit(ADMIN, VVX, {"user": "eva"}, {})
    assert [p["hardware_id"] for p in (await rest.get("/users/eva", token="madrid-token")).json["phones"]] == [VVX]
    answer = await rest.delete("/users/eva")
    assert answer.status == 409 and VVX in answer.json["detail"]


async def test_users_are_searched_and_come_in_parts(rest: Rest) -> None:
    for n in range(5):
        await rest.post("/users", {"id": f"u{n}", "extension": f"20{n}"})
    first = await rest.get("/users", q="20", limit=3)
    second = await rest.get("/users", q="20", limit=3, cursor=first.json["next_cursor"])
    assert [row["id"] for row in first.json["items"] + second.json["items"]] == [f"u{n}" for n in range(5)]
    assert second.json["next_cursor"] is None
    assert [row["id"] for row in (await rest.get("/users", q="203")).json["items"]] == ["u3"]


async def test_at_a_site_users_are_seen_and_not_changed(rest: Rest) -> None:
    await rest.post("/users", EVA)
    assert (await rest.get("/users", token="madrid-token")).status == 200
    for call in (
        rest.patch("/users/eva", {"name": "x"}, token="madrid-token"),
        rest.delete("/users/eva", token="madrid-token"),
        rest.post("/users", {"id": "x"}, token="viewer-token"),
    ):
        assert (await call).status == 403
