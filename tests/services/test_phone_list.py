"""Lists of phones against a plain model of what fits, and page by page against the whole."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ADMIN, HOSTILE_PASSWORD, OTHER_VVX, VVX, examples, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.phone_filter import STATES, PhoneFilter
from ztp_server.domain.phone_order import SORTS, Place, Sort
from ztp_server.domain.registration import REGISTRATION_STATES, RollUp
from ztp_server.domain.site import Site
from ztp_server.domain.status import Progress, provisioning_state
from ztp_server.domain.user import User
from ztp_server.errors import BadValue, Forbidden
from ztp_server.services.opening import Services
from ztp_server.store.phone_conditions import Facts
from ztp_server.store.phone_list import PhoneListStore
from ztp_server.store.registrations import Kept

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = ("Lobby", "lobby 2", "Zoë & Co", "100%", "a_b", "ÄRGER", "*star", "hall, north", "😀", "O'Hara", "back\\slash")
MODELS = {"vvx-411": ("poly", "vvx"), "vvx-250": ("poly", "vvx"), "audiocodes-405hd": ("audiocodes", "hd400")}
SITES, BASES = ("madrid", "paris", "rome"), ("one", "two")
USERS = {"ana": ("Ana María", "8001"), "bob": ("Bob", "8002")}
FACTS = Facts(NOW, frozenset({"now"}), MODELS, frozenset({"heard", "second"}))
Row = tuple[Phone, Progress | None]


def _rows(seed: int = 5, count: int = 120) -> list[Row]:
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        category = chance.choice(("managed", "managed", "managed", "unmanaged", "remote", "webrtc"))
        managed = category == "managed"
        phone = Phone(
            id=f"{chance.getrandbits(128):032x}",
            name=chance.choice(NAMES),
            hardware_id=_hardware_id(chance, category, number),
            category=category,
            model=chance.choice(list(MODELS)) if managed else "",
            site=chance.choice(SITES),
            base_settings=chance.choice(BASES) if managed else "",
            user=chance.choice(("", "ana", "bob")),
            remote_address="+34600000000" if category == "remote" else "",
            proofs=chance.choice((None, None, (), ("token", "window"))),
            lines=() if category == "remote" else tuple(_lines(chance, number)),
            settings={
                n: v for n, v in (("rtp_dscp", 40), ("user_password", "s3&cret")) if managed and chance.random() < 0.2
            },
        )
        rows.append((phone, _progress(chance, phone) if managed and chance.random() < 0.8 else None))
    return rows


def _hardware_id(chance: random.Random, category: str, number: int) -> str:
    if category == "unmanaged" and chance.random() < 0.5:
        return f"ab-{number}.example.net"
    return f"0004f2{number * 4099:06x}" if category == "managed" else ""


def _lines(chance: random.Random, number: int) -> list[Line]:
    return [
        Line(f"{chance.choice(('1', 'User', 'x%'))}{number + n}", password=HOSTILE_PASSWORD)
        for n in range(chance.randrange(3))
    ]


def _progress(chance: random.Random, phone: Phone) -> Progress:
    seen = NOW - timedelta(minutes=chance.randrange(50))
    return Progress(
        phone.id,
        first_at=NOW - timedelta(days=9),
        last_at=seen,
        since=seen,
        firmware=chance.choice(("", "6.4.3", "5.9.0")),
        inputs=chance.choice(("", "now", "now", "old")),
        phone_revision=chance.choice((0, 1, 1)),
        problem=chance.choice(("", "", "", "template")),
        due_at=chance.choice((None, NOW - timedelta(hours=1), NOW + timedelta(hours=1))),
    )


async def _fill(services: Services, rows: list[Row]) -> None:
    async with services.store.write() as session:
        for site in SITES:
            await session.sites.add(Site(site, site))
        for base in BASES:
            await session.base_settings.add(BaseSettings(base, base, "vvx-411"), "test")
        for user_id, (name, extension) in USERS.items():
            lines = (Line("9077"),) if user_id == "bob" else ()
            await session.users.add(User(user_id, name, extension, lines))
        await session.phones.add([phone for phone, _ in rows])
        await session.phone_status.keep([progress for _, progress in rows if progress])
        rolled = {phone.id: _rolled_up(phone) for phone, _ in rows}
        await session.registrations.keep_rolled_up({key: Kept(one, NOW) for key, one in rolled.items() if one})


def _state(row: Row) -> str:
    phone, progress = row
    if phone.category != "managed":
        return "unknown"
    current = progress.inputs if progress and progress.inputs in FACTS.current_inputs else "now"
    return provisioning_state(progress, current, 1, NOW)


def _rolled_up(phone: Phone) -> RollUp | None:
    """What is kept of its registration."""
    chance = random.Random(phone.id)
    state, platform = chance.choice(REGISTRATION_STATES), chance.choice(("heard", "heard", "silent"))
    kept = RollUp(state, "", platform, chance.choice(("", "", "second", "silent")))
    return kept if chance.random() < 0.8 else None


def _registration(phone: Phone) -> str:
    kept = _rolled_up(phone)
    return "unknown" if kept is None or "silent" in (kept.primary, kept.secondary) else kept.state


def _values(name: str, row: Row) -> list[str]:
    """What a filter of this name is compared with."""
    phone, progress = row
    person = USERS.get(phone.user)
    user_lines = ["9077"] if phone.user == "bob" else []
    return {
        "site": [phone.site],
        "base_settings": [phone.base_settings],
        "model": [phone.model],
        "vendor": [MODELS[phone.model][0]] if phone.model else [],
        "family": [MODELS[phone.model][1]] if phone.model else [],
        "category": [phone.category],
        "status": [*({_state(row)} - {"unknown"}), _registration(phone)],
        "firmware": [progress.firmware] if progress else [],
        "name": [phone.name.casefold()],
        "hardware_id": [phone.hardware_id] if phone.hardware_id else [],
        "user": [phone.user, person[0].casefold()] if person else [],
        "line": [line.user for line in phone.lines] + user_lines,
        "overrides": [*phone.settings, "any"] if phone.settings else ["none"],
        "proofs": ["site" if phone.proofs is None else "own" if phone.proofs else "blocked"],
    }[name]


def _fits(row: Row, wanted: PhoneFilter) -> bool:
    phone, progress = row
    if wanted.q:
        person = USERS.get(phone.user)
        texts = [phone.name.casefold(), phone.remote_address, *_values("line", row), person[1] if person else ""]
        in_texts = any(wanted.q_texts[0] in text.casefold() for text in texts)
        if not in_texts and not any(text in phone.hardware_id for text in wanted.q_texts):
            return False
    if wanted.never_seen is not None and wanted.never_seen != (progress is None and phone.category == "managed"):
        return False
    if wanted.never_seen is False and progress is None:
        return False
    for name, choice in wanted.choices.items():
        values = _values(name, row)
        if choice.wanted and not any(pattern.fits(value) for pattern in choice.wanted for value in values):
            return False
        if any(pattern.fits(value) for pattern in choice.unwanted for value in values):
            return False
    return True


def _key(row: Row, by: str) -> Any:
    phone, progress = row
    return {
        "name": phone.name.casefold(),
        "hardware_id": phone.hardware_id or None,
        "model": phone.model or None,
        "site": phone.site,
        "base_settings": phone.base_settings or None,
        "category": phone.category,
        "firmware": (progress.firmware or None) if progress else None,
        "last_seen": progress.last_at if progress else None,
    }[by]


def _in_order(rows: list[Row], sort: Sort) -> list[str]:
    """The ids as a list must have them: by the value, then (where it says so) by name, then by id."""
    by_name = sort.by in ("model", "site", "base_settings", "category")
    name = [(row[0].name.casefold(), row[0].id) if by_name else ("", row[0].id) for row in rows]
    having = [(_key(row, sort.by), *name[n]) for n, row in enumerate(rows) if _key(row, sort.by) is not None]
    rest = sorted((row[0].name.casefold(), row[0].id) for row in rows if _key(row, sort.by) is None)
    return [key[-1] for key in sorted(having, reverse=sort.descending)] + [key[-1] for key in rest]


_WORDS = st.sampled_from(
    [
        "lobby",
        "*lobby*",
        "*o*",
        "100%",
        "a_b",
        "*_*",
        r"\*star",
        r"hall\, north",
        "zoë*",
        "*",
        "*\\\\*",
        "ärger",
        "O'Hara",
        "😀",
    ]
)
_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "q": st.sampled_from(
            ["lobby", "LOB", "00:04:F2", "f2:00", "user1", "8001", "+346", "zoë", "%", "_", "nobody", "9077", "\\"]
        ),
        "never_seen": st.sampled_from(["on", "off"]),
        "site": st.sampled_from(["madrid", "madrid,rome", "!madrid", "nowhere"]),
        "base_settings": st.sampled_from(["one", "!one", "one,two"]),
        "model": st.sampled_from(["vvx-*", "vvx-411", "!vvx-411"]),
        "vendor": st.sampled_from(["poly", "!poly"]),
        "family": st.sampled_from(["vvx", "hd400"]),
        "category": st.sampled_from(["managed", "remote,webrtc", "!managed"]),
        "status": st.lists(
            st.sampled_from([*STATES, "!provisioned", "!error", "!online", "!unknown"]), min_size=1, max_size=3
        ),
        "firmware": st.sampled_from(["6.*", "5.9.0", "*", "!6.4.3"]),
        "name": _WORDS,
        "hardware_id": st.sampled_from(["00:04:F2:0*", "*1", "ab-*", "!0004f2*"]),
        "user": st.sampled_from(["ana", "*MARÍA", "*", "!bob"]),
        "line": st.sampled_from(["User1*", "user1*", "9077", "x%*", "!1*"]),
        "overrides": st.sampled_from(["any", "none", "rtp_dscp", "!user_password"]),
        "proofs": st.sampled_from(["site", "own", "blocked", "own,blocked", "!blocked"]),
    },
)


class Fleet:
    """Services with phones, and these phones as a plain list."""

    def __init__(self, services: Services, rows: list[Row]) -> None:
        self.services, self.rows = services, rows


@pytest.fixture
async def listed(services: Services) -> Fleet:
    rows = _rows()
    await _fill(services, rows)
    return Fleet(services, rows)


@pytest.mark.parametrize("few", [0, 20, 2000])
@given(
    filters=_FILTERS,
    by=st.sampled_from(SORTS),
    descending=st.booleans(),
    limit=st.integers(1, 50),
    sites=st.sampled_from([None, frozenset({"madrid"}), frozenset({"madrid", "rome"}), frozenset()]),
)
@settings(max_examples=examples(25, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_pages_are_all_that_fits_in_order(
    listed: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    filters: dict[str, Any],
    by: str,
    descending: bool,
    limit: int,
    sites: frozenset[str] | None,
) -> None:
    monkeypatch.setattr("ztp_server.store.phone_list.FEW", few)
    services, rows = listed.services, listed.rows
    wanted, sort = PhoneFilter.parse(filters), Sort(by, descending)
    expected = [row for row in rows if _fits(row, wanted) and (sites is None or row[0].site in sites)]
    async with services.store.read() as session:
        found = await _all_pages(session.phone_list, wanted, sites, sort, limit)
        ids = await session.phone_list.ids(wanted, sites, FACTS)
        count = await session.phone_list.count(wanted, sites, FACTS)
    assert [phone_id for phone_id, _ in found] == _in_order(expected, sort)
    assert dict(found) == {row[0].id: (_state(row), _registration(row[0])) for row in expected}
    assert ids == sorted(row[0].id for row in expected)
    assert count == len(expected)


async def _all_pages(
    store: PhoneListStore, wanted: PhoneFilter, sites: frozenset[str] | None, sort: Sort, limit: int
) -> list[tuple[str, tuple[str, str]]]:
    found: list[tuple[str, tuple[str, str]]] = []
    place: Place | None = None
    while True:
        page, after = await store.page(wanted, sites, FACTS, sort, place, limit)
        told = [row.registration.rolled_up.state if row.registration else "unknown" for row in page]
        found += [(row.phone.id, (row.state, state)) for row, state in zip(page, told, strict=True)]
        if after is None:
            return found
        assert len(page) == limit
        place = Place.parse(after.cursor, sort)


async def test_a_page_begins_where_the_one_before_ended_whatever_came_and_went(listed: Fleet) -> None:
    services = listed.services
    first = await services.phone_list.page(ADMIN, {"category": "managed"}, limit=20)
    last = first.items[-1]["id"]
    async with services.store.write() as session:
        await session.phones.remove([await session.phones.get_any(last)])
        await session.phones.add([sample_phone("0004f2ffffff", site="rome", base_settings="one", name=" first of all")])
    second = await services.phone_list.page(ADMIN, {"category": "managed"}, limit=1000, cursor=first.next_cursor)
    seen = [row["id"] for row in first.items + second.items]
    managed = {phone.id for phone, _ in listed.rows if phone.category == "managed"}
    assert len(seen) == len(set(seen))
    assert set(seen) == managed
    assert second.next_cursor is None


async def test_a_list_shows_the_phones_of_ones_own_sites_and_no_secrets(listed: Fleet) -> None:
    services = listed.services
    who = Actor("account:ana", (Grant(ROLES["viewer"], "madrid"),))
    page = await services.phone_list.page(who, {}, limit=1000, count=True)
    assert {row["site"] for row in page.items} == {"madrid"}
    assert page.total == len(page.items) == sum(phone.site == "madrid" for phone, _ in listed.rows)
    assert HOSTILE_PASSWORD not in str(page.items)
    assert "s3&cret" not in str(page.items)
    assert "'user_password': '***'" in str(page.items)
    with pytest.raises(Forbidden):
        await services.phone_list.page(Actor("account:nobody"), {})


async def test_a_list_opens_no_secret(listed: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("a secret was opened")

    monkeypatch.setattr("ztp_server.store.vault.Vault.open", refuse)
    assert (await listed.services.phone_list.page(ADMIN, {})).items


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"filters": {"vendor": "pol"}}, "vendor"),
        ({"filters": {"family": "!vvxx"}}, "family"),
        ({"sort": "nome"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_a_wrong_question_is_refused_by_name(listed: Fleet, options: dict[str, Any], field: str) -> None:
    with pytest.raises(BadValue) as refused:
        await listed.services.phone_list.page(ADMIN, **{"filters": {}, **options})
    assert refused.value.field == field


async def test_a_cursor_of_another_order_or_with_another_value_is_refused(listed: Fleet) -> None:
    page = await listed.services.phone_list.page(ADMIN, {}, sort="last_seen", limit=1)
    with pytest.raises(BadValue, match="cursor"):
        await listed.services.phone_list.page(ADMIN, {}, sort="name", cursor=page.next_cursor)
    for values in (("yesterday", "a"), ("2026-11-23",), ("2026-11-23", "a", "b")):
        forged = Place(Sort("last_seen"), True, values).cursor
        with pytest.raises(BadValue, match="cursor"):
            await listed.services.phone_list.page(ADMIN, {}, sort="last_seen", cursor=forged)


async def test_every_phone_comes_once_and_no_more_than_asked_for(listed: Fleet) -> None:
    every = [row["id"] async for row in listed.services.phone_list.every(ADMIN, {}, sort="-site")]
    assert sorted(every) == sorted(phone.id for phone, _ in listed.rows)
    assert [row["id"] async for row in listed.services.phone_list.every(ADMIN, {}, sort="-site", most=7)] == every[:7]


async def test_a_phone_whose_base_settings_changed_is_outdated(office: Services) -> None:
    async with office.store.write() as session:
        inputs = await office.phone_status.current_inputs(session)
        phone = await session.phones.get(VVX)
        group = inputs[phone.model, phone.site, phone.base_settings]
        await session.phone_status.keep(
            [Progress(phone.id, NOW, NOW, NOW, inputs=group, phone_revision=phone.revision)]
        )

    async def found(status: str) -> list[str]:
        return [row["hardware_id"] for row in (await office.phone_list.page(ADMIN, {"status": status})).items]

    assert (await found("provisioned"), await found("outdated")) == ([VVX], [])
    await office.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": "40"})
    assert (await found("provisioned"), await found("outdated")) == ([], [VVX])
    assert OTHER_VVX in await found("never_seen")
