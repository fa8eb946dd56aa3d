"""A row for each thing that can be asked over REST: from it come the route, its checks and its documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar, get_type_hints

from pydantic import BaseModel

from ztp_server.domain.access import PERMISSIONS, Actor
from ztp_server.services.opening import Services

MAX_BODY = 1 << 20

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Call:
    """What every handler is given. `revision` is the one an If-Match names, None without. `given` are the fields of
    a JSON body that were there, as they were written: null is not the same as left out. `session` is the text of the
    session that a browser's cookie showed, empty where a token did; `last_event` what a stream of events is to go on
    from."""

    who: Actor
    services: Services
    revision: int | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    upload: IO[bytes] | None = None
    content_type: str = ""
    session: str = ""
    last_event: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is more than its JSON. `location` is a path below /api/v1. `status` 0: as the row says. `session`
    is what a browser is to send as its cookie from now on; empty: none any more."""

    value: Any = None
    status: int = 0
    location: str = ""
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is no JSON. With `file_name` a browser saves it."""

    body: bytes | AsyncIterator[bytes]
    content_type: str
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A body taken as it is: its media types, and the most bytes it may have."""

    media: tuple[str, ...]
    largest: int


@dataclass(frozen=True)
class Operation:
    """One method of one path. `answer` is a model (None: no content) or, for what is no JSON, its media type. A
    `public` one takes no token: it is how people get one. A `repeatable` one (a question, say) does no more when
    it comes twice. One for a `browser` answers with a cookie. One for a `machine` that has neither Bearer nor patience
    takes the token as the password of Basic as well, and may be asked ten times as often."""

    method: str
    path: str
    tag: str
    handler: Handler
    answer: type[BaseModel] | str | None
    status: int
    permissions: tuple[str, ...]
    revised: bool
    upload: Upload | None
    largest: int
    refusals: tuple[int, ...]
    public: bool
    repeatable: bool
    browser: bool
    machine: bool

    @property
    def id(self) -> str:
        return self.handler.__name__

    @property
    def summary(self) -> str:
        return self._text[0].strip().rstrip(".")

    @property
    def description(self) -> str:
        return re.sub(r"\s*\n\s*", " ", "\n".join(self._text[1:]).strip())

    @property
    def path_names(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def query(self) -> type[BaseModel] | None:
        return self._hints.get("query")

    @property
    def body(self) -> type[BaseModel] | None:
        return self._hints.get("body")

    @property
    def keyed(self) -> bool:
        """Whether it is done once for each Idempotency-Key. Who has no token shares none with others; and the answers
        to questions are not worth keeping, which anybody could ask until the disk is full."""
        return self.method == "POST" and not self.public and not self.repeatable

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    @property
    def _text(self) -> list[str]:
        return (inspect.getdoc(self.handler) or self.id).split("\n")

    @property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.handler)


class Routes:
    """The operations of one noun. A handler is `async def name(call, <names in the path>, query: …, body: …)`; it says
    by its annotations what it takes, by its docstring what it does, and by its name what it is called (operationId)."""

    def __init__(self, tag: str, about: str) -> None:
        self.tag = tag
        self.about = about
        self.operations: list[Operation] = []

    def get(self, path: str, **row: Any) -> Callable[[H], H]:
        return self._row("GET", path, **row)

    def post(self, path: str, **row: Any) -> Callable[[H], H]:
        return self._row("POST", path, **row)

    def put(self, path: str, **row: Any) -> Callable[[H], H]:
        return self._row("PUT", path, **row)

    def patch(self, path: str, **row: Any) -> Callable[[H], H]:
        return self._row("PATCH", path, **row)

    def delete(self, path: str, **row: Any) -> Callable[[H], H]:
        return self._row("DELETE", path, **row)

    def _row(
        self,
        method: str,
        path: str,
        *,
        answer: type[BaseModel] | str | None = None,
        status: int = 0,
        permission: str | tuple[str, ...] = (),
        revised: bool = False,
        upload: Upload | None = None,
        largest: int = MAX_BODY,
        refusals: tuple[int, ...] = (),
        public: bool = False,
        repeatable: bool = False,
        browser: bool = False,
        machine: bool = False,
    ) -> Callable[[H], H]:
        permissions = (permission,) if isinstance(permission, str) else permission
        unknown = set(permissions) - set(PERMISSIONS)
        if unknown:
            raise ValueError(f"{path}: no permission {unknown}")
        good = status or (204 if answer is None else 200)

        def add(handler: H) -> H:
            row = Operation(
                *(method, path, self.tag, handler, answer, good),
                *(permissions, revised, upload, largest, refusals, public),
                repeatable=repeatable,
                browser=browser,
                machine=machine,
            )
            self.operations.append(row)
            return handler

        return add
