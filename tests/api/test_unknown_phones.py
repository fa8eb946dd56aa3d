"""Unknown phones over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Rest
from tests.conftest import HOSTILE_NAME, HOSTILE_PASSWORD, VVX
from ztp_server.domain.access import ROLES, Actor, granted
from ztp_server.domain.unknown_phone import UnknownPhone

PLACE = {"site": "madrid", "base_settings": "vvx-standard"}
MACS = [f"0004f210000{number}" for number in range(5)]


@pytest.fixture
async def knocked(rest: Rest) -> Rest:
    """Five VVX 411 knocked, one after the other; an installer of madrid may come in."""
    rest.tokens.actors["installer"] = Actor("token:installer", granted(ROLES["installer"], "madrid"))
    first = datetime.now(UTC) - timedelta(minutes=9)
    async with rest.services.store.write() as session:
        await session.unknown_phones.keep(
            [
                UnknownPhone(
                    mac=mac,
                    first_at=first + timedelta(minutes=number),
                    last_at=first + timedelta(minutes=number),
                    vendor="poly",
                    model="vvx-411",
                    firmware="5.9.7.4477",
                    address=f"127.0.0.{number}",
                    certificate="ab" * 32 if number == 0 else "",
                    certified=mac if number == 0 else "",
                    files=(f"{mac}.cfg",),
                )
                for number, mac in enumerate(MACS)
            ]
        )
    return rest


async def test_who_knocked_is_listed_in_parts_and_by_filter(knocked: Rest) -> None:
    first = await knocked.get("/unknown-phones", limit=3, token="installer")
    second = await knocked.get("/unknown-phones", limit=3, token="installer", cursor=first.json["next_cursor"])
    assert [row["mac"] for row in first.json["items"] + second.json["items"]] == MACS[::-1]
    assert second.json["next_cursor"] is None
    last = second.json["items"][-1]
    assert last["certificate"] == {"sha256": "ab" * 32, "mac": MACS[0], "is_its_own": True}
    assert (last["state"], last["model"], last["files"], last["why"]) == (
        "waiting",
        "vvx-411",
        [f"{MACS[0]}.cfg"],
        None,
    )
    assert [row["mac"] for row in (await knocked.get("/unknown-phones", network="127.0.0.2")).json["items"]] == [
        MACS[2]
    ]
    for wrong in ({"network": "<b>&"}, {"state": "gone"}, {"cursor": "abc"}):
        assert (await knocked.get("/unknown-phones", **wrong)).fields == list(wrong)
    assert (await knocked.get("/unknown-phones", token="madrid-token")).status == 403


async def test_one_is_shown_to_who_may_approve(knocked: Rest) -> None:
    shown = await knocked.get(f"/unknown-phones/{MACS[0].upper()}", token="installer")
    assert (shown.status, shown.json["mac"], shown.json["certificate"]["is_its_own"]) == (200, MACS[0], True)
    assert (await knocked.get("/unknown-phones/0004f2999999")).status == 404
    assert (await knocked.get("/unknown-phones/%3Cb%3E")).fields == ["mac"]
    assert (await knocked.get(f"/unknown-phones/{MACS[0]}", token="madrid-token")).status == 403


async def test_one_is_approved_with_its_lines_and_is_a_phone_then(knocked: Rest) -> None:
    body = {**PLACE, "name": HOSTILE_NAME, "lines": [{"user": "1001", "password": HOSTILE_PASSWORD}]}
    made = await knocked.post(f"/unknown-phones/{MACS[1]}/approve", body, token="installer")
    assert made.status == 201 and HOSTILE_PASSWORD not in made.body.decode()
    assert (made.json["name"], made.json["model"], made.json["lines"][0]["user"]) == (HOSTILE_NAME, "vvx-411", "1001")
    assert made.headers["Location"] == f"/api/v1/phones/{made.json['id']}"
    assert (await knocked.get(f"/phones/{MACS[1]}")).status == 200
    assert (await knocked.post(f"/unknown-phones/{MACS[1]}/approve", body)).status == 409
    assert (await knocked.post("/unknown-phones/0004f2999999/approve", body)).status == 404
    assert (await knocked.post(f"/unknown-phones/{MACS[2]}/approve", PLACE | {"site": "x"})).status == 422
    elsewhere = await knocked.post(f"/unknown-phones/{MACS[2]}/approve", PLACE | {"site": "lisbon"}, token="installer")
    assert elsewhere.status == 403
    wrong = await knocked.post(f"/unknown-phones/{MACS[2]}/approve", PLACE | {"open_window": 10_081})
    assert wrong.fields == ["open_window"]


async def test_many_are_approved_each_with_its_own_result(knocked: Rest) -> None:
    answer = await knocked.post("/unknown-phones/approve", {**PLACE, "macs": [MACS[3], VVX, "<b>", MACS[4]]})
    assert answer.status == 200
    assert [(row["mac"], row["id"] is not None) for row in answer.json["items"]] == [
        *((MACS[3], True), (VVX, False), ("<b>", False), (MACS[4], True))
    ]
    assert [bool(row["problem"]) for row in answer.json["items"]] == [False, True, True, False]
    too_many = await knocked.post("/unknown-phones/approve", {**PLACE, "macs": [VVX] * 1001})
    assert too_many.status == 422


async def test_one_is_denied_and_forgotten(knocked: Rest) -> None:
    assert (await knocked.post(f"/unknown-phones/{MACS[0]}/deny", {"reason": HOSTILE_NAME})).status == 204
    (denied,) = (await knocked.get("/unknown-phones", state="denied")).json["items"]
    assert (denied["mac"], denied["denied_by"], denied["why"]) == (MACS[0], "token:admin", HOSTILE_NAME)
    assert (await knocked.delete(f"/unknown-phones/{MACS[0]}", reason="why")).status == 204
    assert (await knocked.delete(f"/unknown-phones/{MACS[0]}")).status == 404
    assert (await knocked.post(f"/unknown-phones/{MACS[1]}/deny", {}, token="viewer-token")).status == 403
