"""HTTP in, HTTP out. There is one route: whatever a phone asks goes to Provisioning.answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from ztp_server.certificates import Certificates
from ztp_server.domain.request import (
    Certified,
    Challenge,
    Kept,
    Listener,
    Outcome,
    PhoneFile,
    PhoneRequest,
    Redirect,
    Refusal,
    StoredFile,
    TooLarge,
    Unavailable,
)
from ztp_server.domain.site import Network
from ztp_server.log import LONGEST_VALUE, RequestLog
from ztp_server.metrics import Metrics
from ztp_server.phone_http.digest import NOTHING, Answered, Asking, Logins
from ztp_server.phone_http.forwarded import ForwardedHeader
from ztp_server.phone_http.identity import certified, phone_address, requested_path, separated
from ztp_server.phone_http.protocol import SERVER
from ztp_server.services.provisioning import Provisioning

# An upload that takes longer is no phone's.
UPLOAD_SECONDS = 30
# When a phone that we had nothing for may ask again.
RETRY_SECONDS = 30
_ETAG = re.compile(r'"[^"]*"')
_METHODS = ("GET", "HEAD", "PUT")


class PhoneDoor:
    """What the listeners for phones share."""

    def __init__(
        self,
        provisioning: Provisioning,
        certificates: Certificates,
        forwarded: ForwardedHeader,
        trusted_proxies: Sequence[Network],
        metrics: Metrics,
        requests: RequestLog,
        logins: Logins,
    ) -> None:
        self._provisioning = provisioning
        self._forwarded = forwarded
        self.take(certificates)
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics
        self._requests = requests
        self._logins = logins

    def take(self, certificates: Certificates) -> None:
        """From now on these say whose a client's certificate is."""
        self._devices = certificates.devices
        self._forwarded.certificates = certificates.forwarded

    def handler(self, listener: Listener) -> _Handler:
        """The request handler of one listener."""
        return _Handler(self, listener)

    async def serve(self, request: web.BaseRequest, listener: Listener) -> web.StreamResponse:
        started = time.perf_counter()
        path = requested_path(request.raw_path)
        asking = self._logins.asking(listener, path, request.raw_path)
        asked, stale = self._phone_request(request, (path or "").removeprefix(asking.prefix), listener, asking)
        if path is None or request.method not in _METHODS:
            why = "not a name that phones ask for"
            outcome = Outcome(Challenge(why) if asked.must_log_in else Refusal(why))
        elif self._forwarded.is_forged(request, listener, request.remote or ""):
            outcome = Outcome(Refusal("a header that only a proxy may set"))
        else:
            outcome = await self._provisioning.answer(asked)

        def note(response: web.StreamResponse, sent: int) -> None:
            self._note(asked, outcome, response.status, sent, time.perf_counter() - started, request.remote)

        response = _response(request, outcome, note)
        response.headers[hdrs.SERVER] = SERVER
        if isinstance(outcome.answer, Challenge):
            for challenge in self._logins.challenges(asking, asked.address, stale):
                response.headers.add(hdrs.WWW_AUTHENTICATE, challenge)
        if not isinstance(response, _StoredResponse):
            body = getattr(response, "body", None) or b""
            note(response, 0 if request.method == hdrs.METH_HEAD else len(body))
        return response

    def _phone_request(
        self, request: web.BaseRequest, path: str, listener: Listener, asking: Asking
    ) -> tuple[PhoneRequest, bool]:
        """What is asked, and whether all that was wrong with a login was the age of its nonce."""
        address = phone_address(request, self._trusted_proxies)
        certificate, refused = self._certified(request, listener, address)
        token, name = separated(path)
        answered = self._answered(request, asking, address) if asking else NOTHING
        asked = PhoneRequest(
            path=name,
            method=request.method,
            user_agent=_user_agent(request),
            certificate=certificate,
            refused=refused,
            address=address,
            listener=listener,
            read=lambda most: _read(request, most),
            demands_certificate=listener in self._devices,
            token=token,
            login=answered.login,
            may_log_in=bool(asking),
            must_log_in=asking.prefix != "",
        )
        return asked, answered.stale

    def _answered(self, request: web.BaseRequest, asking: Asking, address: str) -> Answered:
        headers = request.headers.getall(hdrs.AUTHORIZATION, [])
        return self._logins.read(asking, request.method, request.raw_path, address, headers)

    def _certified(self, request: web.BaseRequest, listener: Listener, address: str) -> tuple[Certified | None, str]:
        """Whom a certificate names, by what counts on the listener, or why one that was shown names nobody."""
        if listener == "proxied":
            return self._forwarded.certified(request, address), ""
        devices = self._devices.get(listener)
        return certified(request, devices) if devices else (None, "")

    def _note(
        self, asked: PhoneRequest, outcome: Outcome, status: int, sent: int, seconds: float, peer: str | None
    ) -> None:
        self._metrics.observe(asked.listener, outcome.vendor, status, sent, seconds)
        self._requests.write(
            {
                "listener": asked.listener,
                "method": asked.method,
                "file": asked.path,
                "status": status,
                "bytes": sent,
                "ms": round(seconds * 1000, 2),
                "mac": outcome.mac,
                "model": outcome.model,
                "firmware": outcome.firmware[:LONGEST_VALUE],
                "proof": outcome.proof,
                "address": asked.address or peer,
                "reason": getattr(outcome.answer, "reason", ""),
            }
        )


