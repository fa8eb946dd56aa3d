"""/device-cas and /denied-certificates: by whom a factory certificate counts, and which count no more."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.edits import Reason, RemovalQuery
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.domain.denied_certificate import DeniedCertificate
from ztp_server.errors import BadValue
from ztp_server.services.device_cas import MOST_BYTES, ca_view

routes = Routes("certificates", "Makers' CAs, by which factory certificates count, and certificates that are denied.")

_Listener = Annotated[
    Literal["mtls", "legacy", "expired"],
    Field(description="Where its word counts: old phones and expired chains have listeners of their own."),
]
_Sha256 = Annotated[str, Field(max_length=128, description="64 hex digits, with or without colons.")]


class DeviceCaRecord(Answer):
    """A CA. `sha256` is its pin; `problem` says why its word does not count at present, `own` whether an administrator
    put it there."""

    vendor: str
    sha256: str
    subject: str
    issuer: str
    key: str
    not_after: str
    listener: str
    problem: str
    remark: str
    file: str
    own: bool


class DeviceCasRecord(Answer):
    """The CAs that were added, or one in all its files."""

    items: list[DeviceCaRecord]


class MakerRecord(Answer):
    """A maker whose phones have factory certificates: the names of its CAs, where it publishes them, and how many of
    them are here and count."""

    vendor: str
    name: str
    issuers: list[str]
    published_at: str
    cas: int


class NewDeviceCa(Body):
    """Compare its SHA-256 with what the maker says before you add it. With `any_name` its name may be another than the
    maker's CAs are known by."""

    vendor: str = Field(max_length=64)
    certificate: str = Field(max_length=MOST_BYTES, description="PEM, of any number, or one in DER as base64.")
    listener: _Listener = "mtls"
    any_name: bool = False
    reason: Reason = ""


class DeniedCertificateRecord(Answer):
    """A certificate that proves nothing any more; `subject` is the MAC of the phone that was last seen with it."""

    sha256: str
    subject: str
    reason: str
    denied_by: str
    denied_at: str


class Denial(Body):
    """Which certificate: by its SHA-256, or by the phone (id or MAC) that last proved itself with it."""

    sha256: _Sha256 = ""
    phone: str = Field("", max_length=64)
    reason: Annotated[str, Field(min_length=1, max_length=255, description="Why; kept with it.")]


@routes.get("/device-cas", answer=Page[DeviceCaRecord], permission="trust:view", refusals=(409,))
async def list_device_cas(call: Call) -> Any:
    """List makers' CAs, also those whose word does not count."""
    return page(map(ca_view, await call.services.device_cas.all(call.who)), None)


@routes.get("/device-cas/makers", answer=Page[MakerRecord], permission="trust:view", refusals=(409,))
async def list_device_ca_makers(call: Call) -> Any:
    """List makers whose phones have factory certificates, and where they publish their CAs."""
    makers = await call.services.device_cas.makers(call.who)
    return page([asdict(maker) | {"issuers": list(maker.issuers)} for maker in makers], None)


@routes.post("/device-cas", answer=DeviceCasRecord, status=201, permission="trust:edit")
async def add_device_ca(call: Call, body: NewDeviceCa) -> Any:
    """Trust a maker's CA.

    It counts within a second, without a restart."""
    added = await call.services.device_cas.add(
        call.who,
        body.vendor,
        _content(body.certificate),
        listener=body.listener,
        any_name=body.any_name,
        reason=body.reason,
    )
    return Reply({"items": [ca_view(ca) for ca in added]}, location="/device-cas")


@routes.get("/device-cas/{pin}", answer=DeviceCasRecord, permission="trust:view", refusals=(409,))
async def get_device_ca(call: Call, pin: str) -> Any:
    """Show a maker's CA, by its SHA-256, once for each file it lies in."""
    return {"items": list(map(ca_view, await call.services.device_cas.get(call.who, pin)))}


@routes.delete("/device-cas/{pin}", permission="trust:edit")
async def remove_device_ca(call: Call, pin: str, query: RemovalQuery) -> None:
    """Trust a maker's CA no more, on whatever listener it counts."""
    await call.services.device_cas.remove(call.who, pin, reason=query.reason)


@routes.get("/denied-certificates", answer=Page[DeniedCertificateRecord], permission="trust:view")
async def list_denied_certificates(call: Call, query: PageQuery) -> Any:
    """List certificates that prove nothing any more, by fingerprint."""
    place = read_cursor(query.cursor, str)
    found, more = await call.services.denied_certificates.page(call.who, place[0] if place else "", query.limit)
    return page(map(_view, found), make_cursor(found[-1].sha256) if more else None)


@routes.post(
    "/denied-certificates",
    answer=DeniedCertificateRecord,
    status=201,
    permission="trust:edit",
    refusals=(404,),
)
async def deny_certificate(call: Call, body: Denial) -> Any:
    """Believe a certificate no more.

    From the next request on, whoever signed it; one of `sha256` and `phone` says which."""
    service = call.services.denied_certificates
    if bool(body.sha256) == bool(body.phone):
        raise BadValue("sha256", "say which certificate: by sha256 or by phone, one of them")
    denied = (
        await service.deny(call.who, body.sha256, body.reason)
        if body.sha256
        else await service.deny_phone(call.who, body.phone, body.reason)
    )
    return Reply(_view(denied), location=f"/denied-certificates/{denied.sha256}")


@routes.delete("/denied-certificates/{fingerprint}", permission="trust:edit")
async def allow_certificate(call: Call, fingerprint: str, query: RemovalQuery) -> None:
    """Believe a certificate again."""
    await call.services.denied_certificates.allow(call.who, fingerprint, reason=query.reason)


def _content(text: str) -> bytes:
    """A file of certificates as JSON takes it."""
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise BadValue("certificate", "neither PEM nor DER in base64") from None


def _view(denied: DeniedCertificate) -> dict[str, Any]:
    return asdict(denied) | {"denied_at": denied.denied_at.isoformat()}
