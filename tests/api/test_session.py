"""People who log in with a browser: the cookie, what it opens, and who else could make a browser send it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.conftest import Answered, Rest
from tests.conftest import ADMIN
from tests.services.opened import open_data
from ztp_server.domain.access import Actor
from ztp_server.domain.account import EVERYTHING, RoleGrant
from ztp_server.store.schema_access import tokens

PASSWORD = "correct horse <battery> & 'staple' é😀"


class Browser:
    """Speaks to the server as a page of its own would."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.cookie = ""
        self.csrf = ""

    @property
    def origin(self) -> str:
        return self.rest.url

    async def log_in(self, password: str = PASSWORD, account: str = "ana", **headers: str) -> Answered:
        body = {"account": account, "password": password}
        answer = await self.rest.post("/session", body, token=None, headers={"Origin": self.origin, **headers})
        if answer.status == 201:
            self.cookie = SimpleCookie(answer.headers["Set-Cookie"])["__Host-ztp"].value
            self.csrf = answer.json["csrf_token"]
        return answer

    @property
    def own(self) -> dict[str, str]:
        """What a page of ours adds to a request."""
        return {"Origin": self.origin, "X-CSRF-Token": self.csrf}

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answered:
        sent = {"Cookie": f"__Host-ztp={self.cookie}", **(self.own if headers is None else headers)}
        return await self.rest.ask(method, path, body, headers=sent, **{"token": None, **more})


@pytest.fixture
async def browser(rest: Rest) -> AsyncIterator[Browser]:
    """A browser, and an account `ana` that may do everything."""
    known, real = rest.tokens.actors, rest.services.tokens

    async def authenticate(token: str, address: str) -> Actor | None:
        return known.get(token) or await real.authenticate(token, address)

    rest.tokens.authenticate = authenticate  # type: ignore[method-assign]
    await rest.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    yield Browser(rest)


async def test_who_logs_in_gets_a_cookie_that_no_script_and_no_other_site_has(browser: Browser) -> None:
    answer = await browser.log_in()
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert cookie.startswith("__Host-ztp=ztp_") and sorted(attributes) == [
        *("HttpOnly", "Path=/", "SameSite=Strict", "Secure")
    ]
    assert browser.cookie not in answer.body.decode()

    shown = (await browser.ask("GET", "/session", headers={})).json
    assert (shown["name"], shown["account"], shown["csrf_token"]) == ("account:ana", "ana", browser.csrf)
    assert "accounts:edit" in shown["grants"][0]["permissions"] and shown["grants"][0]["site"] is None
    assert (await browser.ask("GET", "/me", headers={})).json["name"] == "account:ana"


async def test_what_is_stored_of_a_session_is_a_hash(browser: Browser) -> None:
    await browser.log_in()
    secret = browser.cookie.rpartition("_")[2]
    assert [p.name for p in browser.rest.data.glob("ztp.db*") if secret.encode() in p.read_bytes()] == []


async def test_a_page_of_ours_changes_things_and_no_other_page_does(browser: Browser) -> None:
    await browser.log_in()
    other = Browser(browser.rest)
    await other.log_in()
    body = {"id": "lisbon", "name": "Lisbon"}
    origin, proof = {"Origin": browser.origin}, {"X-CSRF-Token": browser.csrf}
    refused: list[dict[str, str]] = [
        {},
        origin,
        proof,
        {**origin, "X-CSRF-Token": ""},
        {**origin, "X-CSRF-Token": "é😀".encode().decode("latin-1")},
        {**origin, "X-CSRF-Token": other.csrf},
        {**origin, "X-CSRF-Token": browser.cookie},
        {**proof, "Origin": "https://evil.example"},
        {**proof, "Origin": "null"},
        {**proof, "Origin": browser.origin + ".evil.example"},
        {**proof, "Origin": browser.origin.replace("http:", "https:")},
        {**proof, "Origin": browser.origin.rpartition(":")[0]},
        {**proof, **origin, "Sec-Fetch-Site": "same-site"},
        {**proof, **origin, "Sec-Fetch-Site": "cross-site"},
        {**proof, "Sec-Fetch-Site": "none"},
    ]
    for headers in refused:
        answer = await browser.ask("POST", "/sites", body, headers=headers)
        assert answer.status == 403, headers
    assert (await browser.ask("GET", "/sites/lisbon", headers={})).status == 404

    assert (await browser.ask("POST", "/sites", body, headers={**origin, **proof})).status == 201
    same = {**proof, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.ask("PATCH", "/sites/lisbon", {"name": "Porto"}, headers=same)).status == 200
    assert (await browser.ask("DELETE", "/sites/lisbon", headers={**origin, **same})).status == 204


