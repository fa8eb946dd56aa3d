"""The audit and the events over REST."""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import HOSTILE_PASSWORD, VVX
from tests.store.test_audit import meddle
from ztp_server.domain.access import Actor


async def test_the_audit_comes_newest_first_in_parts_without_a_gap(rest: Rest) -> None:
    whole = [row["seq"] for row in (await rest.get("/audit", limit=1000)).json["items"]]
    found: list[int] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        part = (await rest.get("/audit", limit=2, **cursor)).json
        found += [row["seq"] for row in part["items"]]
        cursor = {"cursor": part["next_cursor"]} if part["next_cursor"] else None

    assert found == whole == sorted(whole, reverse=True) and len(whole) > 4


async def test_the_audit_is_searched_by_who_what_and_of_what(rest: Rest) -> None:
    async with rest.services.store.write() as session:
        await session.audit.add(Actor("token:é&<"), "phone.changed", VVX, after={"name": "x"})

    for name, value in (("actor", "token:é&<"), ("action", "phone.changed"), ("subject", VVX)):
        found = (await rest.get("/audit", **{name: value})).json["items"]
        assert found and all(row[name] == value for row in found)
    assert (await rest.get("/audit", actor="nobody-at-all")).json["items"] == []


async def test_no_password_is_in_the_audit(rest: Rest) -> None:
    text = (await rest.get("/audit", limit=1000)).body.decode()

    assert '"lines.1.password":"digest:' in text
    for secret in (HOSTILE_PASSWORD, "second", "Ad&min1", "s3cret"):
        assert f'"{secret}"' not in text


async def test_who_may_not_see_the_audit_sees_nothing_of_it(rest: Rest) -> None:
    for path in ("/audit", "/audit/head", "/events"):
        assert (await rest.get(path, token="madrid-token")).status == 403
    assert (await rest.post("/audit/verify", {}, token="viewer-token")).status == 403


async def test_a_whole_audit_is_verified_to_its_head(rest: Rest) -> None:
    head = (await rest.get("/audit/head")).json["head"]
    verdict = (await rest.post("/audit/verify", {"head": head})).json

    assert (verdict["whole"], verdict["head"], verdict["broken"]) == (True, head, 0)
    assert verdict["records"] == int(head.partition(":")[0])


async def test_a_changed_record_is_named(rest: Rest) -> None:
    meddle(rest.data, "UPDATE audit SET actor = 'somebody else' WHERE seq = 3")
    verdict = (await rest.post("/audit/verify", {})).json

    assert (verdict["whole"], verdict["broken"], verdict["records"]) == (False, 3, 2)


async def test_what_is_no_head_is_refused(rest: Rest) -> None:
    answer = await rest.post("/audit/verify", {"head": "12"})

    assert (answer.status, answer.fields) == (422, ["head"])


async def test_events_come_newest_first(rest: Rest) -> None:
    async with rest.services.store.write() as session:
        for number in range(3):
            await session.events.add("server", "firmware.damaged", f"image {number}", {"reason": "<&>"})
    first = (await rest.get("/events", limit=2, action="firmware.damaged")).json
    rest_of_it = (await rest.get("/events", limit=2, action="firmware.damaged", cursor=first["next_cursor"])).json

    assert [row["subject"] for row in first["items"] + rest_of_it["items"]] == ["image 2", "image 1", "image 0"]
    assert rest_of_it["next_cursor"] is None


async def test_a_cursor_of_another_list_is_refused(rest: Rest) -> None:
    other = (await rest.get("/models", limit=1)).json["next_cursor"]

    for cursor in (other, "x", "bnVsbA", "WzFlOTk5XQ", "8J-YgA", "W3RydWVd"):
        answer = await rest.get("/audit", cursor=cursor)
        assert (answer.status, answer.fields) == (422, ["cursor"]), cursor


async def test_who_am_i_says_what_one_may_and_where(rest: Rest) -> None:
    found = (await rest.get("/me", token="madrid-token")).json

    assert found["name"] == "token:madrid"
    held = {grant["site"]: grant["permissions"] for grant in found["grants"]}
    assert set(held) == {"madrid", None}
    assert "phones:edit" in held["madrid"] and all(name.endswith(":view") for name in held[None])


async def test_settings_say_what_a_form_needs(rest: Rest) -> None:
    rows = {row["name"]: row for row in (await rest.get("/settings", token="viewer-token")).json["items"]}

    assert rows["rtp_dscp"]["schema"] == {"type": "integer", "minimum": 0, "maximum": 63}
    assert rows["admin_password"]["secret"] is True and rows["rtp_dscp"]["default"] == 46
