"""OpenAPI 3.1 of all operations, made from their rows and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ztp_server import __version__
from ztp_server.api.answers import BASE, EVENTS
from ztp_server.api.browser import COOKIE, CSRF_HEADER
from ztp_server.api.operation import Operation, Routes
from ztp_server.api.problems import MEDIA
from ztp_server.api.queries import is_list
from ztp_server.api.shapes import Problem
from ztp_server.services.idempotency import FIELD

_REF = "#/components/schemas/{model}"
_ABOUT = """\
Everything that administrators do, for their scripts. Make a token on the server with
`ztp token create --name ci --role admin` and send it as `Authorization: Bearer …`. Pages in a browser have a session
instead: `POST /api/v1/session` sets its cookie.

Lists come in parts: send `next_cursor` back as `cursor` until it is null. A `PATCH` is a merge (RFC 7396): what is left
out stays, null resets, a list replaces. Send the `ETag` of what you read as `If-Match`, and a change of something that
another has changed meanwhile is refused with 412. Send an `Idempotency-Key` with a `POST`, and it is done once however
often it is sent. A refusal is `application/problem+json` and names the fields."""
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token: `ztp token create --name ci --role admin`"},
    "basic": {"type": "http", "scheme": "basic", "description": "The token as the password; the user is left alone."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"What a browser sends when somebody has logged in (`POST {BASE}/session`). A request that "
        f"changes something needs the header `{CSRF_HEADER}` as well, with the `csrf_token` of `GET {BASE}/session`, "
        "and an `Origin` of this server. Beside an `Authorization` header the cookie does not count.",
    },
}
_SAID = {
    400: "The request cannot be read",
    401: "No token and no session, or none that is valid",
    403: "The permission is missing; or a browser asks in the name of another page",
    404: "Nothing of that name, or nothing that this token may see",
    408: "The body did not come",
    409: "It exists already, is in use, or is being done",
    412: "It is another by now: read it again",
    413: "The body is too large",
    415: "Not a media type that is taken here",
    421: "This server has not the name it is asked by",
    422: "A field holds what it must not; `errors` names each",
    429: "Too many requests: see Retry-After",
    500: "The server failed",
    503: "The database cannot answer now",
}

# OpenAPI 3.1 has no word for a stream: as its readers take it, the schema is that of each event (3.2: `itemSchema`).
_EVENT = {
    "type": "object",
    "description": "One event of the stream",
    "required": ["data"],
    "properties": {
        "event": {"type": "string", "description": "What it tells: the description of the operation names each."},
        "id": {"type": "string", "description": "Where the stream is: `Last-Event-ID` of who comes back."},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "JSON, in one line."},
        "retry": {"type": "integer", "description": "After how many milliseconds to come back."},
    },
}


def document(nouns: Iterable[Routes]) -> dict[str, Any]:
    """The whole document."""
    nouns = list(nouns)
    rows = [row for noun in nouns for row in noun.operations]
    refs, schemas = _schemas(rows)
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(BASE + row.path, {})[row.method.lower()] = _operation(row, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zero-touch provisioning",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": tag, "description": about} for tag, about in _tags(nouns).items()],
        "paths": paths,
        "components": {
            "securitySchemes": _SCHEMES,
            "schemas": schemas,
            "responses": {_name(status): _refusal(status) for status in _SAID},
        },
    }


def _tags(nouns: Iterable[Routes]) -> dict[str, str]:
    """What each tag is about; of several modules with one tag the first says it."""
    found: dict[str, str] = {}
    for noun in nouns:
        found.setdefault(noun.tag, noun.about)
    return found


def _schemas(rows: Iterable[Operation]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """References to the models of bodies, queries and answers, and what they refer to."""
    models: dict[tuple[type[BaseModel], str], None] = {(Problem, "serialization"): None}
    for row in rows:
        models |= {(model, "validation"): None for model in (row.body, row.query) if model}
        if isinstance(row.answer, type):
            models[row.answer, "serialization"] = None
    refs, found = models_json_schema(list(models), ref_template=_REF)  # type: ignore[arg-type]
    return refs, found["$defs"]


def _operation(row: Operation, refs: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": row.id,
        "tags": [row.tag],
        "summary": row.summary,
        "description": _description(row),
        "parameters": [*_path(row), *_query(row), *_headers(row)],
        "responses": {str(row.status): _good(row, refs), **_refusals(row)},
    }
    if row.public:
        found["security"] = []
    if row.machine:
        found["security"] = [{"token": []}, {"basic": []}]
    if row.permissions:
        found["x-permission"] = list(row.permissions)
    if row.body:
        media = ["application/merge-patch+json"] if row.method == "PATCH" else []
        schema = refs[row.body, "validation"]
        content = {name: {"schema": schema} for name in [*media, "application/json"]}
        found["requestBody"] = {"required": True, "content": content}
    if row.upload:
        schema = {"type": "string", "format": "binary", "contentMediaType": row.upload.media[0]}
        content = {name: {"schema": schema} for name in row.upload.media}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _description(row: Operation) -> str:
    needs = " or ".join(f"`{name}`" for name in row.permissions)
    nothing = "none, and no token" if row.public else "any token"
    return f"{row.description}\n\nPermission: {needs or nothing}.".strip()


def _path(row: Operation) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in row.path_names]


def _query(row: Operation) -> list[dict[str, Any]]:
    if row.query is None:
        return []
    schema = row.query.model_json_schema(ref_template=_REF)
    found = []
    for name, field in row.query.model_fields.items():
        shown = field.alias or name
        own = {k: v for k, v in schema["properties"][shown].items() if k not in ("title", "description")}
        parameter = {
            "name": shown,
            "in": "query",
            "required": shown in schema.get("required", []),
            "schema": _sent(own),
        }
        if field.description:
            parameter["description"] = field.description
        found.append(parameter | ({"style": "form", "explode": True} if is_list(field.annotation) else {}))
    return found


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter when it is there: one that may be left out has no null, for a URL has none."""
    given: list[dict[str, Any]] = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(given) != 1:
        return schema
    return given[0] | {k: v for k, v in schema.items() if k not in ("anyOf", "default")}


