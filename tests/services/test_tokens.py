"""Tokens of programs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN
from ztp_server.domain.access import ROLES, SHARED_VIEWS, Actor
from ztp_server.domain.account import EVERYTHING, RoleGrant
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound, StoreUnavailable
from ztp_server.services.opening import Services
from ztp_server.services.tokens import parse_expiry
from ztp_server.store.schema_access import role_grants, tokens

VIEWER = [RoleGrant("viewer")]


async def test_a_token_may_what_its_roles_allow_where_they_do(office: Services) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", [RoleGrant("viewer"), RoleGrant("editor", "madrid")])
    who = await office.tokens.authenticate(text, "2001:db8::1")
    assert who and (who.name, who.address) == ("token:ci", "2001:db8::1")
    assert who.may("phones:view") and who.may("phones:edit", "madrid")
    assert not who.may("phones:edit") and not who.may("phones:edit", "lisbon") and not who.may("base_settings:edit")


async def test_at_a_site_a_role_sees_what_all_sites_share_and_changes_nothing_of_it(office: Services) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", [RoleGrant("admin", "madrid")])
    who = await office.tokens.authenticate(text, "")
    assert who
    everywhere = {name for name in ROLES["admin"] if who.may(name)}
    assert everywhere == SHARED_VIEWS
    assert {name for name in ROLES["admin"] if who.may(name, "madrid")} >= {"phones:add", "phones:reveal", "sites:edit"}
    assert not who.may("accounts:edit", "madrid") and not who.may("sites:add", "madrid")
    with pytest.raises(Forbidden):
        await office.tokens.create(who, "more", VIEWER)


def _files_with(data: Path, secret: str) -> list[str]:
    return [path.name for path in data.glob("ztp.db*") if secret.encode() in path.read_bytes()]


async def test_what_is_stored_of_a_token_is_its_hash(office: Services, data: Path) -> None:
    text, token = await office.tokens.create(ADMIN, "ci", VIEWER)
    secret = text.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) * 8 >= 192 and text.startswith(f"ztp_{token.id}_")
    async with office.store.database.reading() as connection:
        stored = (await connection.execute(sa.select(tokens.c.hash))).scalar()
    assert stored == hashlib.sha256(text.encode()).hexdigest()
    assert not _files_with(data, secret)
    assert secret not in repr(token) + repr(await office.tokens.page(ADMIN))


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda t: t[:-1],
        lambda t: t + "0",
        lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"),
        lambda t: " " + t,
        lambda t: "ztp_" + "0" * 16 + t[20:],
        lambda t: "",
        lambda t: "😀" * 100,
        lambda t: t + "\n",
    ],
)
async def test_a_text_that_is_not_quite_the_token_is_nobody(office: Services, change: object) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", VIEWER)
    assert await office.tokens.authenticate(text, "")
    assert await office.tokens.authenticate(change(text), "") is None  # type: ignore[operator]


async def test_a_revoked_token_is_refused_at_once_and_its_roles_go_with_it(office: Services) -> None:
    text, token = await office.tokens.create(ADMIN, "ci", VIEWER)
    await office.tokens.revoke(ADMIN, "ci")
    assert await office.tokens.authenticate(text, "") is None
    with pytest.raises(NotFound):
        await office.tokens.revoke(ADMIN, token.id)
    async with office.store.database.reading() as connection:
        assert (await connection.execute(sa.select(role_grants))).all() == []


async def test_an_expired_token_is_refused_stays_in_the_list_and_makes_room_for_its_name(office: Services) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", VIEWER, timedelta(hours=1))
    async with office.store.database.writing() as connection:
        await connection.execute(sa.update(tokens).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert await office.tokens.authenticate(text, "") is None
    await office.tokens.note_uses()
    assert [token.name for token in (await office.tokens.page(ADMIN))[0]] == ["ci"]
    again, _ = await office.tokens.create(ADMIN, "ci", VIEWER, None)
    assert await office.tokens.authenticate(again, "") and len((await office.tokens.page(ADMIN))[0]) == 1


async def test_a_name_is_taken_once(office: Services) -> None:
    await office.tokens.create(ADMIN, "ci", VIEWER)
    with pytest.raises(Conflict):
        await office.tokens.create(ADMIN, "ci", VIEWER)


async def test_use_is_noted_later_and_not_by_the_request(office: Services) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", VIEWER)
    before = datetime.now(UTC)
    await office.tokens.authenticate(text, "")
    assert (await office.tokens.get(ADMIN, "ci")).last_used_at is None
    await office.tokens.note_uses()
    noted = (await office.tokens.get(ADMIN, "ci")).last_used_at
    assert noted and before <= noted <= datetime.now(UTC)
    await office.tokens.note_uses()
    assert (await office.tokens.get(ADMIN, "ci")).last_used_at == noted


async def test_a_use_that_cannot_be_noted_is_noted_the_next_time(
    office: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = await office.tokens.create(ADMIN, "ci", VIEWER)
    await office.tokens.authenticate(text, "")

    def broken() -> None:
        raise StoreUnavailable("no database")

    with monkeypatch.context() as patched:
        patched.setattr(office.store, "write", broken)
        await office.tokens.note_uses()
    await office.tokens.note_uses()
    assert (await office.tokens.get(ADMIN, "ci")).last_used_at


async def test_the_audit_says_who_made_a_token_with_what_and_not_the_token(office: Services) -> None:
    text, token = await office.tokens.create(ADMIN, "ci", [RoleGrant("editor", "madrid")], None)
    await office.tokens.revoke(ADMIN, "ci")
    async with office.store.read() as session:
        revoked, made = (await session.audit.page(below=None, limit=2))[:2]
    assert (made.actor, made.action, made.subject) == ("test", "token.added", "token:ci")
    assert made.after["roles"] == ["editor@madrid"] and made.after["expires_at"] == "never"
    assert revoked.action == "token.revoked" and made.after == revoked.before
    assert text.rpartition("_")[2] not in str([dict(made.after), dict(revoked.before)]) and token.id == made.after["id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("12H", timedelta(hours=12)),
        ("6w", timedelta(weeks=6)),
        (" 1y ", timedelta(days=365)),
        ("never", None),
    ],
)
def test_how_long_a_token_is_good_is_written_short(text: str, expected: timedelta | None) -> None:
    assert parse_expiry(text) == expected


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5d", "999999d", "forever", "1d2h", "٣d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"^expires: "):
        parse_expiry(text)


async def test_a_token_that_ends_before_it_begins_or_does_nothing_is_refused(office: Services) -> None:
    for roles, expires, field in (
        (VIEWER, timedelta(0), "expires"),
        ((), timedelta(1), "roles"),
        (VIEWER, timedelta(days=99999 * 365), "expires"),
    ):
        with pytest.raises(BadValue) as refused:
            await office.tokens.create(ADMIN, "ci", roles, expires)
        assert refused.value.field == field


async def test_an_account_shows_the_tokens_it_made_which_stay_when_it_goes(office: Services) -> None:
    ana = Actor("account:ana", ADMIN.grants)
    await office.accounts.add(ADMIN, "ana", "Ana", "a long enough password", [EVERYTHING])
    await office.accounts.add(ADMIN, "ben", "Ben", "a long enough password", [EVERYTHING])
    text, _ = await office.tokens.create(ana, "ci", VIEWER)
    assert await office.accounts.tokens_made(ADMIN, "ana") == ["ci"]
    await office.accounts.remove(ADMIN, "ana")
    assert await office.tokens.authenticate(text, "")
