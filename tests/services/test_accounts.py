"""Accounts, roles, log-ins and the token of the first account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HOSTILE_NAME
from tests.services.opened import open_data
from ztp_server.domain.access import PERMISSIONS, Actor, Grant
from ztp_server.domain.account import EVERYTHING, RoleGrant
from ztp_server.errors import BadValue, Conflict, Forbidden, LoginRefused, NotFound, Refused, Stale, TooMany
from ztp_server.services.login_limits import LoginLimits
from ztp_server.services.opening import Services
from ztp_server.services.passwords import Passwords, checked_password
from ztp_server.services.role_grants import parse_roles
from ztp_server.store.schema_access import accounts, tokens

PASSWORD = "correct horse <battery> & 'staple'"
OTHER = "a wholly different é😀 sentence"
ANA = "ana"


async def log_in(services: Services, account: str = ANA, password: str = PASSWORD) -> Actor:
    text, _ = await services.logins.login(account, password, "192.0.2.1")
    who = await services.tokens.authenticate(text, "192.0.2.1")
    assert who
    return who


@pytest.fixture
async def ana(office: Services) -> Services:
    """The office, with an account that may do everything."""
    await office.accounts.add(ADMIN, ANA, HOSTILE_NAME, PASSWORD, [EVERYTHING])
    return office


async def audited(services: Services) -> list[Any]:
    async with services.store.read() as session:
        return list(reversed(await session.audit.page(below=None, limit=1000)))


# ---- the first account -----------------------------------------------------------------------------------------------


async def test_there_is_no_account_until_somebody_makes_one(services: Services) -> None:
    assert await services.accounts.page(ADMIN) == ([], False)
    for account in ("admin", "root", ""):
        with pytest.raises(LoginRefused):
            await services.logins.login(account, "admin", "192.0.2.1")


async def test_the_token_of_the_start_makes_the_first_account_once(services: Services) -> None:
    text = await services.tokens.new_first()
    account = await services.accounts.add_first(text, ANA, "Ana", PASSWORD, "192.0.2.1")

    assert account.is_admin
    assert (await log_in(services)).may("accounts:edit")
    with pytest.raises(LoginRefused):
        await services.accounts.add_first(text, "eve", "Eve", PASSWORD, "192.0.2.1")
    assert await services.tokens.new_first() == ""
    [record, _] = await audited(services)
    assert (record.actor, record.address, record.action) == ("token:first", "192.0.2.1", "account.added")


async def test_of_two_who_use_the_first_token_at_the_same_time_one_gets_the_account(services: Services) -> None:
    text = await services.tokens.new_first()
    made = await asyncio.gather(
        *(services.accounts.add_first(text, name, "", PASSWORD, "192.0.2.1") for name in ("ana", "eve")),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in made) == ["Account", "LoginRefused"]
    assert len((await services.accounts.page(ADMIN))[0]) == 1


async def test_a_new_start_makes_the_token_before_worthless(services: Services) -> None:
    before, now = await services.tokens.new_first(), await services.tokens.new_first()
    with pytest.raises(LoginRefused):
        await services.accounts.add_first(before, ANA, "", PASSWORD, "192.0.2.1")
    await services.accounts.add_first(now, ANA, "", PASSWORD, "192.0.2.1")


async def test_an_account_made_on_the_machine_makes_the_first_token_worthless(services: Services) -> None:
    text = await services.tokens.new_first()
    await services.accounts.add(ADMIN, ANA, "", PASSWORD, [EVERYTHING])
    await services.accounts.edit(ADMIN, ANA, name="Ana")
    with pytest.raises(LoginRefused):
        await services.accounts.add_first(text, "eve", "", PASSWORD, "192.0.2.1")


async def test_the_first_token_is_worth_nothing_after_a_day_and_nothing_else_ever(services: Services) -> None:
    text = await services.tokens.new_first()
    assert await services.tokens.authenticate(text, "192.0.2.1") is None
    async with services.store.database.writing() as connection:
        await connection.execute(sa.update(tokens).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(LoginRefused):
        await services.accounts.add_first(text, ANA, "", PASSWORD, "192.0.2.1")


async def test_a_bad_password_does_not_use_the_first_token_up(services: Services) -> None:
    text = await services.tokens.new_first()
    with pytest.raises(BadValue, match="password"):
        await services.accounts.add_first(text, ANA, "", "short", "192.0.2.1")
    await services.accounts.add_first(text, ANA, "", PASSWORD, "192.0.2.1")


# ---- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        "",
        "eleven char",
        "x" * 1025,
        "line\nbreak and more",
        "surrogate \ud800 here",
        "ana-maria-lopez",
        "ANA-Maria-Lopez ",
        "Ana María López",
    ],
)
def test_a_password_that_is_too_short_or_the_name_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(BadValue) as refused:
        checked_password(password, "ana-maria-lopez", "Ana María López")
    assert refused.value.field == "password"
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("password", ["aaaaaaaaaaaa", "twelve chars", OTHER, PASSWORD, "x" * 1024])
def test_what_a_password_is_made_of_is_left_to_its_owner(password: str) -> None:
    assert checked_password(password, ANA, "Ana") == password


async def test_the_same_letters_fit_however_a_keyboard_spells_them() -> None:
    passwords = Passwords()
    hashed = await passwords.hash("Espa\u00f1a y m\u00e1s palabras")
    assert await passwords.fits("Espan\u0303a y ma\u0301s palabras", hashed)
    assert not await passwords.fits("Espana y mas palabras", hashed)
    assert not await passwords.fits("lone \ud800", hashed) and not await passwords.fits("x" * 9999, hashed)


async def test_a_password_is_stored_as_argon2id_and_two_alike_look_different(ana: Services) -> None:
    await ana.accounts.add(ADMIN, "ben", "Ben", PASSWORD)
    async with ana.store.read() as session:
        first, second = [await session.accounts.password(name) for name in (ANA, "ben")]
    assert first and first.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert first != second


async def test_so_many_who_log_in_at_once_are_told_to_come_back(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ztp_server.services.passwords._MOST_WAITING", 3)
    tries = [services.logins.login(f"nobody{n}", "x", f"192.0.2.{n}") for n in range(9)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    kinds = {type(one) for one in ended}
    assert kinds == {LoginRefused, TooMany}


async def test_another_password_logs_out_everybody_who_came_in_with_the_old_one(ana: Services) -> None:
    text, _ = await ana.logins.login(ANA, PASSWORD, "192.0.2.1")
    await ana.accounts.set_password(ADMIN, ANA, OTHER)

    assert await ana.tokens.authenticate(text, "192.0.2.1") is None
    with pytest.raises(LoginRefused):
        await ana.logins.login(ANA, PASSWORD, "192.0.2.1")
    await log_in(ana, password=OTHER)


async def test_people_change_their_own_password_with_the_current_one(ana: Services) -> None:
    await ana.accounts.add(ADMIN, "ben", "Ben", PASSWORD, [RoleGrant("viewer")])
    ben = await log_in(ana, "ben")
    with pytest.raises(LoginRefused):
        await ana.accounts.set_password(ben, "ben", OTHER)
    with pytest.raises(LoginRefused):
        await ana.accounts.set_password(ben, "ben", OTHER, current="wrong password")
    with pytest.raises(Forbidden):
        await ana.accounts.set_password(ben, ANA, OTHER, current=PASSWORD)
    await ana.accounts.set_password(ben, "ben", OTHER, current=PASSWORD)
    await log_in(ana, "ben", OTHER)


async def test_no_password_and_nothing_made_of_it_is_in_the_audit(ana: Services) -> None:
    await ana.accounts.set_password(ADMIN, ANA, OTHER)
    records = await audited(ana)
    text = json.dumps([[r.subject, r.reason, dict(r.before), dict(r.after)] for r in records], ensure_ascii=False)

    assert dict(records[-1].after) == {"password": "changed"}
    async with ana.store.read() as session:
        for secret in (PASSWORD, OTHER):
            assert secret not in text and session.audit.digest(secret) not in text
    assert "argon2" not in text


# ---- logging in ------------------------------------------------------------------------------------------------------


async def test_an_unknown_a_disabled_and_a_mistyped_login_are_answered_alike(ana: Services) -> None:
    await ana.accounts.add(ADMIN, "ben", "Ben", PASSWORD)
    await ana.accounts.edit(ADMIN, "ben", enabled=False)
    said = set()
    for account, password in (
        ("nobody", PASSWORD),
        ("ben", PASSWORD),
        (ANA, "wrong"),
        ("", ""),
        ("x" * 900, "y" * 9000),
    ):
        with pytest.raises(LoginRefused) as refused:
            await ana.logins.login(account, password, "192.0.2.1")
        said.add(str(refused.value))
    assert said == {"wrong account or password"}


async def test_an_unknown_account_costs_as_much_work_as_a_known_one(
    ana: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    from ztp_server.services import passwords

    real = passwords._fits

    def counting(password: bytes, hashed: str) -> str:
        checked.append(hashed.rpartition("$")[0].rpartition("$")[0])
        return real(password, hashed)

    monkeypatch.setattr(passwords, "_fits", counting)
    for account in (ANA, "nobody"):
        with pytest.raises(LoginRefused):
            await ana.logins.login(account, "wrong", "192.0.2.1")
    assert len(checked) == 2 and checked[0] == checked[1]


async def test_a_disabled_account_is_out_at_once_and_stays_out_when_it_is_enabled_again(ana: Services) -> None:
    await ana.accounts.add(ADMIN, "ben", "Ben", PASSWORD, [RoleGrant("viewer")])
    text, _ = await ana.logins.login("ben", PASSWORD, "192.0.2.1")
    await ana.accounts.edit(ADMIN, "ben", enabled=False)
    assert await ana.tokens.authenticate(text, "192.0.2.1") is None
    await ana.accounts.edit(ADMIN, "ben", enabled=True)
    assert await ana.tokens.authenticate(text, "192.0.2.1") is None


async def test_logging_out_ends_one_session_and_no_other(ana: Services) -> None:
    first, second = [(await ana.logins.login(ANA, PASSWORD, "192.0.2.1"))[0] for _ in range(2)]
    who = await ana.tokens.authenticate(first, "192.0.2.1")
    assert who
    await ana.logins.logout(who)
    assert await ana.tokens.authenticate(first, "192.0.2.1") is None
    assert await ana.tokens.authenticate(second, "192.0.2.1")


async def test_a_session_is_over_after_eight_hours(ana: Services) -> None:
    text, token = await ana.logins.login(ANA, PASSWORD, "192.0.2.1")
    assert token.expires_at and token.expires_at - token.created_at < timedelta(hours=8, seconds=1)
    async with ana.store.database.writing() as connection:
        await connection.execute(sa.update(tokens).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert await ana.tokens.authenticate(text, "192.0.2.1") is None
    await ana.tokens.note_uses()
    async with ana.store.database.reading() as connection:
        assert (await connection.execute(sa.select(tokens.c.id))).all() == []


async def test_of_too_many_sessions_the_oldest_ends(ana: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ztp_server.services.tokens._MOST_SESSIONS", 2)
    texts = [(await ana.logins.login(ANA, PASSWORD, "192.0.2.1"))[0] for _ in range(3)]
    alive = [bool(await ana.tokens.authenticate(text, "192.0.2.1")) for text in texts]
    assert alive == [False, True, True]


async def test_whoever_fails_five_times_has_to_wait_even_with_the_right_password(ana: Services) -> None:
    for _ in range(5):
        with pytest.raises(LoginRefused):
            await ana.logins.login(ANA, "wrong", "192.0.2.1")
    with pytest.raises(TooMany) as refused:
        await ana.logins.login(ANA, PASSWORD, "192.0.2.1")
    assert 0 < refused.value.retry_after <= 2
    # Nobody can close an account for its owner.
    await ana.logins.login(ANA, PASSWORD, "198.51.100.7")


async def test_a_burst_of_failures_is_one_record_that_repeats_nothing_but_a_known_account(ana: Services) -> None:
    for account in (ANA, "my secret password, mistyped"):
        for _ in range(8):
            with pytest.raises((LoginRefused, TooMany)):
                await ana.logins.login(account, "wrong", "192.0.2.1")
    await ana.logins.note_failures()
    failed = [r for r in await audited(ana) if r.action == "login.failed"]
    assert [(r.subject, r.address, dict(r.after)) for r in failed] == [
        ("account:ana", "192.0.2.1", {"failures": 5}),
        ("account", "192.0.2.1", {"failures": 5}),
        ("account", "", {"failures": 0, "turned_away": 6}),
    ]


def test_the_wait_doubles_and_ends() -> None:
    limits, now = LoginLimits(), 1000.0
    waits = []
    for _ in range(20):
        limits.begin(ANA, "192.0.2.1", now)
        try:
            limits.begin(ANA, "192.0.2.1", now)
        except TooMany as error:
            waits.append(error.retry_after)
            now += error.retry_after
    assert waits[:4] == [2, 4, 8, 16] and max(waits) == 900
    assert not _blocked(limits, "198.51.100.7", now + 3601) and not _blocked(limits, "192.0.2.1", now + 3601)


def test_one_address_cannot_try_many_accounts_and_neighbours_in_ipv6_count_as_one() -> None:
    limits = LoginLimits()
    for n in range(50):
        limits.begin(f"account{n}", f"2001:db8:1:2::{n:x}", 1000.0)
    assert _blocked(limits, "2001:db8:1:2:ffff::1", 1000.0, "another")
    assert not _blocked(limits, "2001:db8:1:3::1", 1000.0, "another")


def test_what_is_remembered_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ztp_server.services.login_limits._MOST_KEYS", 100)
    limits = LoginLimits()
    for n in range(1000):
        limits.begin(f"account{n}", f"10.0.{n // 250}.{n % 250}", 1000.0)
    assert len(limits._bursts) <= 100


def test_a_right_password_forgets_the_failures_before() -> None:
    limits = LoginLimits()
    for _ in range(3):
        for _ in range(4):
            limits.begin(ANA, "192.0.2.1", 1000.0)
        limits.begin(ANA, "192.0.2.1", 1000.0)
        limits.succeeded(ANA, "192.0.2.1")
    assert not _blocked(limits, "192.0.2.1", 1000.0)


def _blocked(limits: LoginLimits, address: str, now: float, account: str = ANA) -> bool:
    try:
        limits.begin(account, address, now)
    except TooMany:
        return True
    return False


# ---- what an account may do ------------------------------------------------------------------------------------------


async def test_a_change_on_the_machine_counts_in_a_running_server_with_the_next_request(
    ana: Services, data: Path
) -> None:
    """Another process is another set of services over the same database."""
    beside = await open_data(data)
    try:
        await beside.accounts.add(ADMIN, "ben", "Ben", PASSWORD, [RoleGrant("viewer")])
        text, _ = await ana.logins.login("ben", PASSWORD, "192.0.2.1")
        await beside.accounts.edit(ADMIN, "ben", roles=[RoleGrant("editor", "madrid")])
        who = await ana.tokens.authenticate(text, "192.0.2.1")
        assert who and who.may("phones:edit", "madrid") and not who.may("phones:edit", "lisbon")
        await beside.accounts.remove(ADMIN, "ben")
        assert await ana.tokens.authenticate(text, "192.0.2.1") is None
    finally:
        await beside.close()


async def test_nobody_gives_away_what_they_have_not(ana: Services) -> None:
    clerk = Actor("account:clerk", (Grant(frozenset({"accounts:view", "accounts:edit", "phones:view"})),))
    with pytest.raises(Forbidden):
        await ana.accounts.add(clerk, "eve", "", PASSWORD, [EVERYTHING])
    with pytest.raises(Forbidden):
        await ana.tokens.create(clerk, "eve", [RoleGrant("viewer")])
    with pytest.raises(Forbidden):
        await ana.roles.add(clerk, "mine", "", ["phones:*"])
    await ana.roles.add(ADMIN, "looker", "", ["phones:view"])
    await ana.accounts.add(clerk, "eve", "", PASSWORD, [RoleGrant("looker")])
    await ana.accounts.add(clerk, "joe", "", PASSWORD, [RoleGrant("looker", "madrid")])


async def test_nobody_touches_an_account_or_role_above_them(ana: Services) -> None:
    clerk = Actor("account:clerk", (Grant(frozenset({"accounts:view", "accounts:edit"})),))
    await ana.roles.add(ADMIN, "looker", "", ["phones:view"])
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: ana.accounts.set_password(clerk, ANA, OTHER),
        lambda: ana.accounts.edit(clerk, ANA, name="Eve"),
        lambda: ana.accounts.remove(clerk, ANA),
        lambda: ana.roles.edit(clerk, "looker", permissions=["accounts:view"]),
        lambda: ana.roles.remove(clerk, "looker"),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            await call()


async def test_the_last_who_may_do_everything_cannot_be_taken_away(ana: Services) -> None:
    await ana.accounts.add(ADMIN, "ben", "Ben", PASSWORD, [RoleGrant("admin", "madrid")])
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: ana.accounts.remove(ADMIN, ANA),
        lambda: ana.accounts.edit(ADMIN, ANA, enabled=False),
        lambda: ana.accounts.edit(ADMIN, ANA, roles=[RoleGrant("admin", "madrid")]),
    ]
    for call in calls:
        with pytest.raises(Conflict, match="last"):
            await call()
    await ana.accounts.edit(ADMIN, "ben", roles=[EVERYTHING])
    await ana.accounts.edit(ADMIN, ANA, enabled=False)
    with pytest.raises(Conflict, match="last"):
        await ana.accounts.remove(ADMIN, "ben")


@pytest.mark.parametrize(
    "name", ["", "Ana", "a b", "a/b", "../x", "é", "x" * 65, "a@b", "-a", "a\n", "'; DROP TABLE accounts;--"]
)
async def test_an_account_has_an_id_that_needs_no_quotes(services: Services, name: str) -> None:
    with pytest.raises(BadValue, match=r"^id: "):
        await services.accounts.add(ADMIN, name, "Name", PASSWORD)
    assert not (await services.accounts.page(ADMIN))[0]


async def test_an_account_is_taken_once_and_a_stale_change_is_refused(ana: Services) -> None:
    with pytest.raises(Conflict):
        await ana.accounts.add(ADMIN, ANA, "", PASSWORD)
    await ana.accounts.edit(ADMIN, ANA, name="Ana", revision=1)
    for call in (ana.accounts.edit(ADMIN, ANA, name="Anna", revision=1), ana.accounts.remove(ADMIN, ANA, revision=1)):
        with pytest.raises(Stale):
            await call


async def test_a_role_or_site_that_is_not_there_is_named(ana: Services) -> None:
    for role, field in ((RoleGrant("boss"), "roles.2.role"), (RoleGrant("viewer", "atlantis"), "roles.2.site")):
        with pytest.raises(BadValue) as refused:
            await ana.accounts.edit(ADMIN, ANA, roles=[EVERYTHING, role])
        assert refused.value.field == field


async def test_accounts_come_in_parts_without_a_gap(services: Services) -> None:
    async with services.store.database.writing() as connection:
        row = {"name": "N", "password": "", "enabled": True, "created_at": datetime.now(UTC), "revision": 1}
        await connection.execute(sa.insert(accounts), [row | {"id": f"a{n}"} for n in range(7)])
    found: list[str] = []
    more = True
    while more:
        part, more = await services.accounts.page(ADMIN, found[-1] if found else "", 3)
        found += [account.id for account in part]
    assert found == [f"a{n}" for n in range(7)]


# ---- roles -----------------------------------------------------------------------------------------------------------


def test_a_role_is_written_with_or_without_a_site() -> None:
    assert parse_roles(["editor@madrid", "viewer"], ["lisbon"]) == (
        RoleGrant("editor", "madrid"),
        RoleGrant("viewer", "lisbon"),
    )
    with pytest.raises(BadValue):
        parse_roles(["editor@"])


async def test_a_wildcard_stands_for_permissions_of_later_versions_too(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await services.roles.add(ADMIN, "phones", HOSTILE_NAME, ["phones:*", "phones:view"])
    await services.roles.add(ADMIN, "named", "", ["phones:view", "phones:edit"])
    monkeypatch.setattr("ztp_server.domain.access.PERMISSIONS", {**PERMISSIONS, "phones:polish": "new"})
    wild, named = await services.roles.get(ADMIN, "phones"), await services.roles.get(ADMIN, "named")
    assert "phones:polish" in wild.allowed and "phones:polish" not in named.allowed
    assert wild.name == HOSTILE_NAME and wild.permissions == ("phones:*", "phones:view")


@pytest.mark.parametrize(
    "text", ["", "phones", "phones:", "ph*", "phones:*:x", "**", "*:view", "phones:fly", "😀", "accounts:edit "]
)
async def test_what_is_no_permission_is_refused_by_name(services: Services, text: str) -> None:
    with pytest.raises(BadValue, match=r"^permissions: "):
        await services.roles.add(ADMIN, "r", "", ["phones:view", text])
    with pytest.raises(NotFound):
        await services.roles.get(ADMIN, "r")


async def test_a_built_in_role_stays_as_it_is(services: Services) -> None:
    calls: list[Awaitable[Any]] = [
        services.roles.add(ADMIN, "viewer", "", ["*"]),
        services.roles.edit(ADMIN, "viewer", permissions=["*"]),
        services.roles.remove(ADMIN, "viewer"),
    ]
    for call in calls:
        with pytest.raises(Conflict):
            await call


async def test_a_role_in_use_stays_and_says_who_has_it(ana: Services) -> None:
    await ana.roles.add(ADMIN, "looker", "", ["phones:view"])
    await ana.accounts.add(ADMIN, "ben", "", PASSWORD, [RoleGrant("looker", "madrid")])
    await ana.tokens.create(ADMIN, "ci", [RoleGrant("looker")])
    with pytest.raises(Conflict, match="account ben, token ci"):
        await ana.roles.remove(ADMIN, "looker")
    await ana.accounts.remove(ADMIN, "ben")
    await ana.tokens.revoke(ADMIN, "ci")
    await ana.roles.remove(ADMIN, "looker")


async def test_a_site_where_somebody_has_a_role_stays(ana: Services) -> None:
    await ana.sites.add(ADMIN, "lisbon", "Lisbon", {})
    await ana.accounts.add(ADMIN, "ben", "", PASSWORD, [RoleGrant("viewer", "lisbon")])
    with pytest.raises(Conflict, match="account ben"):
        await ana.sites.remove(ADMIN, "lisbon")
    editor = Actor("x", (Grant(frozenset({"sites:view", "sites:delete"}), "lisbon"),))
    with pytest.raises(Conflict, match="accounts or tokens"):
        await ana.sites.remove(editor, "lisbon")
    await ana.accounts.edit(ADMIN, "ben", roles=[])
    await ana.sites.remove(ADMIN, "lisbon")


async def test_a_change_of_a_role_counts_for_everybody_who_has_it(ana: Services) -> None:
    await ana.roles.add(ADMIN, "looker", "", ["phones:view"])
    text, _ = await ana.tokens.create(ADMIN, "ci", [RoleGrant("looker")])
    await ana.roles.edit(ADMIN, "looker", permissions=["sites:view"])
    who = await ana.tokens.authenticate(text, "192.0.2.1")
    assert who and who.may("sites:view") and not who.may("phones:view")
    with pytest.raises(Stale):
        await ana.roles.edit(ADMIN, "looker", name="x", revision=1)


async def test_every_change_of_access_is_written_down(ana: Services) -> None:
    await ana.roles.add(ADMIN, "looker", "", ["phones:view"])
    await ana.accounts.edit(ADMIN, ANA, roles=[EVERYTHING, RoleGrant("looker", "madrid")])
    await ana.roles.edit(ADMIN, "looker", permissions=["sites:view"])
    await ana.accounts.edit(ADMIN, ANA, roles=[EVERYTHING])
    await ana.roles.remove(ADMIN, "looker")
    records = [(r.action, dict(r.before), dict(r.after)) for r in (await audited(ana))[-5:]]
    assert records[1] == ("account.changed", {"roles": ["admin"]}, {"roles": ["admin", "looker@madrid"]})
    assert records[2] == ("role.changed", {"permissions": ["phones:view"]}, {"permissions": ["sites:view"]})
    assert [r[0] for r in records] == [
        "role.added",
        "account.changed",
        "role.changed",
        "account.changed",
        "role.removed",
    ]


async def test_a_refused_change_leaves_nothing_behind(ana: Services) -> None:
    before = len(await audited(ana))
    with pytest.raises(Refused):
        await ana.accounts.edit(ADMIN, ANA, name="Anna", roles=[RoleGrant("boss")])
    assert (await ana.accounts.get(ADMIN, ANA)).name == HOSTILE_NAME and len(await audited(ana)) == before