def _headers(row: Operation) -> list[dict[str, Any]]:
    found = []
    if row.keyed:
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        said = "Names this request: sent again within a day, it is not done again but answered as before."
        found.append({"name": FIELD, "in": "header", "schema": schema, "description": said})
    if row.revised:
        said = '`ETag` of what was read, or its revision alone (`"7"`).'
        found.append({"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": said})
    return found


def _good(row: Operation, refs: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(row.status).phrase}
    if isinstance(row.answer, str):
        whole = {"type": "string", "format": "binary"}
        found["content"] = {row.answer: {"schema": _EVENT if row.answer == EVENTS else whole}}
    elif row.answer:
        found["content"] = {"application/json": {"schema": refs[row.answer, "serialization"]}}
    if row.method == "GET" and row.answer != EVENTS:
        found["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "Names this state of it."}}
    if row.status == 201:
        found["headers"] = {"Location": {"schema": {"type": "string"}, "description": "Where it is."}}
    if row.browser:
        said = {"schema": {"type": "string"}, "description": f"The cookie `{COOKIE}`."}
        found.setdefault("headers", {})["Set-Cookie"] = said
    return found


def _refusals(row: Operation) -> dict[str, Any]:
    statuses = {400, 401, 421, 422, 429, 500, 503, *row.refusals}
    if row.permissions or row.changes:
        statuses.add(403)
    if row.path_names:
        statuses.add(404)
    if row.body or row.upload:
        statuses |= {408, 413, 415}
    if row.changes:
        statuses |= {409, 412}
    return {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(statuses)}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def _refusal(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": _SAID[status]}
    if status == 422:
        reason = "Input should be less than or equal to 1000"
        example |= {"detail": f"limit: {reason}", "errors": [{"field": "limit", "reason": reason}]}
    schema = {"$ref": _REF.format(model="Problem")}
    return {"description": _SAID[status], "content": {MEDIA: {"schema": schema, "example": example}}}
