"""/phones/{id}/proofs, tokens, window, digest, block: what a phone proves itself with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.operation import Call, Routes
from ztp_server.api.phone_shapes import PhoneRecord, Proof
from ztp_server.api.shapes import Answer, Body, Query
from ztp_server.services.phone_proofs import WINDOW_MINUTES
from ztp_server.services.proof_views import made_digest_view, made_token_view, opened_view, proofs_view
from ztp_server.services.windows import MOST_MINUTES

routes = Routes(
    "proofs of phones",
    "What shows that a request comes from a phone, as far as administrators make it: tokens, provisioning windows, "
    "HTTP Digest. What is secret is in the answer that makes it, and in no other.",
)

_PERMISSION = "phones:approve"
_Reason = Annotated[str, Field(max_length=255, description="Why; it goes into the audit.")]
_Kind = Literal["bootstrap", "steady"]


class TokenRecord(Answer):
    """A token of a phone, without the token. `address` is the one that used it first: a bootstrap token is bound to
    it."""

    kind: _Kind
    created_by: str
    created_at: datetime
    first_used_at: datetime | None
    address: str | None


class WindowRecord(Answer):
    """A window that is open. From its first use on it is bound to `address`."""

    opened_by: str
    opened_at: datetime
    until: datetime
    first_used_at: datetime | None
    address: str | None


class DigestRecord(Answer):
    """As whom a phone answers HTTP Digest."""

    user: str
    created_by: str
    created_at: datetime


class AfterwardsRecord(Answer):
    """How the phone proves itself when no window is open and its bootstrap token is spent; null: by nothing."""

    proof: Proof | None
    text: str


class ProofsRecord(Answer):
    """The proofs that count, and whose list that is: `phone`, or `site madrid`."""

    hardware_id: str
    proofs: list[Proof]
    source: str
    blocked: bool
    tokens: list[TokenRecord]
    window: WindowRecord | None
    digest: DigestRecord | None
    afterwards: AfterwardsRecord


class MadeTokenRecord(Answer):
    """A token, shown this once. `addresses` are whole: for DHCP option 66 or 160, a redirect service, a QR code; the
    better one is first."""

    kind: _Kind
    token: str
    addresses: list[str]
    warnings: list[str]


class OpenedWindowRecord(WindowRecord):
    """A window just opened."""

    afterwards: AfterwardsRecord
    warnings: list[str]


class MadeDigestRecord(Answer):
    """User and password, shown this once."""

    user: str
    password: str
    warnings: list[str]


class NewTokenBody(Body):
    """Bootstrap: brings a phone here the first time. Steady: stands in its files from then on."""

    kind: _Kind = "bootstrap"
    reason: _Reason = ""


class WindowBody(Body):
    """For how long."""

    minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)] = WINDOW_MINUTES
    reason: _Reason = ""


class DigestBody(Body):
    """Left out, the user is the phone's MAC, and a password of 24 characters is made."""

    user: Annotated[str, Field(max_length=64)] = ""
    password: Annotated[str, Field(max_length=128)] = ""
    reason: _Reason = ""


class ReasonBody(Body):
    reason: _Reason = ""


class ReasonQuery(Query):
    reason: _Reason = ""


@routes.get("/phones/{id}/proofs", answer=ProofsRecord, permission="phones:view")
async def get_phone_proofs(call: Call, id: str) -> Any:
    """Show what a phone can prove itself with."""
    return proofs_view(await call.services.phone_proofs.show(call.who, id))


@routes.post("/phones/{id}/tokens", answer=MadeTokenRecord, status=201, permission=_PERMISSION)
async def make_phone_token(call: Call, id: str, body: NewTokenBody) -> Any:
    """Make a token for a phone.

    It takes the place of the phone's earlier one of that kind, which proves nothing from then on. With a bootstrap
    token the phone gets a steady one in its files, unless it will come with its factory certificate."""
    return made_token_view(await call.services.phone_proofs.new_token(call.who, id, body.kind, body.reason))


@routes.delete("/phones/{id}/tokens/{kind}", permission=_PERMISSION)
async def remove_phone_token(call: Call, id: str, kind: str, query: ReasonQuery) -> None:
    """Remove a phone's token."""
    await call.services.phone_proofs.remove_token(call.who, id, kind, query.reason)


@routes.put("/phones/{id}/window", answer=OpenedWindowRecord, permission=_PERMISSION)
async def open_phone_window(call: Call, id: str, body: WindowBody) -> Any:
    """Open a provisioning window.

    The first that asks in the phone's name is believed, and from then on only its address, until the phone proves
    itself otherwise or the time is over. The phone gets a steady token in its files, unless it has one or will come
    with its factory certificate; `afterwards` says how it proves itself then."""
    return opened_view(await call.services.phone_proofs.open_window(call.who, id, body.minutes, body.reason))


@routes.delete("/phones/{id}/window", permission=_PERMISSION)
async def close_phone_window(call: Call, id: str, query: ReasonQuery) -> None:
    """Close a phone's window."""
    await call.services.phone_proofs.close_window(call.who, id, query.reason)


@routes.put("/phones/{id}/digest", answer=MadeDigestRecord, permission=_PERMISSION)
async def set_phone_digest(call: Call, id: str, body: DigestBody) -> Any:
    """Give a phone a user and password for HTTP Digest.

    They take the place of those it had."""
    made = await call.services.phone_proofs.set_digest(call.who, id, body.user, body.password, body.reason)
    return made_digest_view(made)


@routes.post("/phones/{id}/digest/reveal", answer=MadeDigestRecord, permission="phones:reveal")
async def reveal_phone_digest(call: Call, id: str, body: ReasonBody) -> Any:
    """Show a phone's user and password for HTTP Digest once more.

    It needs a reason, and stands in the audit."""
    return made_digest_view(await call.services.phone_proofs.reveal_digest(call.who, id, body.reason))


@routes.delete("/phones/{id}/digest", permission=_PERMISSION)
async def remove_phone_digest(call: Call, id: str, query: ReasonQuery) -> None:
    """Remove a phone's Digest credential."""
    await call.services.phone_proofs.remove_digest(call.who, id, query.reason)


@routes.post("/phones/{id}/block", answer=PhoneRecord, permission="phones:edit")
async def block_phone(call: Call, id: str, body: ReasonBody) -> Any:
    """Block a phone.

    No proof of it counts any more: it is answered as an unknown one. Its tokens, window and Digest credential are
    gone for good."""
    return await call.services.phones.view(await call.services.phone_proofs.block(call.who, id, body.reason))


@routes.post("/phones/{id}/unblock", answer=PhoneRecord, permission="phones:edit")
async def unblock_phone(call: Call, id: str, body: ReasonBody) -> Any:
    """Let the proofs of its site count again for a phone that is blocked.

    Nothing of what it had is given back."""
    return await call.services.phones.view(await call.services.phone_proofs.unblock(call.who, id, body.reason))
