"""A phone's own HTTP interface, asked to restart it: at the phone's own address, bounded in time and size.

Nothing names a phone in its certificate but its MAC, so the usual check does not hold here. Who asks says how to tell
that a certificate is the phone's, where that can be told: then it must be shown before anything is sent, and plain HTTP
is not tried. Elsewhere nobody can be sure who answers: the password is shown as a Digest alone, never as it is. Private
addresses are where phones are; those that are nobody's are not asked (domain/reachable.py).
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import aiohttp
import yarl
from aiohttp import hdrs

from ztp_server.domain.notify import RestartWay
from ztp_server.domain.reachable import may_ask

SECONDS = 12.0
CONNECT_SECONDS = 4.0
LARGEST = 65_536
_UNAUTHORIZED = 401
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ServerFingerprintMismatch)


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of it: done, or not, and whether the phone was asked at all. `is_unsure` when it was and may be doing
    it: then it is better not asked in another way as well."""

    ok: bool
    reached: bool
    detail: str
    is_unsure: bool = False


class _Unreached(Exception):
    """No connection was made, or not to this phone; nothing was sent."""


# Given a certificate and those sent along (PEM), why it is not the phone's; empty when it is. It may take a moment.
Proof = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A phone to ask: its address, the row that says what of it, and the password that the row names. `proof` is there
    where its certificate can be told."""

    address: str
    row: RestartWay
    password: str = field(repr=False)
    proof: Proof | None = None


class PhoneInterface:
    """`https` and `http` are the ports."""

    def __init__(self, https: int = 443, http: int = 80) -> None:
        self._https = https
        self._http = http

    async def ask(self, wanted: Asked) -> Answered:
        """Ask a phone to do what a row says. Never raises for what a network or a phone does."""
        try:
            if not may_ask(wanted.address, allow_private=True):
                raise _Unreached(f"{wanted.address} is an address that is nobody's")
            async with asyncio.timeout(SECONDS):
                return await self._ask(wanted)
        except TimeoutError:
            return Answered(False, True, f"it did not answer within {SECONDS:.0f} s", is_unsure=True)
        except _Unreached as error:
            return Answered(False, False, str(error))
        except aiohttp.ClientConnectionError as error:
            return Answered(False, True, f"it hung up before it answered: {type(error).__name__}", is_unsure=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answered(False, True, f"it answered what cannot be understood: {type(error).__name__}")

    async def _ask(self, wanted: Asked) -> Answered:
        if wanted.proof is not None:
            shown = await _shown_certificate(wanted.address, self._https)
            reason = await asyncio.to_thread(wanted.proof, "".join(map(ssl.DER_cert_to_PEM_cert, shown)).encode())
            if reason:
                raise _Unreached(reason)
            pin = aiohttp.Fingerprint(sha256(shown[0]).digest())
            return await _post(wanted, "https", self._https, pin, is_sure=True)
        try:
            return await _post(wanted, "https", self._https, False)
        except _Unreached:
            return await _post(wanted, "http", self._http, True)


async def _shown_certificate(address: str, port: int) -> list[bytes]:
    """The certificate that is shown at a place, and those sent along (DER). Who shows it has its key: of that the
    handshake is the proof. Raises _Unreached."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, port, ssl=_unchecked())
    except (OSError, TimeoutError) as error:
        raise _Unreached(f"no TLS with {address}: {_why(error)}") from None
    try:
        connection = writer.get_extra_info("ssl_object")
        leaf = connection.getpeercert(True)
        # Public in `ssl` from Python 3.13 on.
        get_chain = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
        above = [one.public_bytes().encode() for one in (get_chain() or [])[1:6]] if get_chain else []
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if not leaf:
        raise _Unreached(f"{address} shows no certificate")
    return [leaf, *map(ssl.PEM_cert_to_DER_cert, (one.decode() for one in above))]


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _post(
    wanted: Asked, scheme: str, port: int, trust: aiohttp.Fingerprint | bool, *, is_sure: bool = False
) -> Answered:
    """Raises _Unreached when no connection was made; else what aiohttp raises."""
    url = yarl.URL.build(scheme=scheme, host=wanted.address, port=port, path=wanted.row.path)
    connector = aiohttp.TCPConnector(ssl=trust, force_close=True, use_dns_cache=False)
    jar = aiohttp.DummyCookieJar()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=jar, auto_decompress=False, timeout=timeout
    ) as session:
        try:
            digest = _digest(wanted)
            status, asks, body = await _once(session, url, wanted, {}, digest)
            if status == _UNAUTHORIZED and is_sure and asks.startswith("basic"):
                basic = base64.b64encode(f"{wanted.row.user}:{wanted.password}".encode()).decode()
                status, asks, body = await _once(session, url, wanted, {hdrs.AUTHORIZATION: f"Basic {basic}"})
        except _NO_CONNECTION as error:
            raise _Unreached(f"no connection to {scheme}://{wanted.address}: {_why(error)}") from None
    return _judged(wanted, status, asks, body, is_sure=is_sure)


async def _once(
    session: aiohttp.ClientSession,
    url: yarl.URL,
    wanted: Asked,
    headers: Mapping[str, str],
    *middlewares: aiohttp.DigestAuthMiddleware,
) -> tuple[int, str, bytes]:
    """Status, what login it asks for, and the body of an answer."""
    every = {hdrs.ACCEPT_ENCODING: "identity", **headers}
    if wanted.row.content_type:
        every[hdrs.CONTENT_TYPE] = wanted.row.content_type
    body = wanted.row.body.encode()
    async with session.post(url, data=body, headers=every, allow_redirects=False, middlewares=middlewares) as response:
        found = await response.content.readany()
        while len(found) <= LARGEST and (more := await response.content.readany()):
            found += more
        return response.status, response.headers.get(hdrs.WWW_AUTHENTICATE, "").lower(), found[:LARGEST]


def _digest(wanted: Asked) -> aiohttp.DigestAuthMiddleware:
    return aiohttp.DigestAuthMiddleware(wanted.row.user, wanted.password, preemptive=False)


def _judged(wanted: Asked, status: int, asks: str, body: bytes, *, is_sure: bool) -> Answered:
    if status == _UNAUTHORIZED:
        if asks.startswith("basic") and not is_sure:
            return Answered(False, True, "it asks for the password as it is, which is not sent to who proves nothing")
        return Answered(False, True, f"it does not take the login: is {wanted.row.password} what the phone has?")
    if status != 200:
        return Answered(False, True, f"it answered {status}" + (": is its interface on?" if status == 404 else ""))
    answer = _fields(body)
    for name, value in wanted.row.says.items():
        if str(answer.get(name)) != value:
            said = ascii(str(answer.get(name, "nothing")))[:64]
            return Answered(False, True, f"it answered {said} as {name}, not {value}")
    return Answered(True, True, "it answered that it will")


def _fields(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _why(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or error
    return getattr(inner, "reason", None) or getattr(inner, "strerror", None) or type(inner).__name__
