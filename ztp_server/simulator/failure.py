"""Why a simulated phone got no further, in one line for whoever looks after phones."""

from __future__ import annotations

import ssl

import aiohttp
from yarl import URL

from ztp_server.errors import Refused

# Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME, _WRONG_ADDRESS = 62, 64


class SimulationFailed(Refused):
    """A phone would not get further than this."""


def shown(url: str) -> str:
    """A URL as it may be printed: without the user and password it may hold."""
    try:
        return str(URL(url).with_user(None)) if "@" in url else url
    except ValueError:
        return url.rpartition("@")[2]


def explain(url: str, error: Exception) -> str:
    """Why no answer came from the server of `url`, and how to mend it."""
    server = "/".join(shown(url).split("/")[:3])
    return f"{server}/: {_reason(url, error)}"


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_reason(error.certificate_error)
    if isinstance(error, ssl.SSLError | aiohttp.ClientConnectorSSLError):
        return _tls_reason(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no address is known for this name"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if _is_hang_up(error):
        return _hang_up_reason(url)
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address that begins with http:// or https://"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection: nothing listens there, or the network does not lead there"
    return f"no proper answer ({error or type(error).__name__})"


def _certificate_reason(error: Exception) -> str:
    said = getattr(error, "verify_message", "").rstrip(".") or str(error)
    code = getattr(error, "verify_code", 0)
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"the server's certificate is for another name ({said}): it must hold the name that phones are given"
    if code in (_NOT_YET_VALID, _EXPIRED):
        return f"the server's certificate is out of date ({said})"
    return f"the phone does not trust the server's certificate ({said}): it needs the CA first"


def _tls_reason(error: Exception) -> str:
    """Alerts say what the server did not like, everything else what the phone made of the server's bytes."""
    reason = getattr(error, "reason", None) or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "no TLS is spoken there: an address of http://?"
    if "CERTIFICATE_REQUIRED" in reason or "UNKNOWN_CA" in reason:
        return _hang_up_reason("https://")
    return f"TLS failed ({reason.replace('_', ' ').lower()})"


def _is_hang_up(error: Exception) -> bool:
    os_error = getattr(error, "os_error", error)
    return isinstance(os_error, ConnectionResetError | BrokenPipeError | aiohttp.ServerDisconnectedError)


def _hang_up_reason(url: str) -> str:
    """A server that refuses a client certificate just closes: with TLS 1.3 even after the phone's part is done."""
    if url.startswith("https:"):
        return (
            "the server hung up: it asks for a factory certificate (--cert), "
            "or does not know the CA of this one (certs/<vendor>/)"
        )
    return "the server hung up without an answer: an address of https://?"
