"""What every answer of the admin listener tells a browser: run nothing, frame nothing, guess nothing, keep nothing."""

from __future__ import annotations

from aiohttp import web

from ztp_server.api.hosts import host_of, is_loopback_name

# What answers call this program: no version of ours or of what we are built with.
SERVER = "ztp"
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": SERVER,
    "X-Content-Type-Options": "nosniff",
}
# A year. Not for `localhost`, where other programs of this machine speak plain HTTP.
_HSTS = "max-age=31536000"


def secured(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """The same answer with these headers, where it has not its own already."""
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    if request.secure and not is_loopback_name(host_of(request)):
        response.headers["Strict-Transport-Security"] = _HSTS
    return response
