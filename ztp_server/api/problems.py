"""Refusals as RFC 9457 answers. Nothing of a request is repeated but the names of its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ztp_server.errors import (
    BadValue,
    Conflict,
    Forbidden,
    ImportRefused,
    InUse,
    LoginRefused,
    NotFound,
    Refused,
    Stale,
    StoreUnavailable,
    TooMany,
    ZtpError,
)

CHALLENGE = 'Bearer realm="ztp"'
# Of what is wrong with a body. It may be wrong in a hundred thousand places, which take seconds to name.
MOST_ERRORS = 1000
MEDIA = "application/problem+json"
_STATUSES: Sequence[tuple[type[ZtpError], int]] = (
    (BadValue, 422),
    (ImportRefused, 422),
    (NotFound, 404),
    (Stale, 412),
    (Forbidden, 403),
    (Conflict, 409),
    (LoginRefused, 401),
    (TooMany, 429),
    (StoreUnavailable, 503),
    (Refused, 422),
)


class Unanswered(Exception):
    """A request that ends before any service is asked, with the status that says why."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def problem(
    status: int,
    detail: str,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    """The answer of a refusal."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, **(more or {})}
    if errors:
        body["errors"] = [{"field": field, "reason": reason} for field, reason in errors]
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(body=text.encode("utf-8", "replace"), status=status, content_type=MEDIA, headers=headers)


def problem_of(error: ZtpError) -> web.Response | None:
    """The answer to an error of ours, or None where the server itself failed."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, StoreUnavailable):
        return problem(status, "the database cannot answer now", headers={"Retry-After": "5"})
    more = {"count": error.count, "phones": error.phones} if isinstance(error, InUse) else {}
    return problem(status, str(error), _fields(error), _headers(error), more)


def _headers(error: ZtpError) -> dict[str, str]:
    if isinstance(error, TooMany):
        return {"Retry-After": str(error.retry_after)}
    return {"WWW-Authenticate": CHALLENGE} if isinstance(error, LoginRefused) else {}


def _fields(error: ZtpError) -> list[tuple[str, str]]:
    if isinstance(error, BadValue):
        return [(error.field, error.reason)]
    return [("", row) for row in error.problems] if isinstance(error, ImportRefused) else []


def field_problems(error: ValidationError) -> Unanswered:
    """What a model found wrong with a body or a query, by dotted name, counted from 1; of more than MOST_ERRORS only
    how many there are."""
    if error.error_count() > MOST_ERRORS:
        return Unanswered(422, said := f"{error.error_count()} places are wrong", [("", said)])
    found = error.errors(include_input=False, include_url=False, include_context=False)
    errors = [(_dotted(row["loc"]), _reason(row["type"], row["msg"])) for row in found]
    shown = "; ".join(f"{field}: {reason}" if field else reason for field, reason in errors[:3])
    return Unanswered(422, shown, errors)


def _dotted(place: Sequence[int | str]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else part[:160] for part in place)


def _reason(kind: str, text: str) -> str:
    known = {"missing": "is missing", "extra_forbidden": "is not known here"}
    return known.get(kind, text.removeprefix("Value error, "))
