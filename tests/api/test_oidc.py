"""Logging in at a provider of OpenID Connect, and everything that could be wrong with its answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import pytest
from joserfc.jwk import RSAKey

from tests.api.oidc_provider import CLIENT, SECRET, Provider, provider
from tests.conftest import ADMIN, World
from ztp_server.api import limits
from ztp_server.config import AdminOptions, OidcOptions
from ztp_server.domain.account import EVERYTHING, RoleGrant
from ztp_server.errors import BadValue, Conflict, LoginRefused, Misconfigured
from ztp_server.services.oidc import Begun
from ztp_server.services.oidc_begun import BegunLogins

PASSWORD = "correct horse battery staple"


@dataclass
class Visitor:
    """A browser that keeps cookies and follows nothing by itself."""

    world: World
    idp: Provider
    session: aiohttp.ClientSession
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **cookies: str) -> tuple[int, Any, str]:
        kept = "; ".join(f"{name}={value}" for name, value in {**self.cookies, **cookies}.items())
        url = self.world.app.admin_url + path
        async with self.session.get(url, headers={"Cookie": kept}, allow_redirects=False) as answer:
            for line in answer.headers.getall("Set-Cookie", []):
                name, morsel = next(iter(SimpleCookie(line).items()))
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
            return answer.status, answer.headers, await answer.text()

    async def log_in(self) -> int:
        status, headers, _ = await self.get("/oidc/start")
        assert status == 302
        status, _, _ = await self.get("/oidc/callback" + self.idp.log_in(headers["Location"]))
        return status

    async def name(self) -> str | None:
        """Who the server takes it for."""
        status, _, text = await self.get("/api/v1/session")
        return text.split('"name":"')[1].split('"')[0] if status == 200 else None


Start = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def visit(start: Callable[..., Awaitable[World]]) -> AsyncIterator[Start]:
    """Starts a server that knows a provider, and a browser."""
    async with provider() as idp, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def begin(**more: Any) -> Visitor:
            oidc = OidcOptions(idp.issuer, CLIENT, SECRET, **{"allow_private": True, **more})
            world = await start(admin_door=AdminOptions(oidc=oidc))
            await world.services.accounts.add(ADMIN, "root", "Root", PASSWORD, [EVERYTHING])
            return Visitor(world, idp, session)

        yield begin


async def linked(visitor: Visitor, subject: str = "4711") -> None:
    external_id = f"{visitor.idp.issuer}#{subject}"
    await visitor.world.services.accounts.add(ADMIN, "ana", "Ana", "", [RoleGrant("viewer")], external_id=external_id)


async def test_who_was_linked_logs_in_and_is_who_the_administrator_said(visit: Start) -> None:
    visitor = await visit()
    await linked(visitor)
    status, headers, _ = await visitor.get("/oidc/start")
    cookie = headers["Set-Cookie"]
    assert status == 302 and cookie.startswith("__Host-ztp-oidc=")
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=600"))
    back = visitor.idp.log_in(headers["Location"])
    status, headers, page = await visitor.get("/oidc/callback" + back)
    assert status == 200 and 'url=/api/"' in page and "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert any("__Host-ztp=ztp_" in line and "SameSite=Strict" in line for line in headers.getall("Set-Cookie"))
    assert list(visitor.cookies) == ["__Host-ztp"] and await visitor.name() == "account:ana"

    records, _ = await visitor.world.services.audit.page(ADMIN, action="account.logged_in")
    assert [(r.subject, r.reason, r.address) for r in records] == [("account:ana", "OpenID Connect", "127.0.0.1")]
    # There is no password by which the account could be opened besides.
    for password in ("", PASSWORD):
        with pytest.raises(LoginRefused):
            await visitor.world.services.logins.login("ana", password, "192.0.2.1")
    # Without the link nobody is in any more.
    await visitor.world.services.accounts.edit(ADMIN, "ana", external_id="")
    assert await visitor.name() is None and await visitor.log_in() == 401


async def test_an_answer_in_which_anything_is_wrong_lets_nobody_in(
    visit: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILURE_BURST", 1000)
    visitor = await visit(auto_role="viewer")
    await linked(visitor)
    now = int(time.time())
    lies: list[dict[str, Any]] = [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [visitor.idp.issuer]},
        {"exp": now - 3600},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": now + 3600},
        {"iat": None},
        {"nbf": now + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": 4711},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
    ]
    for lie in lies:
        visitor.idp.claims = lie
        assert await visitor.log_in() == 401, lie
    visitor.idp.claims = {}
    for sign in ("none", "HS256", "other key"):
        visitor.idp.sign = sign
        assert await visitor.log_in() == 401, sign
    assert await visitor.name() is None and list(visitor.cookies) == []
    accounts, _ = await visitor.world.services.accounts.page(ADMIN)
    assert [account.id for account in accounts] == ["ana", "root"]

    visitor.idp.sign = "RS256"
    visitor.idp.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert await visitor.log_in() == 200 and await visitor.name() == "account:ana"


async def test_an_answer_counts_once_in_the_browser_that_asked_for_it(visit: Start) -> None:
    visitor = await visit()
    await linked(visitor)
    _, headers, _ = await visitor.get("/oidc/start")
    kept, back = visitor.cookies["__Host-ztp-oidc"], visitor.idp.log_in(headers["Location"])
    asked = len(visitor.idp.asked)

    # Another browser, no cookie, another state, a cookie that was changed, and what is no answer.
    del visitor.cookies["__Host-ztp-oidc"]
    state = back.partition("&")[0]
    for query, cookie, status in (
        (back, "", 401),
        (back, kept[:-1] + ("0" if kept[-1] != "0" else "1"), 401),
        (back, "x" + kept, 401),
        (back.replace(state, "?state=another"), kept, 401),
        (back.replace(state, "?state=é"), kept, 401),
        ("", kept, 400),
        ("?code=x", kept, 400),
        (back + "&state=x", kept, 400),
        (back + "&code=x", kept, 400),
    ):
        assert (await visitor.get("/oidc/callback" + query, **{"__Host-ztp-oidc": cookie}))[0] == status, query
    assert len(visitor.idp.asked) == asked

    assert (await visitor.get("/oidc/callback" + back, **{"__Host-ztp-oidc": kept}))[0] == 200
    visitor.cookies.clear()
    # Whoever kept the cookie and the address, and has another code.
    again = visitor.idp.log_in(headers["Location"])
    assert (await visitor.get("/oidc/callback" + again, **{"__Host-ztp-oidc": kept}))[0] == 401
    assert await visitor.name() is None


async def test_who_says_no_at_the_provider_is_not_let_in(visit: Start) -> None:
    visitor = await visit()
    await linked(visitor)
    _, headers, _ = await visitor.get("/oidc/start")
    state = visitor.idp.log_in(headers["Location"]).partition("&")[0]
    status, _, text = await visitor.get(f"/oidc/callback{state}&error=access_denied&error_description=<script>")
    assert status == 401 and "script" not in text and visitor.cookies == {}


async def test_an_unknown_or_disabled_account_is_refused_and_counted(visit: Start) -> None:
    visitor = await visit()
    services = visitor.world.services
    assert await visitor.log_in() == 401
    await linked(visitor)
    await services.accounts.edit(ADMIN, "ana", enabled=False)
    assert await visitor.log_in() == 401
    await services.logins.note_failures()
    failed, _ = await services.audit.page(ADMIN, action="login.failed")
    assert [record.subject for record in reversed(failed)] == ["account", "account:ana"]


async def test_whom_the_provider_knows_is_given_the_role_that_was_said(visit: Start) -> None:
    visitor = await visit(auto_role="viewer")
    assert await visitor.log_in() == 200
    name = await visitor.name()
    assert name and name.startswith("account:oidc-")
    assert await visitor.log_in() == 200 and await visitor.name() == name
    services = visitor.world.services
    account = await services.accounts.get(ADMIN, name.removeprefix("account:"))
    assert account.name == "Ana <b>é😀" and account.roles == (RoleGrant("viewer"),)
    # Whoever calls themselves like somebody here is not they.
    visitor.idp.claims = {"sub": "other", "name": "root", "preferred_username": "root"}
    assert await visitor.log_in() == 200 and await visitor.name() not in (name, "account:root")


async def test_a_role_that_could_give_itself_more_is_refused_at_the_start(visit: Start) -> None:
    for role in ("admin", "nobody"):
        with pytest.raises(Misconfigured, match="--oidc-auto-role"):
            await visit(auto_role=role)


async def test_a_role_that_grew_since_the_start_is_not_given(
    visit: Start, start: Callable[..., Awaitable[World]]
) -> None:
    world = await start()
    await world.services.roles.add(ADMIN, "looker", "", ["phones:view"])
    await world.app.stop()
    visitor = await visit(auto_role="looker")
    await visitor.world.services.roles.edit(ADMIN, "looker", permissions=["*"])
    assert await visitor.log_in() == 502
    assert len((await visitor.world.services.accounts.page(ADMIN))[0]) == 1


async def test_a_new_key_of_the_provider_is_fetched_and_asked_for_no_oftener_than_once_a_minute(
    visit: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await visit()
    await linked(visitor)
    assert await visitor.log_in() == 200 and await visitor.log_in() == 200
    assert visitor.idp.asked.count("/keys") == 1
    visitor.idp.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    assert await visitor.log_in() == 401 and visitor.idp.asked.count("/keys") == 1
    monkeypatch.setattr("ztp_server.services.oidc._KEYS_AGAIN_SECONDS", 0.0)
    assert await visitor.log_in() == 200 and visitor.idp.asked.count("/keys") == 2


async def test_a_provider_that_is_not_what_it_says_is_not_asked_for_anything(visit: Start) -> None:
    visitor = await visit()
    for lie in (
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"token_endpoint": "ftp://evil.example/"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ):
        visitor.idp.discovery = lie
        status, headers, text = await visitor.get("/oidc/start")
        assert status == 502 and "Location" not in headers and "evil" not in text, lie
    assert set(visitor.idp.asked) == {"/.well-known/openid-configuration"}
    visitor.idp.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    await linked(visitor)
    assert await visitor.log_in() == 200


async def test_a_private_address_is_asked_only_where_that_is_allowed(visit: Start) -> None:
    with pytest.raises(Misconfigured, match="--oidc-issuer"):  # plain HTTP
        await visit(allow_private=False)


async def test_a_provider_that_is_away_is_told_without_its_words(visit: Start) -> None:
    visitor = await visit()
    _, headers, _ = await visitor.get("/oidc/start")
    state = visitor.idp.log_in(headers["Location"]).partition("&")[0]
    status, _, text = await visitor.get(f"/oidc/callback{state}&code=unknown")
    assert status == 502 and "invalid_grant" not in text


async def test_without_a_provider_there_is_nothing(start: Callable[..., Awaitable[World]]) -> None:
    world = await start()
    async with aiohttp.ClientSession() as session:
        for path in ("/oidc/start", "/oidc/callback"):
            async with session.get(world.app.admin_url + path) as answer:
                assert answer.status == 404


async def test_who_somebody_is_elsewhere_is_one_account_and_written_out(visit: Start) -> None:
    services = (await visit()).world.services
    await services.accounts.add(ADMIN, "ana", "", "", external_id="https://idp.example.net#4711")
    with pytest.raises(Conflict, match="ana"):
        await services.accounts.add(ADMIN, "ben", "", "", external_id="https://idp.example.net#4711")
    with pytest.raises(Conflict, match="ana"):
        await services.accounts.edit(ADMIN, "root", external_id="https://idp.example.net#4711")
    for wrong in ("4711", "#4711", "https://idp.example.net", "https://idp.example.net#", "ftp://x#1", "https://[#1"):
        with pytest.raises(BadValue, match="external_id"):
            await services.accounts.edit(ADMIN, "root", external_id=wrong)
    with pytest.raises(BadValue, match="password"):
        await services.accounts.add(ADMIN, "ben", "", "")


def test_a_login_that_took_too_long_is_begun_again() -> None:
    kept, begun = BegunLogins(), Begun("state", "nonce", "verifier", "https://ztp.example.net/oidc/callback")
    text = kept.written(begun, 1000.0)
    with pytest.raises(LoginRefused):
        kept.take(text, "state", 1601.0)
    with pytest.raises(LoginRefused):
        BegunLogins().take(text, "state", 1001.0)
    assert kept.take(text, "state", 1600.0) == begun
    with pytest.raises(LoginRefused):
        kept.take(text, "state", 1001.0)


def test_the_logins_that_were_used_up_are_remembered_in_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ztp_server.services.oidc_begun._MOST_USED", 10)
    kept = BegunLogins()
    for n in range(100):
        kept.take(kept.written(Begun(f"{n}", "", "", ""), 0.0), f"{n}", 0.0)
    assert len(kept._used) == 10
