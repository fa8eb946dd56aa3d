"""`ztp serve` as a process of its own, for tests that kill it or take its disk away."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.conftest import VVX_UA


@dataclass
class Child:
    """A server that runs: its URLs end with a slash."""

    process: subprocess.Popen[str]
    phones: str
    admin: str

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """A phone's request: status and body."""
        return fetch(self.phones + path, method, body, {"User-Agent": VVX_UA})

    def ask_admin(self, path: str) -> int:
        return fetch(self.admin + path, "GET", None, {})[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, method: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@contextmanager
def serving(data: Path, port: int, before: Callable[[], Any] | None = None) -> Iterator[Child]:
    """Serve a data folder to phones on a port until the end of the block; `before` is called in the new process."""
    command = [sys.executable, "-m", "ztp_server", "serve", "--data", str(data), "--public-name", "127.0.0.1"]
    listeners = {"phone-http": f"127.0.0.1:{port}", "admin": "127.0.0.1:0", "phone-https": "off", "phone-mtls": "off"}
    command += [part for name, address in listeners.items() for part in (f"--{name}", address)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=before)
        try:
            yield Child(process, f"http://127.0.0.1:{port}/", _admin_url(process, errors))
        finally:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


def _admin_url(process: subprocess.Popen[str], errors: IO[str]) -> str:
    assert process.stdout
    said = ""
    while "Ready after" not in said:
        line = process.stdout.readline()
        errors.seek(0)
        assert line, f"it ended: {said}{errors.read()}"
        said += line
    found = re.search(r"Administrator: +(http://[^/]+/)", said)
    assert found, said
    return found[1]
