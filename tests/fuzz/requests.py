"""A request as it comes to a listener for phones, through the real server with phones in it: `LISTENER METHOD TARGET`,
lines of headers, an empty line, the body. It must be answered, with no 5xx, and no file may be opened elsewhere."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.engine import Try, fuzz

LISTENERS = {name.encode(): name for name in ("http", "https", "mtls", "proxied")}
ADDRESS = "127.0.0.1"
HEADER = "X-SSL-Client-Cert"
SECONDS = 5.0
# Where a new data folder is, if there is one: to make one takes longer than a thousand requests.
DATA = "ZTP_FUZZ_DATA"
# What a request passes through; to watch everything takes ten seconds to begin with.
WATCHED = (
    *("ztp_server.phone_http", "ztp_server.pki", "ztp_server.xml_parameters", "ztp_server.domain"),
    *(f"ztp_server.services.{name}" for name in ("provisioning", "proving", "uploads", "firmware_requests")),
)
OK = frozenset({200, 201, 204, 206, 302, 304, 400, 401, 404, 413, 416})


def prepare() -> Try:
    os.environ["AIOHTTP_NOSENDFILE"] = "1"  # The connection here is none of the kernel's.
    from tests.conftest import ADMIN, VVX, fill, options
    from tests.services.opened import there_or_new
    from ztp_server import log
    from ztp_server.app import App
    from ztp_server.config import parse_proxies, shipped_folder
    from ztp_server.phone_http import protocol, routes
    from ztp_server.services import failures

    log.set_up(as_json=True)
    log.RequestLog.write = lambda self, fields: lines.append(fields)
    lines: list[dict[str, Any]] = []
    # What is waited for on purpose would only make it slow.
    failures.FLOOR_SECONDS, failures._DRAWN_SECONDS = 0.0, (0.0, 0.0)
    routes.UPLOAD_SECONDS, protocol.IDLE_SECONDS = 0.02, 0.02

    scratch = tempfile.TemporaryDirectory(prefix="ztp-fuzz-")
    atexit.register(scratch.cleanup)
    data = there_or_new(Path(os.environ.get(DATA, Path(scratch.name) / "data")))
    roots = (data, shipped_folder("templates"))
    loop = asyncio.new_event_loop()

    async def start() -> Any:
        app = await App.start(
            options(
                data,
                phone_https=None,
                phone_mtls=None,
                admin=None,
                trusted_proxies=parse_proxies("192.0.2.1/32"),
                digest=("https",),
                basic=("https",),
            )
        )
        await fill(app.services)
        await app.services.phone_proofs.set_digest(ADMIN, VVX)
        image = data.parent / "image"
        image.write_bytes(b"firmware")
        await app.services.firmware.add(ADMIN, image, ["vvx-411"], "5.9.7", True)
        static = data / "templates" / "poly" / "files" / "ring.wav"
        static.parent.mkdir(parents=True)
        static.write_bytes(b"RIFF")
        await app._refresh_templates()
        app._door._forwarded.header, app._door._forwarded.believed = HEADER, True
        return app, {key: protocol.PhoneServer(app._door.handler(name), NoGate()) for key, name in LISTENERS.items()}

    app, servers = loop.run_until_complete(start())
    opened: list[str] = []
    broken: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: broken.append(context))
    sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)

    def try_one(data: bytes) -> None:
        listener, request = as_sent(data)
        opened.clear()
        lines.clear()
        answer = loop.run_until_complete(ask(servers[listener], request))
        while answer.startswith(b"HTTP/1.1 100 "):
            answer = answer.partition(b"\r\n\r\n")[2]
        assert answer.startswith(b"HTTP/1."), answer
        assert int(answer[9:12]) in OK, (answer, lines[-1])
        assert not broken, broken
        outside = [path for path in opened if not is_ours(path, roots)]
        assert not outside, outside

    # What is loaded once is loaded now, and the phone has fetched a file, so that its user's changes are taken.
    for path in (f"{VVX}-settings.cfg", "ring.wav", "fw/5.9.7/3111-48450-001.sip.ld", "x"):
        try_one(f"http GET /{path}\n".encode())
    loop.run_until_complete(app.check_ins.flush())
    return try_one


def as_sent(data: bytes) -> tuple[bytes, bytes]:
    """Which listener, and what it is sent: one request with the whole of its body."""
    head, _, body = data.partition(b"\n\n")
    first, *headers = head.split(b"\n")
    listener, _, line = first.partition(b" ")
    lines = [line + b" HTTP/1.1", b"Host: x", *headers, b"Connection: close"]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return (listener if listener in LISTENERS else b"http"), b"\r\n".join(lines) + b"\r\n\r\n" + body


async def ask(server: Any, request: bytes) -> bytes:
    """Everything that is answered until the server hangs up; raises TimeoutError when it does not."""
    from ztp_server.phone_http.seats import Seat
    from ztp_server.phone_http.sources import Source

    source = Source(ADDRESS, boundless=True)
    connection = server.protocol(Seat(source, None, 0.0))
    transport = Transport(connection)
    connection.connection_made(transport)
    connection.data_received(request)
    async with asyncio.timeout(SECONDS):
        await transport.closed.wait()
    connection.connection_lost(None)
    return bytes(transport.answer)


def is_ours(path: str, roots: tuple[Path, ...]) -> bool:
    """In the server's folders; or its own code, which is imported when it is needed and read for a traceback."""
    file = Path(path)
    return path.isdigit() or file.suffix in (".py", ".pyc", ".so") or any(file.is_relative_to(root) for root in roots)


class NoGate:
    """Lets everything in."""

    def seated(self, *_: object) -> None: ...

    left = work = rest = refused = seated


class Transport(asyncio.Transport):
    """A connection that keeps what it is given."""

    def __init__(self, connection: Any) -> None:
        super().__init__({"peername": (ADDRESS, 40000), "sockname": (ADDRESS, 80)})
        self.connection = connection
        self.answer = bytearray()
        self.closed = asyncio.Event()

    def write(self, data: Any) -> None:
        self.answer += data

    def writelines(self, parts: Any) -> None:
        for part in parts:
            self.write(part)

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    abort = close

    def get_protocol(self) -> Any:
        return self.connection

    def set_protocol(self, protocol: Any) -> None:
        self.connection = protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_reading(self) -> bool:
        return True

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


if __name__ == "__main__":
    fuzz("requests", prepare, watched=WATCHED)
