"""Why a simulated phone got no further, in one line for whoever looks after phones."""

from __future__ import annotations

import errno
import os
import re
from urllib.parse import urlsplit

import aiohttp

from ztp_server.errors import Refused

# Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME, _WRONG_ADDRESS = 62, 64
_OF_OPENSSL = re.compile(r"\[SSL: (\w+)\]")
# Alerts of servers that miss a client certificate or do not believe it; TLS 1.2 has no word for the former.
_ABOUT_THE_CLIENT = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "ALERT_HANDSHAKE_FAILURE")


class SimulationFailed(Refused):
    """A phone would not get further than this."""


def shown(url: str) -> str:
    """A URL as it may be printed: without the user and password it may hold."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def explain(url: str, error: Exception) -> str:
    """Why no answer came from the server of `url`, and how to mend it."""
    server = "/".join(shown(url).split("/")[:3])
    return f"{server}/: {_reason(url, error)}"


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_reason(error.certificate_error)
    tls = _OF_OPENSSL.search(str(error))
    if tls:
        return _tls_reason(tls[1])
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no address is known for this name"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if _is_hang_up(error):
        return _hang_up_reason(url)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "not an address that begins with http:// or https://"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({os.strerror(error.errno) if error.errno else error})"
    message = getattr(error, "message", "") or str(error) or type(error).__name__
    return f"no proper answer ({' '.join(message.split())})"


def _certificate_reason(error: Exception) -> str:
    said = getattr(error, "verify_message", "").rstrip(".") or str(error)
    code = getattr(error, "verify_code", 0)
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"the server's certificate is for another name ({said}): it must hold the name that phones are given"
    if code in (_NOT_YET_VALID, _EXPIRED):
        return f"the server's certificate is out of date ({said})"
    return f"the phone does not trust the server's certificate ({said}): it needs the CA first"


def _tls_reason(reason: str) -> str:
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "no TLS is spoken there: an address of http://?"
    if any(alert in reason for alert in _ABOUT_THE_CLIENT):
        return _hang_up_reason("https://")
    return f"TLS failed ({reason.replace('_', ' ').lower()})"


def _is_hang_up(error: Exception) -> bool:
    """aiohttp tells it in several ways, and keeps no error number when it happens in the handshake."""
    cause = getattr(error, "os_error", error)
    numbered = getattr(cause, "errno", None) in (errno.ECONNRESET, errno.EPIPE)
    return numbered or isinstance(cause, ConnectionResetError | aiohttp.ServerDisconnectedError)


def _hang_up_reason(url: str) -> str:
    """A server that refuses a client certificate just closes: with TLS 1.3 even after the phone's part is done."""
    if url.startswith("https:"):
        return (
            "the server hung up: it asks for a factory certificate (--cert), "
            "or does not know the CA of this one (certs/<vendor>/)"
        )
    return "the server hung up without an answer: an address of https://?"
