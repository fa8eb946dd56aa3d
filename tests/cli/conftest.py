from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.services.opened import new_data, open_data
from ztp_server.cli.main import cli
from ztp_server.services.address import keep_address

MAC = "0004f2aabbcc"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"{len(lines)} lines on stderr: {self.err}"
        assert self.err.endswith("\n") and lines[0].isprintable()
        return lines[0]


Ztp = Callable[..., Ended]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return new_data(tmp_path / "data")


@pytest.fixture
def ztp(data: Path) -> Ztp:
    """Runs a command in this process, on the data folder of the test. It must not end with a traceback."""

    def run(*arguments: str | Path, stdin: str | None = None, **environment: str) -> Ended:
        env = {"ZTP_DATA": str(data), **environment}
        result = CliRunner(env=env).invoke(cli, [str(a) for a in arguments], input=stdin, obj=None)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def done(ztp: Ztp) -> Callable[..., str]:
    """Runs a command that must succeed in silence; returns what it printed."""

    def run(*arguments: str | Path, **more: str) -> str:
        ended = ztp(*arguments, **more)
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    return run


async def serve_once(data: Path) -> None:
    """Leaves the data folder as if the server had run with it, so that it knows its address."""
    services = await open_data(data)
    await keep_address(services.store, services.address)
    await services.close()


@pytest.fixture
def served(data: Path) -> Path:
    asyncio.run(serve_once(data))
    return data


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the site, base settings and phone of the design page."""
    data = new_data(tmp_path_factory.mktemp("prepared") / "data")
    asyncio.run(serve_once(data))
    for command in (
        ("site", "add", "madrid", "--name", "Madrid", "--set", "sip_server=sip.example.net"),
        ("base-settings", "add", "vvx-standard", "--model", "vvx-411"),
        ("phone", "add", "--hardware-id", MAC, "--name", "Reception", "--model", "vvx-411", "--site", "madrid",
         "--base-settings", "vvx-standard", "--line", "user=1001,password=s3cret,label=1001"),
    ):  # fmt: skip
        result = CliRunner().invoke(cli, [*command, "--data", str(data)])
        assert result.exit_code == 0, result.output
    return data


@pytest.fixture
def office(prepared: Path, data: Path, done: Callable[..., str]) -> Callable[..., str]:
    """Runs commands on a copy of the prepared data folder."""
    shutil.copytree(prepared, data, dirs_exist_ok=True)
    return done


def ztp_process(*arguments: str | Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it."""
    command = [*before, sys.executable, "-m", "ztp_server", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
