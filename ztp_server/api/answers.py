"""What a handler gives, as HTTP; and an answer written down to be given again."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel

from ztp_server.api.bodies import IDLE_SECONDS
from ztp_server.api.browser import session_cookie
from ztp_server.api.conditions import etag_of, is_unchanged
from ztp_server.api.operation import Operation, Raw, Reply
from ztp_server.api.problems import problem

# Below /api, where the application is mounted.
VERSION = "/v1"
BASE = f"/api{VERSION}"
EVENTS = "text/event-stream"
_KEPT_HEADERS = ("Content-Type", "Content-Disposition", "Location", "ETag")


def answer_of(request: web.Request, row: Operation, given: Any) -> web.Response:
    """The response to what a handler gave."""
    if isinstance(given, Raw):
        return _raw(request, row, given)
    reply = given if isinstance(given, Reply) else Reply(given)
    status = reply.status or row.status
    headers = {"Location": BASE + reply.location} if reply.location else {}
    if reply.session is not None:
        headers["Set-Cookie"] = session_cookie(reply.session)
    if reply.value is None:
        return web.Response(status=status, headers=headers)
    body = encoded(reply.value)
    headers["ETag"] = etag_of(reply.value, body)
    if row.changes and headers["ETag"].startswith("W/"):
        del headers["ETag"]
    return _conditional(request, row, web.Response(body=body, status=status, headers=headers), "application/json")


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False).encode()


def written(response: web.Response) -> str | None:
    """A response as text, to be kept; None for one that is streamed and cannot be."""
    if not isinstance(response.body, bytes | None):
        return None
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = base64.b64encode(response.body or b"").decode()
    return json.dumps([response.status, headers, body])


def again(text: str) -> web.Response:
    """A response that was kept."""
    status, headers, body = json.loads(text)
    return web.Response(
        status=status, headers={**headers, "Idempotent-Replayed": "true"}, body=base64.b64decode(body) or None
    )


def _raw(request: web.Request, row: Operation, given: Raw) -> web.Response:
    body = given.body if isinstance(given.body, bytes) else _watched(request, given.body)
    response = web.Response(body=body, status=row.status)
    if given.file_name:
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(given.file_name, safe='')}"
    if not isinstance(given.body, bytes):
        response.headers["Content-Type"] = given.content_type
        if given.content_type == EVENTS:
            response.headers["X-Accel-Buffering"] = "no"  # nginx would keep what is to be told at once
        return response
    if not row.changes:
        response.headers["ETag"] = etag_of(None, given.body)
    return _conditional(request, row, response, given.content_type)


async def _watched(request: web.Request, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces of a body, until the client takes none for a while: what makes them may hold a transaction open."""
    loop = asyncio.get_running_loop()
    try:
        async for piece in pieces:
            hang_up = loop.call_later(IDLE_SECONDS, _abort, request)
            try:
                yield piece
            finally:
                hang_up.cancel()
    finally:
        # Now, not when somebody collects the rubbish.
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _conditional(request: web.Request, row: Operation, response: web.Response, content_type: str) -> web.Response:
    response.headers["Content-Type"] = content_type
    etag = response.headers.get("ETag", "")
    if row.changes or not etag:
        return response
    if is_unchanged(request, etag):
        return web.Response(status=304, headers={"ETag": etag})
    if request.headers.get("If-Match", "*").strip() not in ("*", etag):
        return problem(412, "If-Match names another one than there is")
    return response


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
