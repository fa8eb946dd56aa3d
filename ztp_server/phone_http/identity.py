"""An HTTP request → PhoneRequest: what is asked, and what the connection proves of who asks."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from aiohttp import web

from ztp_server.domain.request import Certified
from ztp_server.domain.site import Network, is_address, is_among
from ztp_server.phone_http.protocol import PhoneProtocol
from ztp_server.pki.device import DeviceCertificates

_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00|25)", re.IGNORECASE)
_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_PATH = re.compile(r"[A-Za-z0-9_~@+=,:;.-]+(?:/[A-Za-z0-9_~@+=,:;. -]+)*")
_BEFORE_TOKEN = ("t/", "T/")
_FORWARDED_HEADERS = (
    *("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP"),
    *("True-Client-IP", "CF-Connecting-IP"),
)


def requested_path(target: str) -> str | None:
    """The path of a request target, decoded once, without leading slashes; None for what no phone would ask.

    An absolute-form target (RFC 9112, section 3.2.2) is its path. What decodes to a separator, NUL or another
    percent sign is refused rather than interpreted.
    """
    absolute = _ABSOLUTE_FORM.match(target)
    path = (target[absolute.end() :] if absolute else target).partition("?")[0].partition("#")[0]
    if _ENCODED_SEPARATOR.search(path):
        return None
    try:
        name = unquote_to_bytes(path).decode("ascii").lstrip("/")
    except UnicodeError:
        return None
    if len(name) > 255 or not _PATH.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
        return None
    return name


def separated(path: str) -> tuple[str, str]:
    """The token before a path, and the path without it. Whatever stands where a token would is taken for one, so that
    none is logged because it was misspelt."""
    if path[:2] not in _BEFORE_TOKEN:
        return "", path
    token, _, rest = path[2:].partition("/")
    return token.lower(), "" if rest[:2] in _BEFORE_TOKEN else rest


def phone_address(request: web.BaseRequest, trusted_proxies: Sequence[Network]) -> str:
    """The address of the phone itself, or an empty text when a proxy stands between and is not trusted to tell it."""
    address = _peer(request)
    forwarded = [name for name in _FORWARDED_HEADERS if name in request.headers]
    if not forwarded:
        # A proxy that does not say for whom it asks asks for nobody: its own address proves no phone.
        return "" if is_among(address, trusted_proxies) else address
    if forwarded != ["X-Forwarded-For"] or not is_among(address, trusted_proxies):
        return ""
    return _first_untrusted(request.headers.getall("X-Forwarded-For"), trusted_proxies)


def _peer(request: web.BaseRequest) -> str:
    """Who speaks to us: who is at the other end, or whose connection a proxy passes through. When that does not say
    whose, it is nobody's: not the proxy's own, whose word on others would be taken."""
    client = request.protocol.client if isinstance(request.protocol, PhoneProtocol) else None
    if client is not None:
        return client
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return peer[0].partition("%")[0] if peer else ""


def _first_untrusted(headers: Sequence[str], trusted_proxies: Sequence[Network]) -> str:
    """Each proxy appends whom it heard from: the last address that is no proxy of ours is the phone's."""
    for hop in reversed([hop.strip() for header in headers for hop in header.split(",")]):
        if not is_among(hop, trusted_proxies):
            return hop if is_address(hop) else ""
    return ""


def certified(request: web.BaseRequest, certificates: DeviceCertificates) -> tuple[Certified | None, str]:
    """Whom the connection's client certificate names, or why one that was shown names nobody. Asked on every request: a
    TLS session outlives trust."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    judged = certificates.judge(tls) if isinstance(tls, ssl.SSLObject) else None
    if judged is None:
        return None, ""
    device = judged.device
    return (Certified(device.vendor, device.mac, device.sha256), "") if device else (None, judged.refused)
