"""The two servers and the load."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SERVER_CORE, CLIENT_CORE = "0", "1"
CONNECTIONS = 16
_NGINX = """
user {user}; worker_processes 1; worker_cpu_affinity 01;
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000; sendfile on; types {{ }} default_type text/xml;
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; root {folder}/root;
    ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key;
  }}
}}
"""
_NAMES_LUA = """
local names, at = {{}}, 0
for line in io.lines("{file}") do names[#names + 1] = line end
request = function() at = at % #names + 1; return wrk.format("GET", "/" .. names[at]) end
"""
_CLOSE_LUA = 'wrk.headers["Connection"] = "close"\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Ztp:
    """This server on one core, with demonstration data; its log goes to a file."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._http, self._https = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tls(self) -> Path:
        return self._data / "tls"

    @property
    def http_port(self) -> int:
        return self._http

    @property
    def https_port(self) -> int:
        return self._https

    def url(self, secure: bool) -> str:
        return f"https://127.0.0.1:{self._https}/" if secure else f"http://127.0.0.1:{self._http}/"

    def start(self) -> float:
        """Start and wait until it answers; seconds."""
        started = time.perf_counter()
        command = [*_ON_SERVER_CORE, sys.executable, "-m", "ztp_server", "serve", "--demo", "--data", str(self._data)]
        command += ["--phone-http", f"127.0.0.1:{self._http}", "--phone-https", f"127.0.0.1:{self._https}"]
        command += ["--phone-mtls", f"127.0.0.1:{free_port()}", "--admin", "off", "--log", "json"]
        log = open(self._data.parent / "ztp.log", "ab")  # noqa: SIM115 (the process keeps it)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        wait_for(self._http)
        wait_for(self._https)
        return round(time.perf_counter() - started, 2)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def memory(self) -> int:
        """Resident memory in MB."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) // 1024 if found else 0

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url(False) + path) as answer:
            body: bytes = answer.read()
            return body

    def ztp(self, *arguments: str) -> None:
        environment = os.environ | {"ZTP_DATA": str(self._data)}
        subprocess.run(
            [sys.executable, "-m", "ztp_server", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL
        )


class Nginx:
    """nginx with one worker on the same core, serving a file, writing its access log."""

    def __init__(self, folder: Path, body: bytes, tls: Path, http: int, https: int) -> None:
        (folder / "root").mkdir(parents=True)
        (folder / "root" / "0004f2000000-settings.cfg").write_bytes(body)
        self._config = folder / "nginx.conf"
        self._config.write_text(_NGINX.format(user=getpass.getuser(), folder=folder, http=http, https=https, tls=tls))
        self._ports = http, https
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, secure: bool) -> str:
        return f"https://127.0.0.1:{self._ports[1]}/" if secure else f"http://127.0.0.1:{self._ports[0]}/"

    def start(self) -> None:
        command = [*_ON_SERVER_CORE, "nginx", "-c", str(self._config), "-p", str(self._config.parent)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(self._ports[0])

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)


_ON_SERVER_CORE = ["taskset", "-c", SERVER_CORE]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on port {port}")


def wrk(url: str, seconds: int, new_connections: bool, names: list[str] | None = None) -> float:
    """Requests per second. Any answer but 2xx is an error: a fast refusal is no figure."""
    with tempfile.TemporaryDirectory() as folder:
        script, listed = Path(folder, "load.lua"), Path(folder, "names")
        listed.write_text("\n".join(names or []))
        script.write_text((_NAMES_LUA.format(file=listed) if names else "") + (_CLOSE_LUA if new_connections else ""))
        command = [
            "taskset",
            "-c",
            CLIENT_CORE,
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "-s",
            str(script),
            url,
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output:
        raise RuntimeError(f"{url}: {output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])
