"""Where a request of an administrator comes from."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from ztp_server.domain.site import Network, is_address, is_among


def client_address(request: web.BaseRequest, trusted_proxies: Sequence[Network]) -> str:
    """The address of the client: the peer's, or what a trusted proxy says in X-Forwarded-For. It is written down and
    counted by, and proves nothing."""
    address = (request.remote or "").partition("%")[0]
    hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")]
    while hops and is_among(address, trusted_proxies) and is_address(hops[-1]):
        address = hops.pop()
    return address