async def test_a_program_with_a_token_needs_nothing_of_a_browser(browser: Browser) -> None:
    made = await browser.rest.post("/sites", {"id": "lisbon", "name": "Lisbon"}, headers={"Origin": "https://evil"})
    assert made.status == 201


async def test_beside_a_token_the_cookie_does_not_count(browser: Browser) -> None:
    await browser.log_in()
    shown = await browser.ask("GET", "/session", headers={}, token="viewer-token")
    assert (shown.json["name"], shown.json["csrf_token"], shown.json["account"]) == ("token:viewer", None, None)
    assert (await browser.ask("GET", "/me", headers={}, token="wrong")).status == 401
    assert (await browser.ask("GET", "/me", headers={"Authorization": "Basic YTpi"})).status == 401
    # As a program it may do what its token may, without a page.
    assert (await browser.ask("POST", "/sites", {"id": "a", "name": "A"}, {}, token="admin-token")).status == 201


@pytest.mark.parametrize("cookie", ["", "__Host-ztp=", "__Host-ztp=x", "ztp={0}", "__Host-ztp={0}; __Host-ztp={0}"])
async def test_a_cookie_that_is_not_quite_ours_is_nobody(browser: Browser, cookie: str) -> None:
    await browser.log_in()
    answer = await browser.ask("GET", "/me", headers={"Cookie": cookie.format(browser.cookie)})
    assert answer.status == 401


async def test_logging_out_ends_the_session_in_every_process_at_once(browser: Browser) -> None:
    await browser.log_in()
    answer = await browser.ask("DELETE", "/session")
    assert answer.status == 204 and answer.headers["Set-Cookie"].startswith("__Host-ztp=; ")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await browser.ask("GET", "/session", headers={})).status == 401
    other = Browser(browser.rest)
    await other.log_in()
    assert "Max-Age=0" in (await other.ask("POST", "/logout")).headers["Set-Cookie"]
    beside = await open_data(browser.rest.data)
    try:
        assert await beside.tokens.authenticate(browser.cookie, "") is None
    finally:
        await beside.close()


async def test_another_password_or_a_disabled_account_ends_it_as_well(browser: Browser) -> None:
    await browser.rest.services.accounts.add(ADMIN, "ben", "Ben", PASSWORD, [RoleGrant("viewer")])
    beside = await open_data(browser.rest.data)
    try:
        await browser.log_in()
        await beside.accounts.set_password(ADMIN, "ana", "a wholly different sentence")
        assert (await browser.ask("GET", "/me", headers={})).status == 401
        await browser.log_in(account="ben")
        assert (await browser.ask("GET", "/me", headers={})).status == 200
        await beside.accounts.edit(ADMIN, "ben", enabled=False)
        assert (await browser.ask("GET", "/me", headers={})).status == 401
    finally:
        await beside.close()


async def test_a_session_ends_after_an_hour_without_use_and_use_prolongs_it(browser: Browser) -> None:
    async def unused_for(minutes: int) -> None:
        before = datetime.now(UTC) - timedelta(minutes=minutes)
        async with browser.rest.services.store.database.writing() as connection:
            old = {"created_at": before - timedelta(hours=5), "last_used_at": before}
            await connection.execute(sa.update(tokens).values(old))

    await browser.log_in()
    await unused_for(59)
    assert (await browser.ask("GET", "/me", headers={})).status == 200
    await unused_for(61)
    # This process knows that it was used a moment ago, though that is not written down yet.
    assert (await browser.ask("GET", "/me", headers={})).status == 200
    await browser.rest.services.tokens.note_uses()
    assert (await browser.ask("GET", "/me", headers={})).status == 200
    await browser.rest.services.tokens.note_uses()
    await unused_for(61)
    assert (await browser.ask("GET", "/me", headers={})).status == 401


async def test_no_other_page_logs_a_browser_in(browser: Browser) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await browser.log_in(**headers)
        assert answer.status == 403 and "Set-Cookie" not in answer.headers
    assert (await browser.rest.post("/session", {"account": "ana", "password": "wrong"}, token=None)).status == 401
