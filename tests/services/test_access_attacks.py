"""What somebody with a login might try to get more than is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ADMIN, VVX
from ztp_server.domain.access import ROLES, Actor, Grant, granted
from ztp_server.domain.account import EVERYTHING, RoleGrant
from ztp_server.errors import BadValue, Forbidden, LoginRefused
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import parse_selection

PASSWORD, OTHER = "correct horse battery staple", "a wholly different sentence"
MADRID = Actor("account:eve", granted(ROLES["editor"], "madrid"))


async def test_a_password_that_was_changed_while_it_was_checked_opens_nothing(
    office: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.accounts.add(ADMIN, "ana", "", PASSWORD, [EVERYTHING])
    checked = office.logins.check

    async def changed_meanwhile(account: str, password: str, address: str) -> object:
        found = await checked(account, password, address)
        await office.accounts.set_password(ADMIN, "ana", OTHER)
        return found

    monkeypatch.setattr(office.logins, "check", changed_meanwhile)
    with pytest.raises(LoginRefused):
        await office.logins.login("ana", PASSWORD, "192.0.2.1")
    monkeypatch.undo()
    text, _ = await office.logins.login("ana", OTHER, "192.0.2.1")
    assert await office.tokens.authenticate(text, "192.0.2.1")


async def test_nobody_revokes_a_token_that_may_do_more_than_they(office: Services) -> None:
    clerk = Actor("account:clerk", (Grant(frozenset({"accounts:view", "accounts:edit", "phones:view"})),))
    await office.roles.add(ADMIN, "looker", "", ["phones:view"])
    await office.tokens.create(ADMIN, "ci", [EVERYTHING])
    await office.tokens.create(ADMIN, "wallboard", [RoleGrant("looker")])
    with pytest.raises(Forbidden):
        await office.tokens.revoke(clerk, "ci")
    await office.tokens.revoke(clerk, "wallboard")
    assert [token.name for token in (await office.tokens.page(ADMIN))[0]] == ["ci"]


@pytest.mark.parametrize("kind", ["token", "account"])
async def test_whoever_takes_a_name_over_is_not_given_the_answers_of_the_one_before(
    office: Services, kind: str
) -> None:
    async def take_the_name() -> None:
        if kind == "token":
            await office.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])
        else:
            await office.accounts.add(ADMIN, "ci", "", PASSWORD, [RoleGrant("viewer")])

    await take_the_name()
    who = Actor(f"{kind}:ci")
    assert await office.idempotency.begin(who, "1", "request") is None
    await office.idempotency.finish(who, "1", "an answer with a secret")
    assert await office.idempotency.begin(who, "1", "request") == "an answer with a secret"
    await (office.tokens.revoke(ADMIN, "ci") if kind == "token" else office.accounts.remove(ADMIN, "ci"))
    await take_the_name()
    assert await office.idempotency.begin(who, "1", "request") is None


async def test_no_one_is_told_which_sites_there_are_elsewhere(office: Services, tmp_path: Path) -> None:
    await office.sites.add(ADMIN, "lisbon", "Lisbon", {})
    said = []
    for site in ("lisbon", "nowhere"):
        with pytest.raises(Forbidden) as refused:
            await office.phone_bulk.edit(MADRID, parse_selection([VVX], None), {"site": site})
        said.append(str(refused.value).replace(site, "?"))
        header = b"hardware_id,name,model,site,base_settings\n"
        row = f"0004f2000001,x,vvx-411,{site},vvx-standard\n".encode()
        report = await office.phone_import.run(MADRID, [header, row], "create", dry_run=True, partial=True)
        said.append(report.problems[0].replace(site, "?"))
    assert said[:2] == said[2:]
    with pytest.raises(BadValue, match="nowhere"):
        await office.phone_bulk.edit(ADMIN, parse_selection([VVX], None), {"site": "nowhere"})
