from __future__ import annotations

from tests.api.conftest import Rest


async def test_models_come_in_parts_without_a_gap(rest: Rest) -> None:
    whole = [row["id"] for row in (await rest.get("/models", limit=1000)).json["items"]]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while cursor is not None:
        part = (await rest.get("/models", limit=7, **cursor)).json
        found += [row["id"] for row in part["items"]]
        cursor = {"cursor": part["next_cursor"]} if part["next_cursor"] else None  # type: ignore[assignment]

    assert found == whole == sorted(whole) and len(whole) > 14


async def test_a_model_says_what_it_can_do(rest: Rest) -> None:
    found = (await rest.get("/models/vvx-411", token="viewer-token")).json

    assert (found["vendor"], found["family"], found["lines"]) == ("Poly", "VVX", 34)


async def test_a_model_that_is_not_there_is_named(rest: Rest) -> None:
    answer = await rest.get("/models/vvx-9999")

    assert answer.status == 404 and "vvx-9999" in answer.json["detail"]
