"""What `deploy/` says of how the server runs: the unit's sandbox, and what an image holds and how it is started."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import click
import pytest

from tests.services.opened import new_data
from ztp_server.cli.main import cli

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy" / "ztp.service"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
ANYWHERE = {f"ZTP_{name}": "127.0.0.1:0" for name in ("PHONE_HTTP", "PHONE_HTTPS", "PHONE_MTLS", "ADMIN")}
# linux/prctl.h, from Linux 6.3 on: no memory becomes executable that was not when it was mapped, here and in children.
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1

ANALYZE = shutil.which("systemd-analyze")
analyzed = pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not here: apt-get install systemd")


def options(section: str) -> dict[str, list[str]]:
    """What a section of the unit says, each option as often as it stands there."""
    text = re.search(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", UNIT.read_text(), re.DOTALL | re.MULTILINE)
    assert text
    found: dict[str, list[str]] = {}
    for line in text[1].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order, lines that go on put together."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(place for place, (word, _) in enumerate(found) if word == "FROM") :]


def environment(data: Path, more: Mapping[str, str]) -> dict[str, str]:
    """As the service's is: nothing of who runs the tests but where programs are."""
    known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return {**known, **ANYWHERE, **more, "ZTP_DATA": str(data), "ZTP_PUBLIC_NAME": "127.0.0.1"}


@asynccontextmanager
async def running(command: Sequence[str], known: Mapping[str, str], **how: Any) -> AsyncIterator[tuple[int, int]]:
    """A server once it is ready: its process, and its port for administrators. Told to end, it must do so by itself in
    the time that the unit gives it."""
    process = await asyncio.create_subprocess_exec(
        *command, env=known, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, **how
    )
    assert process.stdout
    said = ""
    try:
        async with asyncio.timeout(120):
            while "Ready" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        admin = re.search(r"Administrator: +http://127\.0\.0\.1:(\d+)/", said)
        assert admin, said
        yield process.pid, int(admin[1])
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(float(options("Service")["TimeoutStopSec"][0])):
            await process.stdout.read()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def of_process(pid: int, name: str) -> str:
    """A file of `/proc/PID/`."""
    return Path(f"/proc/{pid}/{name}").read_text()


def bounded() -> None:
    """In the child: of the unit's limits those that a process can put on itself."""
    files = int(options("Service")["LimitNOFILE"][0])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), min(files, hard)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A kernel before 6.3 does not know it, and the rest is tried all the same.
    ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)


@analyzed
def test_the_unit_gives_the_process_little() -> None:
    said = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--threshold=20", str(UNIT)], capture_output=True, text=True
    )
    exposure = re.search(r"Overall exposure level for ztp\.service: ([\d.]+)", said.stdout)
    assert exposure, said.stderr
    assert said.returncode == 0 and float(exposure[1]) <= 2.0, said.stdout
    on_the_page = re.search(r"deploy/ztp\.service` rates it ([\d.]+)", (ROOT / "docs/how-to/deploy.md").read_text())
    assert on_the_page and float(on_the_page[1]) >= float(exposure[1])


