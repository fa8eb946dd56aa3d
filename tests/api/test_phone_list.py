"""GET /phones."""

from __future__ import annotations

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HD400, HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX


async def _macs(rest: Rest, **query: object) -> list[str]:
    answer = await rest.get("/phones", **query)
    assert answer.status == 200
    return [row["hardware_id"] for row in answer.json["items"]]


async def test_the_pages_of_a_list_are_all_phones(rest: Rest) -> None:
    found, cursor = [], None
    for _ in range(3):
        page = (await rest.get("/phones", limit=1, sort="hardware_id", **({"cursor": cursor} if cursor else {}))).json
        found += [row["hardware_id"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert found == sorted([VVX, OTHER_VVX, HD400])
    assert cursor is None


async def test_filters_are_parameters_of_the_query(rest: Rest) -> None:
    assert await _macs(rest, name="lobby") == [OTHER_VVX]
    assert await _macs(rest, q="2001") == [HD400]
    assert await _macs(rest, q=HOSTILE_NAME, family="hd*".replace("*", "400")) == [HD400]
    assert set(await _macs(rest, model="vvx-*", status="never_seen")) == {VVX, OTHER_VVX}
    assert await _macs(rest, site="paris") == []


async def test_a_phone_in_a_list_is_what_it_is_alone(rest: Rest) -> None:
    alone = (await rest.get(f"/phones/{VVX}")).json
    (listed,) = (await rest.get("/phones", hardware_id=VVX)).json["items"]
    assert {**alone, "status": None} == {**listed, "status": None}
    assert listed["status"]["provisioning"] == alone["status"]["provisioning"] == "never_seen"
    assert HOSTILE_PASSWORD not in str(listed)


async def test_the_total_is_told_when_it_is_asked_for(rest: Rest) -> None:
    assert (await rest.get("/phones", limit=1)).json["total"] is None
    assert (await rest.get("/phones", limit=1, count="true")).json["total"] == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"sitte": "madrid"}, "sitte"),
        ({"status": "gone"}, "status"),
        ({"vendor": "nobody"}, "vendor"),
        ({"sort": "colour"}, "sort"),
        ({"cursor": "bm9uZQ"}, "cursor"),
        ({"limit": "1001"}, "limit"),
        ({"never_seen": "perhaps"}, "never_seen"),
    ],
)
async def test_a_wrong_parameter_is_named(rest: Rest, query: dict[str, str], field: str) -> None:
    answer = await rest.get("/phones", **query)
    assert answer.status == 422
    assert answer.fields == [field]


async def test_whoever_works_at_one_site_sees_its_phones(rest: Rest) -> None:
    await rest.services.sites.add(ADMIN, "paris", "", {})
    await rest.services.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    assert set(await _macs(rest, token="madrid-token")) == {VVX, HD400}
    assert (await rest.get("/phones", token=None)).status == 401
