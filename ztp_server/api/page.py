"""/api/: the page on which the REST interface is read and tried out, without asking any other server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Kept by the browser, and asked for anew each time: after an upgrade nobody sees the old page.
    "Cache-Control": "no-cache",
}


def page_routes() -> list[web.RouteDef]:
    """The files of the page, below /api."""
    return [web.get("/" if name == "index.html" else f"/{name}", _file(name)) for name in _TYPES]


async def to_page(_request: web.Request) -> web.Response:
    """/api without its slash."""
    return web.Response(status=308, headers={"Location": "/api/"})


def _file(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def send(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_FOLDER / name, headers={**_HEADERS, "Content-Type": _TYPES[name]})

    return send
