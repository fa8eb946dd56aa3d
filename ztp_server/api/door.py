"""HTTP in, HTTP out for every operation: who asks, what with, whether it was done before; errors as problem+json."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from ztp_server.api.access import Access, Gate
from ztp_server.api.addresses import client_address
from ztp_server.api.answers import BASE, VERSION, again, answer_of, written
from ztp_server.api.bodies import is_storable, parse_json, read_body, read_upload, refuse_body
from ztp_server.api.browser import check_confidential, check_same_origin
from ztp_server.api.conditions import wanted_revision
from ztp_server.api.limits import AT_ONCE
from ztp_server.api.methods import by_precision, methods_of
from ztp_server.api.operation import Call, Operation, Routes
from ztp_server.api.problems import Unanswered, field_problems, problem, problem_of
from ztp_server.api.queries import parse_query
from ztp_server.domain.access import Actor
from ztp_server.domain.site import Network
from ztp_server.errors import BadValue, Forbidden, ZtpError
from ztp_server.log import RequestLog
from ztp_server.services.idempotency import FIELD
from ztp_server.services.opening import Services

_NUMBER = web.RequestKey("number", str)
_ACTOR = web.RequestKey("actor", str)

log = structlog.get_logger()


class RestDoor:
    """What all operations share. `scratch` is a folder for uploads while they come in."""

    def __init__(
        self,
        services: Services,
        access: Access,
        requests: RequestLog,
        scratch: Path,
        trusted_proxies: Iterable[Network] = (),
    ) -> None:
        self._services = services
        self._gate = Gate(access, tuple(trusted_proxies))
        self._requests = requests
        self._scratch = scratch
        self._trusted_proxies = tuple(trusted_proxies)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._rows: list[Operation] = []

    def routes(self, nouns: Iterable[Routes]) -> list[web.RouteDef]:
        """A route for each operation, below /api."""
        self._rows = by_precision(row for noun in nouns for row in noun.operations)
        add = {row.method: web.get if row.method == "GET" else partial(web.route, row.method) for row in self._rows}
        return [add[row.method](VERSION + row.path, self._handler(row)) for row in self._rows]

    @web.middleware
    async def guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every answer below /api: errors become problems, every request has its number and log line."""
        started = time.perf_counter()
        number = request[_NUMBER] = secrets.token_hex(8)
        response = await self._guarded(request, handler)
        response.headers["X-Request-Id"] = number
        body = getattr(response, "body", None)
        sent = len(body) if isinstance(body, bytes) else 0
        self.note(request, response.status, time.perf_counter() - started, sent)
        return response

    def note(self, request: web.Request, status: int, seconds: float, sent: int = 0) -> None:
        """The log line of a request, with neither its query nor its headers: secrets may stand there."""
        self._requests.write(
            {
                "door": "rest",
                "request": request.get(_NUMBER, ""),
                "method": request.method,
                "path": request.path[:256].encode("ascii", "backslashreplace").decode(),
                "status": status,
                "bytes": sent,
                "ms": round(seconds * 1000, 2),
                "actor": request.get(_ACTOR, ""),
                "address": client_address(request, self._trusted_proxies),
            }
        )

    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except Unanswered as error:
            return problem(error.status, error.detail, error.errors, error.headers)
        except web.HTTPMethodNotAllowed as error:
            methods = methods_of(request.path.removeprefix(BASE), self._rows) or sorted(error.allowed_methods)
            return problem(error.status, "not this method here", headers={"Allow": ", ".join(methods)})
        except web.HTTPException as error:
            return problem(error.status, "there is nothing here" if error.status == 404 else error.reason)
        except ZtpError as error:
            answer = problem_of(error)
            if answer is None:
                log.error("rest.failed", request=request[_NUMBER], reason=str(error))
        except Exception:
            answer = None
            log.exception("rest.failed", request=request[_NUMBER])
        return answer or problem(500, f"the server failed; its log says why, under request {request[_NUMBER]}")

    def _handler(self, row: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            address = client_address(request, self._trusted_proxies)
            who, session = await self._admit(request, row, address)
            request[_ACTOR] = who.name
            arguments: dict[str, Any] = dict(request.match_info)
            if not all(is_storable(text) for text in arguments.values()):
                raise Unanswered(404, "there is nothing here")
            if row.query:
                arguments["query"] = parse_query(request.query, row.query)
            elif request.query:
                raise Unanswered(
                    422, "no parameters here", [(name[:64], "is not known here") for name in request.query]
                )
            last_event = request.headers.get("Last-Event-ID", "")[:128]
            call = Call(who, self._services, session=session, last_event=last_event)
            if row.upload or row.body:
                _refuse_in_vain(who, row)
            if row.upload:
                with await read_upload(request, row, self._scratch) as file:
                    call = replace(call, upload=file, content_type=request.content_type)
                    return await self._once(request, row, call, arguments, lambda: _digest(file))
            return await self._with_body(request, row, call, arguments)

        return handle

    async def _admit(self, request: web.Request, row: Operation, address: str) -> tuple[Actor, str]:
        """Who asks, and their browser's session, if it is one."""
        if not row.public:
            return await self._gate.admit(request, address, machine=row.machine)
        who = self._gate.stranger(address)
        if row.browser:
            check_confidential(request, self._trusted_proxies)
            check_same_origin(request, self._trusted_proxies, required=False)
        return who, ""

    async def _with_body(
        self, request: web.Request, row: Operation, call: Call, arguments: dict[str, Any]
    ) -> web.StreamResponse:
        if row.body is None:
            await refuse_body(request)
            return await self._once(request, row, call, arguments, lambda: "")
        body = await read_body(request, row)
        given = parse_json(body)
        arguments["body"] = _parsed(row.body, body)
        call = replace(call, given=given if isinstance(given, Mapping) else {})
        return await self._once(request, row, call, arguments, lambda: hashlib.sha256(body).hexdigest())

    async def _once(
        self, request: web.Request, row: Operation, call: Call, arguments: dict[str, Any], digest: Callable[[], str]
    ) -> web.StreamResponse:
        """Do it, unless the request names a key under which it was done before, or another revision than there is."""
        key = _key(request) if row.keyed else ""
        call = replace(call, revision=wanted_revision(request, row.revised) if row.changes else None)
        if not key:
            return await self._answered(request, row, call, arguments)
        known = self._services.idempotency
        done = await known.begin(call.who, key, _request_digest(request, digest()))
        if done is not None:
            return again(done)
        try:
            response = await self._answered(request, row, call, arguments)
        except Exception:
            await known.forget(call.who, key)
            raise
        kept = written(response)
        await (known.finish(call.who, key, kept) if kept is not None else known.forget(call.who, key))
        return response

    async def _answered(
        self, request: web.Request, row: Operation, call: Call, arguments: dict[str, Any]
    ) -> web.Response:
        if row.public:  # these wait for each other already (services/passwords.py)
            return answer_of(request, row, await row.handler(call, **arguments))
        async with self._turns:
            return answer_of(request, row, await row.handler(call, **arguments))


def _refuse_in_vain(who: Actor, row: Operation) -> None:
    """Raises Forbidden for one who may do this nowhere. Services ask anyway, but only when the body has been read:
    gigabytes on the disk, or a second of work."""
    if row.permissions and not any(grant.permissions.intersection(row.permissions) for grant in who.grants):
        raise Forbidden(" or ".join(row.permissions))


def _parsed(model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise field_problems(error) from None


def _key(request: web.Request) -> str:
    given = request.headers.getall(FIELD, [])
    if not given:
        return ""
    if len(given) > 1 or not 0 < len(given[0]) < 256 or not given[0].isascii() or not given[0].isprintable():
        raise BadValue(FIELD, "must be 1 to 255 printable ASCII characters, once")
    return given[0]


def _request_digest(request: web.Request, body: str) -> str:
    asked = json.dumps([request.method, request.path_qs, request.headers.get("Content-Type", ""), body])
    return hashlib.sha256(asked.encode()).hexdigest()


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return digest
