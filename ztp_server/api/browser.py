"""What is special about browsers: a cookie that they send by themselves, and so the question who made them ask."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence

from aiohttp import web

from ztp_server.api.hosts import host_of, is_loopback_name
from ztp_server.api.problems import Unanswered
from ztp_server.domain.site import Network, is_among

# `__Host-`: a browser takes it only with Secure, for the whole of one host, and from no neighbour of its domain.
COOKIE = "__Host-ztp"
CSRF_HEADER = "X-CSRF-Token"
_ATTRIBUTES = "Secure; HttpOnly; Path=/"
_SAFE = ("GET", "HEAD", "OPTIONS")


def cookie_of(request: web.BaseRequest, name: str = COOKIE) -> str:
    """A cookie's value, empty when there is none or more than one: then somebody added theirs."""
    pairs = [pair.strip() for line in request.headers.getall("Cookie", []) for pair in line.split(";")]
    found = [value for key, mark, value in (pair.partition("=") for pair in pairs) if mark and key == name]
    return found[0] if len(found) == 1 else ""


def session_cookie(text: str) -> str:
    """The Set-Cookie of a session; of an empty text, of its end. It lives as long as the browser: when it is over, the
    server knows."""
    return f"{COOKIE}={text}; {_ATTRIBUTES}; SameSite=Strict" + ("" if text else "; Max-Age=0")


def passing_cookie(name: str, value: str, seconds: int) -> str:
    """The Set-Cookie of what a browser keeps while it is elsewhere: it is sent when a link from there leads back."""
    return f"{name}={value}; {_ATTRIBUTES}; SameSite=Lax; Max-Age={seconds}"


def csrf_of(session: str) -> str:
    """What a page of ours adds to a request that changes something. Other pages can make a browser send the cookie, but
    not read it, nor this."""
    return hmac.digest(session.encode(), b"ztp csrf", "sha256").hex() if session else ""


def scheme_of(request: web.BaseRequest, trusted_proxies: Sequence[Network]) -> str:
    """What the browser speaks: with us, or with a trusted proxy that says so."""
    forwarded = request.headers.getall("X-Forwarded-Proto", [])
    by_proxy = forwarded == ["https"] and is_among(request.remote or "", trusted_proxies)
    return "https" if request.secure or by_proxy else "http"


def check_confidential(request: web.BaseRequest, trusted_proxies: Sequence[Network]) -> None:
    """Raises Unanswered where a cookie would go over a network in the clear."""
    if scheme_of(request, trusted_proxies) == "https":
        return
    peer = (request.remote or "").partition("%")[0]
    if not is_loopback_name(host_of(request)) or not ipaddress.ip_address(peer).is_loopback:
        said = "log in over HTTPS; a proxy that speaks it must be one of --trusted-proxies and send X-Forwarded-Proto"
        raise Unanswered(403, said)


def own_origin(request: web.BaseRequest, trusted_proxies: Sequence[Network]) -> str:
    """What a browser calls our pages' origin (RFC 6454)."""
    return f"{scheme_of(request, trusted_proxies)}://{request.headers.get('Host', '').lower()}"


def check_same_origin(request: web.BaseRequest, trusted_proxies: Sequence[Network], *, required: bool) -> None:
    """Raises Unanswered unless a page of ours made the browser ask, as Origin and Sec-Fetch-Site tell, whichever it
    sends; `required` is one of them."""
    origins = request.headers.getall("Origin", [])
    sites = request.headers.getall("Sec-Fetch-Site", [])
    good = [origin.lower() == own_origin(request, trusted_proxies) for origin in origins]
    good += [site == "same-origin" for site in sites]
    if not all(good) or (required and not good):
        raise Unanswered(403, "another page than one of this server asks")


def check_page(request: web.BaseRequest, session: str, trusted_proxies: Sequence[Network]) -> None:
    """Raises Unanswered for a request with a cookie that would change something and comes from no page of ours."""
    if request.method in _SAFE:
        return
    check_same_origin(request, trusted_proxies, required=True)
    given = request.headers.getall(CSRF_HEADER, [])
    if len(given) != 1 or not hmac.compare_digest(
        given[0].encode("utf-8", "surrogateescape"), csrf_of(session).encode()
    ):
        raise Unanswered(403, f"needs the header {CSRF_HEADER} with what GET /api/v1/session says")
