"""Bodies read with a bound: JSON that means one thing only, or bytes into a file without a name."""

from __future__ import annotations

import asyncio
import io
import json
import math
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

from aiohttp import web

from ztp_server.api.operation import Operation
from ztp_server.api.problems import Unanswered

# A client that falls silent for longer has gone.
IDLE_SECONDS = 60
DEEPEST = 32
_LARGEST_NUMBER = 2**53  # what every JSON reader has exactly (RFC 7493)
_BATCH = 1 << 20
_JSON = ("application/json",)
_PATCH = ("application/merge-patch+json", "application/json")


async def read_body(request: web.Request, row: Operation) -> bytes:
    """The JSON body of an operation, undecoded. Raises Unanswered."""
    _check_media(request, _PATCH if row.method == "PATCH" else _JSON)
    return b"".join([chunk async for chunk in _chunks(request, row.largest)])


async def read_upload(request: web.Request, row: Operation, folder: Path) -> IO[bytes]:
    """A body of any size up to the bound, in a file that is gone when it is closed, or in memory where none can be
    large. Raises Unanswered."""
    assert row.upload
    _check_media(request, row.upload.media)
    if row.upload.largest <= _BATCH:
        return io.BytesIO(b"".join([chunk async for chunk in _chunks(request, row.upload.largest)]))
    file: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, "w+b", dir=folder)
    waiting = bytearray()
    try:
        async for chunk in _chunks(request, row.upload.largest):
            waiting += chunk
            if len(waiting) >= _BATCH:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


async def refuse_body(request: web.Request) -> None:
    """Raises Unanswered when something comes where nothing is taken."""
    if [chunk async for chunk in _chunks(request, 0)]:
        raise Unanswered(413, "this takes no body")


def parse_json(body: bytes) -> Any:
    """Read JSON in which no name stands twice, no number is endless, and every text can be stored. Raises
    Unanswered 400."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except (ValueError, RecursionError) as error:
        raise Unanswered(400, _why(error)) from None
    _check(value, 0)
    return value


def _check_media(request: web.Request, media: tuple[str, ...]) -> None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Unanswered(415, "a packed body is not taken", headers={"Accept-Encoding": "identity"})
    if "Content-Type" not in request.headers or request.content_type not in media:
        raise Unanswered(415, f"the Content-Type must be {' or '.join(media)}")
    if (request.charset or "utf-8").lower() not in ("utf-8", "us-ascii"):
        raise Unanswered(415, "the text must be UTF-8")


async def _chunks(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """The body, piece by piece. Raises Unanswered 413 and 408."""
    size = request.content_length or 0
    if size > most:
        raise _too_large(most)
    size = 0
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await request.content.readany()
            if not chunk:
                return
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            yield chunk
    except TimeoutError:
        raise Unanswered(408, "the body did not come", headers={"Connection": "close"}) from None


def _too_large(most: int) -> Unanswered:
    # What was not read of the body must not be taken for the next request.
    said = f"the body is larger than {most} bytes" if most else "this takes no body"
    return Unanswered(413, said, headers={"Connection": "close"})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _constant(_text: str) -> Any:
    raise ValueError("NaN and Infinity are no numbers")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > _LARGEST_NUMBER:
        raise ValueError("a number is too large")
    return int(text)


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the body is no JSON: line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"the body is no UTF-8: byte {error.start + 1}"
    return f"the body nests deeper than {DEEPEST}" if isinstance(error, RecursionError) else f"the body: {error}"


def _check(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise Unanswered(400, f"the body nests deeper than {DEEPEST}")
    if isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, str) and not is_storable(value):
        raise Unanswered(400, "a text holds a character that no database takes")


def is_storable(text: str) -> bool:
    """Whether every database takes a text: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
