"""HTTP as phones are spoken to: one connection, and what of it is refused before anybody looks at what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web, web_protocol

from ztp_server.phone_http.gate import Gate
from ztp_server.phone_http.seats import Seat

# What answers call this program: no version of ours or of what we are built with.
SERVER = "ztp"
# Also the time in which a request's header must be complete.
IDLE_SECONDS = 15
# A phone's request has five headers and some hundred bytes; a proxy adds its own, with a certificate among them.
LONGEST_LINE = 8190
MOST_HEADERS = 100
LONGEST_HEAD = 16 * 1024
_REFUSED = f"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nServer: {SERVER}\r\nConnection: close\r\n\r\n".encode()

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class PhoneServer(web.Server):
    """The connections of one listener."""

    def __init__(self, handler: Handler, gate: Gate) -> None:
        super().__init__(handler)
        self._gate = gate

    def protocol(self, seat: Seat) -> PhoneProtocol:
        return PhoneProtocol(self, self._gate, seat)


class PhoneProtocol(web_protocol.RequestHandler):
    """Tells a client that breaks the grammar so, without repeating what it sent, and the gate what it is doing."""

    __slots__ = ("_gate", "_head", "_seat")

    def __init__(self, server: PhoneServer, gate: Gate, seat: Seat) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
            # Bodies are taken as sent: nothing a stranger sends is unpacked.
            auto_decompress=False,
        )
        self._gate = gate
        self._seat = seat
        self._head = 0

    @property
    def client(self) -> str | None:
        """The address of the client by the proxy that passes its connection through: empty when that named none, None
        where there is no such proxy."""
        return self._seat.client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._gate.seated(self._seat, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._gate.left(self._seat)

    def data_received(self, data: bytes) -> None:
        # The parser bounds each line, and knows no bound for lines that go on and on.
        self._head = self._head + len(data) if self._waiter else 0
        super().data_received(data)
        if self._messages:
            self._head = 0
        elif self._head > LONGEST_HEAD and self.transport:
            self._gate.refused("malformed")
            self.transport.write(_REFUSED)
            self.force_close()

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        self._gate.work(self._seat)
        try:
            handler = request_handler if _is_acceptable(request) else self._refuse
            return await super()._handle_request(request, start_time, handler)
        finally:
            self._gate.rest(self._seat)

    async def _refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        return self.handle_error(request, 400)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 and exc is not None:
            self.log_exception("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer is sent already")
        if status < 500:
            self._gate.refused("malformed")
        response = web.Response(status=503 if status >= 500 else status, headers={hdrs.SERVER: SERVER})
        response.force_close()
        return response


def _is_acceptable(request: web.BaseRequest) -> bool:
    """Whether this can be a phone's: nothing but an upload has a body, and no head is that long.

    RFC 9110, section 9.3.1: what a body of a GET means is defined nowhere, and who sends one means to confuse a proxy.
    """
    if request.method != hdrs.METH_PUT and (
        hdrs.TRANSFER_ENCODING in request.headers
        or hdrs.CONTENT_ENCODING in request.headers
        or request.headers.get(hdrs.CONTENT_LENGTH, "0") != "0"
    ):
        return False
    return sum(len(name) + len(value) for name, value in request.raw_headers) <= LONGEST_HEAD
