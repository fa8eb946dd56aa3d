"""A made-up maker of phones, and a server that answers with whatever a test puts there."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ztp_server.domain.vendor import Vendor
from ztp_server.pki.authority import ServerFiles, ensure_server_files
from ztp_server.simulator.boot import BootResult, boot
from ztp_server.simulator.client import Client, new_session
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.trust import Trust

MAC = "02acce0000af"

READING = {
    "format": "xml",
    "address": "prov.url",
    "ca": "prov.ca",
    "ca_url": "prov.caUrl",
    "user": "line.{n}.user",
    "server": "line.{n}.server",
    "transport": "line.transport",
    "enabled": "line.{n}.on",
}
BOOT: list[Mapping[str, Any]] = [{"path": "{mac}.cfg", "reads": True}]


def make_phone(
    boot: list[Mapping[str, Any]] = BOOT, reading: Mapping[str, Any] = READING, part: str = "12-34"
) -> SimulatedPhone:
    """A phone of the made-up maker Acme."""
    family = {
        "name": "Acme", "factory_certificate": True, "line_key_types": [], "clock": "offset", "custom_name": ".*",
        "user_agent_example": "Acme {model}/{firmware} {mac} {MAC}", "notify": {"resync": "check-sync"},
        "boot": boot, "reading": reading,
    }  # fmt: skip
    model = {
        "id": "acme-1", "name": "Acme One", "family": "one", "user_agent": "ONE", "part": part,
        "lines": 3, "line_keys": 0, "codecs": [],
    }  # fmt: skip
    vendor = Vendor.model_validate({
        "id": "acme", "name": "Acme", "ouis": ["02acce"], "user_agents": [],
        "firmware": [{"pattern": "{model}.img"}], "family": {"one": family}, "model": [model],
    })  # fmt: skip
    return SimulatedPhone(vendor, vendor.model[0], MAC)


def xml(**parameters: str) -> bytes:
    """A file of parameters. `__` stands for a dot."""
    from lxml import etree

    return etree.tostring(etree.Element("all", {name.replace("__", "."): v for name, v in parameters.items()}))


Answer = bytes | int | Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class FileServer:
    """`answers` by path: a body, a status, or what makes a response; 404 for all others. `asked` is what came."""

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    user_agents: set[str] = field(default_factory=set)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/")
        self.asked.append(f"{request.method} {path}")
        self.user_agents.add(request.headers["User-Agent"])
        self.bodies.append(await request.read())
        answer = self.answers.get(path, 404)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    async def boot(self, phone: SimulatedPhone, *, whole_images: bool = False) -> BootResult:
        async with new_session(Trust().context()) as session:
            return await boot(Client(session, phone.user_agent), phone, self.url, whole_images=whole_images)


Serve = Callable[..., Awaitable[FileServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts file servers on loopback, with a TLS context or without."""
    runners = []

    async def start(context: ssl.SSLContext | None = None) -> FileServer:
        server = FileServer("")
        runner = web.ServerRunner(web.Server(server), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.url = f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}/"
        return server

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def server(serve: Serve) -> FileServer:
    return await serve()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return ensure_server_files(tmp_path_factory.mktemp("tls"), ["127.0.0.1"])


@pytest.fixture(scope="session")
def other_tls_files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    """Of another CA, and for another name."""
    return ensure_server_files(tmp_path_factory.mktemp("tls"), ["other.example.net"])


@pytest.fixture
def empty_file(tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    path.touch()
    return path
