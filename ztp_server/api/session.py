"""/session: people who log in with a browser."""

from __future__ import annotations

from typing import Any

from ztp_server.api.accounts import LoginBody
from ztp_server.api.browser import csrf_of
from ztp_server.api.me import Held, held
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.shapes import Answer

routes = Routes("session", "Logging in with a browser, which keeps a cookie instead of a token.")


class OpenedSession(Answer):
    """Whose session it is, and what to send as `X-CSRF-Token` with every request that changes something."""

    account: str
    csrf_token: str
    expires_at: str


class SessionRecord(Answer):
    """Who asks and what they may do. What is about a session is null for a program's token; `csrf_token` as well where
    no cookie was sent, but a token."""

    name: str
    account: str | None
    grants: list[Held]
    csrf_token: str | None
    expires_at: str | None


@routes.post("/session", answer=OpenedSession, status=201, public=True, browser=True)
async def open_session(call: Call, body: LoginBody) -> Any:
    """Log in with a browser.

    The answer sets the cookie `__Host-ztp`. The session ends after 8 hours, or after 60 minutes that nobody used it.
    Over plain HTTP it is refused but on the machine itself. Whoever fails too often has to wait: 429 says how long."""
    text, token = await call.services.logins.login(body.account, body.password, call.who.address)
    shown = {"account": token.account, "csrf_token": csrf_of(text), "expires_at": token.expires_at}
    return Reply(shown, location="/session", session=text)


@routes.get("/session", answer=SessionRecord)
async def get_session(call: Call) -> Any:
    """Show who you are, what you may do, and until when."""
    token = await call.services.logins.session(call.who)
    return {
        "name": call.who.name,
        "account": token.account if token else None,
        "grants": held(call.who),
        "csrf_token": csrf_of(call.session) or None,
        "expires_at": token.expires_at if token else None,
    }


@routes.delete("/session")
async def close_session(call: Call) -> Any:
    """Log out: the session ends, everywhere, at once."""
    await call.services.logins.logout(call.who)
    return Reply(session="")
