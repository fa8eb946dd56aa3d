"""Users: people, their lines, their phones."""

from __future__ import annotations

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, VVX, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.phone import Line, LineChange, Phone
from ztp_server.errors import BadValue, Conflict, InUse, NotFound, Stale
from ztp_server.services.access_views import user_view
from ztp_server.services.opening import Services

LINES = (Line("1001", "auth", HOSTILE_PASSWORD, HOSTILE_NAME, "1001"), Line("1002", password="second"))


@pytest.fixture
async def eva(office: Services) -> Services:
    await office.users.add(ADMIN, "eva", HOSTILE_NAME, "1001", LINES)
    return office


async def test_a_user_is_kept_as_written_with_passwords_sealed(eva: Services) -> None:
    user = await eva.users.get(ADMIN, "eva")
    assert (user.name, user.extension, user.lines, user.revision) == (HOSTILE_NAME, "1001", LINES, 1)
    assert HOSTILE_PASSWORD not in str(user_view(user)) + repr(user)
    async with eva.store.database.reading() as connection:
        stored = (await connection.exec_driver_sql("SELECT password FROM user_lines")).all()
    assert all(row.password.startswith("v2:1:") for row in stored)


async def test_a_line_keeps_its_password_when_none_is_given(eva: Services) -> None:
    await eva.users.edit(ADMIN, "eva", lines=[LineChange("1002", label="First"), LineChange("1001", password="new")])
    user = await eva.users.get(ADMIN, "eva")
    assert [(line.user, line.password) for line in user.lines] == [("1002", "second"), ("1001", "new")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"extension": "10 01"}, "extension"),
        ({"extension": "1" * 65}, "extension"),
        ({"extension": "1001\n"}, "extension"),
        ({"extension": "😀"}, "extension"),
        ({"name": "  "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"lines": [Line("1"), Line("")]}, "lines.2.user"),
        ({"lines": [Line("1", password="a\0b")]}, "lines.1.password"),
        ({"lines": [Line("1")] * 65}, "lines"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_changed(
    eva: Services, fields: dict[str, object], field: str
) -> None:
    before = await eva.users.get(ADMIN, "eva")
    with pytest.raises(BadValue) as refused:
        await eva.users.edit(ADMIN, "eva", **fields)  # type: ignore[arg-type]
    assert refused.value.field == field and await eva.users.get(ADMIN, "eva") == before


async def test_an_id_is_taken_once_and_a_stale_change_is_refused(eva: Services) -> None:
    with pytest.raises(Conflict):
        await eva.users.add(ADMIN, "eva", "")
    await eva.users.edit(ADMIN, "eva", name="Eva", revision=1)
    with pytest.raises(Stale):
        await eva.users.edit(ADMIN, "eva", name="Ewa", revision=1)
    with pytest.raises(Stale):
        await eva.users.remove(ADMIN, "eva", revision=1)
    with pytest.raises(NotFound):
        await eva.users.edit(ADMIN, "nobody", name="x")


async def test_a_user_with_a_phone_stays_and_says_which_to_those_who_may_see_it(eva: Services) -> None:
    await eva.phones.edit(ADMIN, VVX, {"user": "eva"}, {})
    with pytest.raises(InUse, match=f"1 phone: {VVX}"):
        await eva.users.remove(ADMIN, "eva")
    assert [phone["hardware_id"] for phone in await eva.users.phones(ADMIN, "eva")] == [VVX]
    elsewhere = Actor("x", (Grant(ROLES["editor"] - {"phones:view"}), Grant(frozenset({"phones:view"}), "lisbon")))
    blind = Actor("x", (Grant(frozenset({"users:view", "users:delete"})),))
    for who in (elsewhere, blind):
        assert await eva.users.phones(who, "eva") == []
        with pytest.raises(InUse) as refused:
            await eva.users.remove(who, "eva")
        assert VVX not in str(refused.value)
    await eva.phones.edit(ADMIN, VVX, {"user": ""}, {})
    await eva.users.remove(ADMIN, "eva")
    with pytest.raises(NotFound):
        await eva.users.get(ADMIN, "eva")


async def test_a_browser_phone_follows_the_extension_of_its_user_with_its_password(eva: Services) -> None:
    added = await eva.phones.add(ADMIN, _browser_phone())
    before = added.phone
    await eva.users.edit(ADMIN, "eva", extension="2002")
    after = await eva.phones.get(ADMIN, before.id)
    assert (after.lines[0].user, after.lines[0].password) == ("2002", before.lines[0].password)
    async with eva.store.read() as session:
        [record] = await session.audit.page(below=None, limit=1, action="phone.changed")
    assert record.after["lines.1.user"] == "2002" and "eva" in record.reason


async def test_a_user_with_a_browser_phone_keeps_an_extension(eva: Services) -> None:
    await eva.phones.add(ADMIN, _browser_phone())
    with pytest.raises(BadValue, match=r"^extension: "):
        await eva.users.edit(ADMIN, "eva", extension="")
    assert (await eva.users.get(ADMIN, "eva")).extension == "1001"


async def test_other_phones_keep_their_lines(eva: Services) -> None:
    await eva.phones.edit(ADMIN, VVX, {"user": "eva"}, {})
    before = (await eva.phones.get(ADMIN, VVX)).lines
    await eva.users.edit(ADMIN, "eva", extension="2002")
    assert (await eva.phones.get(ADMIN, VVX)).lines == before == sample_phone().lines


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("", ["ana", "eva", "pct"]),
        ("AN", ["ana"]),
        ("é😀", ["eva"]),
        ("100", ["eva", "pct"]),
        ("100*", ["eva", "pct"]),
        ("100?*", []),
        ("*1", ["eva"]),
        ("%", ["pct"]),
        ("_", ["pct"]),
        ("\\", ["pct"]),
        ("e*a", ["eva"]),
        ("'", ["eva"]),
        ("ANA LÓPEZ", ["ana"]),
    ],
)
async def test_users_are_found_by_a_part_of_what_they_are_called(eva: Services, q: str, found: list[str]) -> None:
    await eva.users.add(ADMIN, "ana", "Ana López")
    await eva.users.add(ADMIN, "pct", "100% _ \\")
    assert [user.id for user in (await eva.users.page(ADMIN, q))[0]] == found


async def test_users_come_in_parts_without_a_gap(services: Services) -> None:
    for n in range(7):
        await services.users.add(ADMIN, f"u{n}", "", lines=[Line(str(n))])
    found = []
    more = True
    while more:
        part, more = await services.users.page(ADMIN, "", found[-1].id if found else "", 3)
        found += part
    assert [user.lines[0].user for user in found] == [str(n) for n in range(7)]


async def test_every_change_of_a_user_is_written_down_with_digests_for_passwords(eva: Services) -> None:
    await eva.users.edit(ADMIN, "eva", lines=[LineChange("1001", password="new-secret")])
    await eva.users.remove(ADMIN, "eva")
    async with eva.store.read() as session:
        records = await session.audit.page(below=None, limit=3)
        old, new = session.audit.digest(HOSTILE_PASSWORD), session.audit.digest("new-secret")
    assert [record.action for record in records] == ["user.removed", "user.changed", "user.added"]
    assert (records[1].before["lines.1.password"], records[1].after["lines.1.password"]) == (old, new)
    assert HOSTILE_PASSWORD not in str(records) and "new-secret" not in str(records)


def _browser_phone() -> Phone:
    return Phone("Softphone", "", "", "madrid", "", category="webrtc", user="eva")