class _Handler:
    def __init__(self, door: PhoneDoor, listener: Listener) -> None:
        self._door = door
        self._listener = listener

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._door.serve(request, self._listener)


class _StoredResponse(web.FileResponse):
    """A file on disk. How much of it went out is known at the end: phones hang up once the header of an image tells
    them that they have it, which is no error."""

    def __init__(self, path: Path, note: Callable[[web.StreamResponse, int], None]) -> None:
        super().__init__(path, headers={hdrs.CONTENT_TYPE: "application/octet-stream"})
        self._note = note
        self._sent = 0

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        finally:
            self._note(self, self._sent)

    async def _sendfile(self, request: web.BaseRequest, fobj: IO[Any], offset: int, count: int) -> AbstractStreamWriter:
        try:
            if not request.secure:
                return await super()._sendfile(request, fobj, offset, count)
            # Over TLS the kernel can do nothing, and asyncio's stand-in writes on after the phone hung up.
            writer = await web.StreamResponse.prepare(self, request)
            assert writer is not None
            return await self._sendfile_fallback(writer, fobj, offset, count)
        finally:
            self._sent = max(fobj.tell() - offset, 0)


def _user_agent(request: web.BaseRequest) -> str:
    """What the phone calls itself; bytes that are no ASCII come as surrogates, which no database takes."""
    return request.headers.get(hdrs.USER_AGENT, "")[:512].encode("ascii", "replace").decode("ascii")


async def _read(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, or None when it is larger than `most` bytes, packed, or does not come in time."""
    if request.headers.get(hdrs.CONTENT_ENCODING) or (request.content_length or 0) > most:
        return None
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself is sent yet
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    return None
    except TimeoutError:
        return None
    return bytes(body)


def _response(
    request: web.BaseRequest, outcome: Outcome, note: Callable[[web.StreamResponse, int], None]
) -> web.StreamResponse:
    """An outcome as HTTP. Every refusal is the same, whatever its reason."""
    answer = outcome.answer
    if isinstance(answer, PhoneFile):
        return _file_response(request, answer)
    if isinstance(answer, StoredFile):
        return _StoredResponse(answer.path, note)
    if isinstance(answer, Redirect):
        return web.Response(status=302, headers={hdrs.LOCATION: answer.location})
    if isinstance(answer, Kept):
        return web.Response(status=201 if answer.created else 204)
    response = web.Response(status=outcome.status)
    if isinstance(answer, Unavailable):
        response.headers[hdrs.RETRY_AFTER] = str(RETRY_SECONDS)
    if isinstance(answer, TooLarge):
        # What was not read of the body must not be taken for the next request.
        response.force_close()
    return response


def _file_response(request: web.BaseRequest, file: PhoneFile) -> web.Response:
    etag = f'"{file.etag}"'
    headers = {hdrs.CONTENT_TYPE: file.content_type, hdrs.ETAG: etag, hdrs.CACHE_CONTROL: "no-store"}
    if _has(request, etag):
        return web.Response(status=304, headers={hdrs.ETAG: etag, hdrs.CACHE_CONTROL: "no-store"})
    return web.Response(body=file.body, headers=headers)


def _has(request: web.BaseRequest, etag: str) -> bool:
    """Whether the phone says it has this already (RFC 9110, section 13.1.2: compared weakly, `*` is any)."""
    given = ", ".join(request.headers.getall(hdrs.IF_NONE_MATCH, []))
    return given.strip() == "*" or etag in _ETAG.findall(given)
