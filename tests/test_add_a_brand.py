"""The page "Add a brand", followed to the letter in an empty folder: its commands, its files, and what it says comes of
them. A block `sh` is run; a block without a language after it is what its last command prints; in a block `console`
each line after `$ ` is run, and the lines below it are what it prints. `…` stands for anything in a line.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "add-a-brand.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LISTENERS = {"PHONE_HTTP": "8080", "PHONE_HTTPS": "8443", "PHONE_MTLS": "8444", "ADMIN": "8000"}


@dataclass(frozen=True)
class Step:
    """Commands of the page; `printed` is what it says the last of them prints, None where it says nothing."""

    commands: str
    printed: str | None = None


class PageIsWrong(AssertionError):
    """A command failed that should not, or printed something else."""


def steps(page: str) -> list[Step]:
    found: list[Step] = []
    for language, text in _BLOCK.findall(page):
        if language == "sh":
            found += [Step(part) for part in _parts(text)]
        elif language == "console":
            found += list(_console(text))
        elif language:
            raise PageIsWrong(f"a block of a language that nobody runs: {language}")
        else:
            found[-1] = Step(found[-1].commands, text)
    return found


def _parts(text: str) -> list[str]:
    """The last command of a block, whose output may be compared, apart from those before it."""
    if "<<" in text:
        return re.findall(r"(?:^cat .*?^EOF\n|^[^\n]+\n)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"(?:.*\\\n)*.+\n", text)


def _console(text: str) -> Iterator[Step]:
    for command, printed in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        yield Step(f"{command}\n", printed)


class Reader:
    """Who follows the page: a shell in an empty folder, where `ztp` is the program under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "bin"
        self._programs.mkdir()
        ztp = self._programs / "ztp"
        ztp.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ztp_server "$@"\n')
        ztp.chmod(0o755)
        self.work = folder / "empty"
        self.work.mkdir()
        self._servers: list[subprocess.Popen[bytes]] = []
        self._ports: dict[str, str] = {}

    @property
    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZTP_")}
        # The page's own ports may be taken on the machine of a test.
        listeners = {f"ZTP_{name}": "127.0.0.1:0" for name in _LISTENERS}
        path = f"{self._programs}:{inherited['PATH']}"
        return inherited | listeners | {"PATH": path, "PYTHONPATH": str(PAGE.parents[2]), "LC_ALL": "C.UTF-8"}

    def follow(self, page: str) -> None:
        """Raises PageIsWrong naming the first command that did not do what the page says."""
        for step in steps(page):
            if step.commands.rstrip().endswith("&"):
                self._serve(step.commands.rstrip().removesuffix("&"))
            else:
                self._run(step)

    def _run(self, step: Step) -> None:
        ended = subprocess.run(
            ["bash", "-e", "-c", step.commands],
            cwd=self.work,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if step.printed is None and ended.returncode:
            raise PageIsWrong(f"{step.commands}ended with {ended.returncode}:\n{ended.stdout}")
        if step.printed is not None and not _fits(step.printed, self._as_on_the_page(ended.stdout)):
            raise PageIsWrong(f"{step.commands}printed\n{self._as_on_the_page(ended.stdout)}instead of\n{step.printed}")

    def _serve(self, command: str) -> None:
        """A command that goes on in the background; the page goes on when it says Ready."""
        log = self.folder / "server.log"
        with log.open("wb") as out:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.work, env=self._environment, stdout=out, stderr=out
            )
        self._servers.append(server)
        deadline = time.monotonic() + 120
        while "Ready" not in log.read_text():
            if server.poll() is not None or time.monotonic() > deadline:
                raise PageIsWrong(f"{command}: {log.read_text()}")
            time.sleep(0.05)
        ports = dict.fromkeys(re.findall(r"https?://127\.0\.0\.1:(\d+)", log.read_text()))
        self._ports = dict(zip(ports, _LISTENERS.values(), strict=True))

    def _as_on_the_page(self, printed: str) -> str:
        """Output with the page's ports for those of the test."""
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: self._ports.get(port[0], port[0]), printed)

    def stop(self) -> None:
        for server in self._servers:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def _fits(said: str, printed: str) -> bool:
    """Sizes and milliseconds are not compared: they follow from the port and the machine."""

    def rubbed(text: str) -> str:
        return re.sub(r"(\t\d{3})\t\d+\t\d+\t", r"\1\t#\t#\t", text)

    pattern = ".*".join(map(re.escape, rubbed(said).split("…")))
    return re.fullmatch(pattern, rubbed(printed)) is not None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


@pytest.mark.slow
def test_the_page_is_true_and_takes_no_python(reader: Reader) -> None:
    reader.follow(PAGE.read_text("utf-8"))
    templates = reader.work / "var" / "templates"
    assert [path.name for path in templates.iterdir()] == ["acme"]
    assert {path.suffix for path in templates.glob("**/*") if path.is_file()} == {".toml", ".j2", ".txt"}
    assert [path.name for path in reader.work.iterdir()] == ["var"]


def test_the_page_has_every_kind_of_step() -> None:
    found = steps(PAGE.read_text("utf-8"))
    assert found[0].commands.startswith("ztp serve") and found[0].commands.rstrip().endswith("&")
    assert sum(step.commands.startswith("cat >") for step in found) >= 5
    assert any(step.commands.startswith("ztp simulate") and "Would register" in (step.printed or "") for step in found)
    assert any((step.printed or "").startswith("ztp: ") for step in found)


def without_server(page: str) -> str:
    """From the facts to the first check: enough to see a mistake in a file, and needs no server."""
    return page[page.index("## 2.") : page.index("## 6.")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1 model renders", "1 model is fine"),
        ("line_keys = 4\n", "line_keyz = 4\n"),
        ("{% for codec in settings.codecs %}", "{% for codec in settings.codec %}"),
        ("mkdir -p var/templates/acme/a200", "mkdir -p var/templates/acme"),
        ("ztp templates check acme", "ztp templates chek acme"),
    ],
)
def test_a_page_with_a_mistake_is_found_out(reader: Reader, old: str, new: str) -> None:
    page = without_server(PAGE.read_text("utf-8"))
    assert old in page
    with pytest.raises(PageIsWrong):
        reader.follow(page.replace(old, new))


@pytest.mark.parametrize(
    ("said", "printed", "fits"),
    [
        ("… models render\n", "29 models render\n", True),
        ("… models render\n", "29 models render\nand a warning\n", False),
        ("GET\ta\t200\t1\t2\tx\n", "GET\ta\t200\t345\t6\tx\n", True),
        ("GET\ta\t200\t1\t2\tx\n", "GET\ta\t404\t1\t2\tx\n", False),
        ("", "anything\n", False),
    ],
)
def test_output_is_compared_but_for_what_cannot_be_known(said: str, printed: str, fits: bool) -> None:
    assert _fits(said, printed) is fits
