"""POST /phones/{phone}/why"""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import VVX


async def test_what_a_phone_would_get_is_said_with_its_reasons(rest: Rest) -> None:
    answer = await rest.post(f"/phones/{VVX}/why", {"from": "127.0.0.1", "file": f"{VVX}-settings.cfg"})
    assert answer.status == 200
    assert answer.json["from"] == "127.0.0.1" and any(finding["ok"] for finding in answer.json["findings"])
    assert {row["status"] for row in answer.json["answers"]} == {200}


async def test_who_only_looks_may_ask_why_and_who_may_see_nothing_learns_nothing(rest: Rest) -> None:
    assert (await rest.post(f"/phones/{VVX}/why", {}, token="viewer-token")).status == 200
    assert (await rest.post("/phones/0004f2000042/why", {}, token="madrid-token")).status == 404


async def test_an_address_that_is_none_is_refused_by_its_field(rest: Rest) -> None:
    answer = await rest.post(f"/phones/{VVX}/why", {"from": "reception"})
    assert (answer.status, answer.fields) == (422, ["from"])
