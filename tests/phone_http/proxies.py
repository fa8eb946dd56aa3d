"""Proxies in front of the server: one of ours that behaves as told, and real ones with the files of deploy/proxy."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
import yarl
from aiohttp import web

from ztp_server.config import Address
from ztp_server.pki.authority import ensure_server_files

ROOT = Path(__file__).parents[2]
HEADER = "X-Client-Certificate"
# Where phones ask from: no proxy's address.
PHONE = ("127.0.0.3", 0)
_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
Manner = Literal["replaces", "passes on", "appends", "passes addresses on"]


def free_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return Address("127.0.0.1", found.getsockname()[1])


class Proxy:
    """Speaks TLS with phones, and plain HTTP with `behind`. `shown` is the certificate it says that it has seen."""

    def __init__(self, behind: Address, manner: Manner = "replaces") -> None:
        self.address = free_address()
        self.manner = manner
        self.shown: list[str] = []
        self._behind = behind

    @property
    def url(self) -> str:
        return f"https://{self.address}/"

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Proxy]:
        files = ensure_server_files(folder, ["localhost", "127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        runner = web.ServerRunner(web.Server(self._forward), handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address.host, self.address.port, ssl_context=context).start()
            yield self
        finally:
            await runner.cleanup()

    async def ask(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """The status a phone gets through it."""
        connector = aiohttp.TCPConnector(ssl=False, local_addr=PHONE)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(self.url + path, headers=headers) as answer,
        ):
            return answer.status

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers.copy()
        if self.manner != "passes addresses on":
            headers["X-Forwarded-For"] = request.remote or ""
        if self.manner in ("replaces", "passes addresses on"):
            headers.popall(HEADER, None)
        if self.manner != "passes on":
            for shown in self.shown:
                headers.add(HEADER, shown)
        target = yarl.URL(f"http://{self._behind}{request.raw_path}", encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, target, headers=headers, allow_redirects=False) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())


class RealProxy:
    """nginx or HAProxy with its file of deploy/proxy; only ports and paths are others."""

    def __init__(self, name: str, folder: Path, behind: Mapping[str, Address]) -> None:
        self.https, self.http, self.through = free_address(), free_address(), free_address()
        self._name = name
        self._folder = folder
        self._behind = {8080: behind["http"], 8081: behind["proxied"], 8445: behind["mtls"]}

    @property
    def url(self) -> str:
        return f"https://{self.https}/"

    @property
    def passes_through(self) -> bool:
        """Whether connections go through it untouched: nginx has a module for it, which Debian packs apart."""
        return self._name != "nginx" or _STREAM.exists()

    @asynccontextmanager
    async def running(self, *, forgets: str = "") -> AsyncIterator[RealProxy]:
        """Runs until the end; without the lines that hold `forgets`, if any."""
        self._folder.mkdir()
        files = ensure_server_files(self._folder / "tls", ["localhost", "127.0.0.1"])
        pem, key = files.certificate.read_text(), files.key.read_text()
        (self._folder / "public.pem").write_text(pem)
        (self._folder / "public.key").write_text(key)
        (self._folder / "public-with-key.pem").write_text(pem + key)
        (self._folder / "any-ca.pem").write_text(files.ca.read_text())
        command = self._nginx(forgets) if self._name == "nginx" else self._haproxy(forgets)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        try:
            await self._is_up(process)
            yield self
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()

    async def ask(self, url: str, device: tuple[Path, Path] | None = None) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if device:
            context.load_cert_chain(*device)
        connector = aiohttp.TCPConnector(ssl=context, local_addr=PHONE)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
            return answer.status

    async def _is_up(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(self.https.host, self.https.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
        assert process.stderr
        raise AssertionError((await process.stderr.read()).decode())

    def _text(self, name: str, forgets: str) -> str:
        lines = (ROOT / "deploy" / "proxy" / name).read_text().splitlines()
        text = "\n".join(line for line in lines if not forgets or forgets not in line)
        text = text.replace("/etc/ztp/", f"{self._folder}/")
        for port, address in self._behind.items():
            text = re.sub(rf"127\.0\.0\.1:{port}\b", str(address), text)
        return text

    def _nginx(self, forgets: str) -> list[str]:
        text = self._text("nginx.conf", forgets)
        for port, address in (("80", self.http), ("443", self.https), ("8444", self.through)):
            text = re.sub(rf"listen {port}\b", f"listen {address}", text)
        temporary = "".join(f"{kind}_temp_path {self._folder}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
        text = text.replace("http {", "http {\n" + temporary, 1)
        text = f"load_module {_STREAM};\n" + text if self.passes_through else text[: text.index("stream {")]
        file = self._folder / "nginx.conf"
        file.write_text(f"daemon off;\npid {self._folder}/pid;\nerror_log stderr;\n" + text)
        return [shutil.which("nginx") or "nginx", "-p", str(self._folder), "-c", str(file)]

    def _haproxy(self, forgets: str) -> list[str]:
        text = self._text("haproxy.cfg", forgets)
        for port, address in (("80", self.http), ("443", self.https), ("8444", self.through)):
            text = re.sub(rf"bind :{port}\b", f"bind {address}", text)
        file = self._folder / "haproxy.cfg"
        file.write_text(text + "\n")
        return [shutil.which("haproxy") or "haproxy", "-db", "-f", str(file)]
