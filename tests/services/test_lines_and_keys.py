"""Lines and keys of a phone, one position at a time."""

from __future__ import annotations

import pytest

from tests.conftest import ADMIN, VVX
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import LineChange, Phone
from ztp_server.errors import BadValue, Stale
from ztp_server.services.opening import Services


async def shown(office: Services) -> list[str]:
    """Keys in a few letters: `1` a key of line 1, `b` busy lamp, `s` speed dial."""
    return [str(key.line) if key.type == "line" else key.type[0] for key in (await read(office)).line_keys]


async def read(office: Services) -> Phone:
    return await office.phones.get(ADMIN, VVX)


async def test_a_key_is_put_in_between_or_at_the_end(office: Services) -> None:
    await office.phone_lines.add_key(ADMIN, VVX, LineKey("intercom", "1004", "A & B"), 2)
    await office.phone_lines.add_key(ADMIN, VVX, LineKey("park", "70"))

    assert await shown(office) == ["1", "i", "b", "s", "2", "p"]


@pytest.mark.parametrize(("start", "end", "after"), [(1, 4, "bs21"), (4, 1, "21bs"), (2, 3, "1sb2"), (3, 3, "1bs2")])
async def test_a_moved_key_lets_the_others_make_room(office: Services, start: int, end: int, after: str) -> None:
    await office.phone_lines.move_key(ADMIN, VVX, start, end)

    assert "".join(await shown(office)) == after


async def test_a_key_is_changed_in_part_and_removed(office: Services) -> None:
    await office.phone_lines.set_key(ADMIN, VVX, 2, {"label": "Après <&>"})
    await office.phone_lines.set_key(ADMIN, VVX, 3, {"type": "line", "line": 2})
    await office.phone_lines.remove_key(ADMIN, VVX, 1)

    keys = (await read(office)).line_keys
    assert keys == (LineKey("blf", "1003", "Après <&>"), LineKey("line", "", "Home", 2), LineKey("line", line=2))


async def test_keys_go_with_their_line_when_lines_move(office: Services) -> None:
    await office.phone_lines.move_line(ADMIN, VVX, 2, 1)

    phone = await read(office)
    assert [line.user for line in phone.lines] == ["1002", "1001"]
    assert [line.password for line in phone.lines] == ["second", "p<a\"s&s'%41;#="]
    assert await shown(office) == ["2", "b", "s", "1"]


async def test_keys_go_with_their_line_when_one_comes_in_between(office: Services) -> None:
    await office.phone_lines.add_line(ADMIN, VVX, LineChange("1000"), 1)
    await office.phone_lines.add_line(ADMIN, VVX, LineChange("1009", password="p"))

    phone = await read(office)
    assert [line.user for line in phone.lines] == ["1000", "1001", "1002", "1009"]
    assert await shown(office) == ["2", "b", "s", "3"]


async def test_a_line_that_a_key_shows_stays_until_the_key_is_gone(office: Services) -> None:
    with pytest.raises(BadValue) as refused:
        await office.phone_lines.remove_line(ADMIN, VVX, 1)
    assert refused.value.field == "line_keys.1.line"

    await office.phone_lines.remove_key(ADMIN, VVX, 1)
    await office.phone_lines.remove_line(ADMIN, VVX, 1)

    assert [line.user for line in (await read(office)).lines] == ["1002"]
    assert await shown(office) == ["b", "s", "1"]


async def test_a_line_is_changed_in_part(office: Services) -> None:
    before = (await read(office)).lines[0]

    await office.phone_lines.set_line(ADMIN, VVX, 1, {"label": "Après", "shared": True})

    after = (await read(office)).lines[0]
    assert (after.label, after.shared) == ("Après", True)
    assert (after.user, after.auth_user, after.password) == (before.user, before.auth_user, before.password)


async def test_a_position_that_there_is_not_is_named(office: Services) -> None:
    lists, key = office.phone_lines, LineKey("blf", "1")
    before = await read(office)

    for change, field in (
        (lists.add_key(ADMIN, VVX, key, 6), "position"),
        (lists.add_key(ADMIN, VVX, key, 0), "position"),
        (lists.set_key(ADMIN, VVX, 5, {}), "position"),
        (lists.move_key(ADMIN, VVX, 5, 1), "from"),
        (lists.move_key(ADMIN, VVX, 1, 5), "to"),
        (lists.remove_key(ADMIN, VVX, -1), "position"),
        (lists.move_line(ADMIN, VVX, 3, 1), "from"),
        (lists.remove_line(ADMIN, VVX, 0), "position"),
        (lists.set_line(ADMIN, VVX, 3, {}), "position"),
        (lists.set_line(ADMIN, VVX, 1, {"user": ""}), "lines.1.user"),
        (lists.set_key(ADMIN, VVX, 2, {"value": ""}), "line_keys.2.value"),
        (lists.set_key(ADMIN, VVX, 2, {"type": "line", "line": 9}), "line_keys.2.line"),
        (lists.add_key(ADMIN, VVX, LineKey("siren", "1"), 1), "line_keys.1.type"),
    ):
        with pytest.raises(BadValue) as refused:
            await change
        assert refused.value.field == field
    assert await read(office) == before


async def test_more_keys_than_the_model_has_are_refused(office: Services) -> None:
    model = office.templates.catalog.models["vvx-411"]
    room = model.line_keys + model.expansion_modules * model.expansion_keys
    keys = [LineKey("blf", str(number)) for number in range(model.line_keys)]
    await office.phones.edit(ADMIN, VVX, {}, {}, None, [LineKey("line", line=1), *keys[1:]])

    with pytest.raises(BadValue, match=rf"line_keys\.{model.line_keys + 1}"):
        await office.phone_lines.add_key(ADMIN, VVX, LineKey("blf", "1"))
    assert room >= model.line_keys == len((await read(office)).line_keys)


async def test_a_change_of_what_somebody_else_changed_is_refused(office: Services) -> None:
    revision = (await read(office)).revision
    await office.phone_lines.move_key(ADMIN, VVX, 1, 2, revision=revision)

    with pytest.raises(Stale):
        await office.phone_lines.move_key(ADMIN, VVX, 1, 2, revision=revision)