@analyzed
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "ztp"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "ztp.service"
    text = UNIT.read_text()
    assert "/opt/ztp/bin/ztp" in text
    copy.write_text(text.replace("/opt/ztp/bin/ztp", str(program)))
    said = subprocess.run([str(ANALYZE), "verify", "--man=no", str(copy)], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")


def test_the_unit_may_listen_where_the_server_does() -> None:
    listeners = {
        parameter.default.rpartition(":")[2]
        for parameter in cli.get_command(click.Context(cli), "serve").params
        if parameter.name in ("phone_http", "phone_https", "phone_mtls", "admin")
    }
    assert len(listeners) == 4
    assert options("Service")["SocketBindDeny"] == ["any"]
    assert {port.removeprefix("tcp:") for port in options("Service")["SocketBindAllow"]} == listeners


async def test_the_units_command_serves_under_its_limits(tmp_path: Path) -> None:
    service = options("Service")
    program, *arguments = shlex.split(service["ExecStart"][0])
    assert program == "/opt/ztp/bin/ztp"
    known = dict(line.split("=", 1) for line in service["Environment"])
    data = new_data(tmp_path / "data")
    command = [sys.executable, "-m", "ztp_server", *arguments]
    umask = int(service["UMask"][0], 8)
    async with running(command, environment(data, known), cwd=ROOT, umask=umask, preexec_fn=bounded) as (pid, port):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
        assert re.search(r"^Max core file size +0 ", of_process(pid, "limits"), re.MULTILINE)
    assert [
        path.name for path in (data / "tls").iterdir() if path.stat().st_mode & 0o007 and path.suffix == ".key"
    ] == []


def test_the_image_is_run_by_nobody_in_particular() -> None:
    users = [rest for word, rest in last_stage() if word == "USER"]
    assert len(users) == 1 and re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", users[0])
    # Nothing is done as root after that, and what is copied keeps root as its owner: the process cannot change itself.
    after = [word for word, _ in last_stage()[last_stage().index(("USER", users[0])) :]]
    assert not {"RUN", "COPY", "ADD"} & set(after)
    assert not [rest for word, rest in instructions() if word in ("COPY", "ADD") and "--chown" in rest]


def test_nothing_but_the_program_gets_into_the_image() -> None:
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[0] == "*" and "**/__pycache__" in ignored
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from=" not in rest]
    assert {name for names in copied for name in names} == allowed
    # The certificates that are shipped say of themselves what they are; no key is among them.
    assert not [path for name in allowed for path in (ROOT / name).rglob("*.key")]
    tracked = subprocess.run(["git", "ls-files", *allowed], cwd=ROOT, capture_output=True, text=True)
    keys = [name for name in tracked.stdout.split() if re.search(r"\.(key|db|env|ztp)$|secret", name)]
    assert tracked.returncode or keys == []
    assert not [
        rest for word, rest in instructions() if word in ("ENV", "ARG") and re.search("(?i)pass|key|token", rest)
    ]


async def test_the_image_says_whether_it_is_well(tmp_path: Path) -> None:
    [check] = [rest for word, rest in last_stage() if word == "HEALTHCHECK"]
    command = json.loads(check[check.index("[") :])
    assert command[0] == "python" and "127.0.0.1:8000/healthz" in command[-1]
    [entry], [arguments] = (
        [json.loads(rest) for word, rest in last_stage() if word == w] for w in ("ENTRYPOINT", "CMD")
    )
    assert entry == ["ztp"]
    known = environment(new_data(tmp_path / "data"), {})
    async with running([sys.executable, "-m", "ztp_server", *arguments], known, cwd=ROOT) as (_, port):
        asked = [sys.executable, *command[1:-1], command[-1].replace(":8000/", f":{port}/")]
        assert await _status(asked, known) == 0
    assert await _status(asked, known) != 0


async def _status(command: Sequence[str], known: Mapping[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(*command, env=known, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


# As `docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges --tmpfs …`, with the data as its volume.
CONTAINED = """
set -e
data=$1 scratch=$2
shift 2
mount --bind "$data" "$data"
mount -t tmpfs -o noexec,nosuid,size=64m tmpfs "$scratch"
mount -o remount,bind,ro /
if touch "$HERE/written" 2>/dev/null; then echo "it can be written to" >&2; exit 1; fi
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
_MAY_MOUNT = (
    bool(shutil.which("unshare") and shutil.which("setpriv"))
    and subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
    ).returncode
    == 0
)


@pytest.mark.skipif(not _MAY_MOUNT, reason="a read-only root cannot be made here: not root, or no mounts are allowed")
async def test_the_server_runs_on_a_read_only_root_without_privileges(tmp_path: Path) -> None:
    data, scratch = new_data(tmp_path / "data"), tmp_path / "scratch"
    scratch.mkdir()
    known = environment(data, {"TMPDIR": str(scratch), "HERE": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", CONTAINED, "sh", str(data), str(scratch)]
    async with running([*inside, sys.executable, "-m", "ztp_server", "serve"], known, cwd=ROOT) as (pid, port):
        status = of_process(pid, "status")
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
    assert (data / "tls" / "server.pem").exists()


@pytest.mark.parametrize("page", ["deploy/compose.yaml", "docs/how-to/deploy.md"])
def test_the_container_is_started_without_privileges(page: str) -> None:
    text = (ROOT / page).read_text()
    wanted = {
        "deploy/compose.yaml": ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "- /tmp:"),
        "docs/how-to/deploy.md": (
            *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs /tmp"),
        ),
    }
    assert [option for option in wanted[page] if option not in text] == []
    assert "privileged: true" not in text and "docker.sock" not in text
