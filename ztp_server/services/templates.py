"""The templates in service: shipped ones, an administrator's own above them, and never a broken one.

A file of the administrator's that fails its check is left out of service; its last good text stays in, or else the
shipped file. The state folder keeps what that needs across restarts:

    last-good/…       the administrator's files as they were when they last passed
    shipped.json      SHA-256 of the shipped file under each override when the override was first seen
    checked           digest of the texts that passed last, so that an unchanged start needs no trial
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ztp_server import __version__
from ztp_server.domain.catalog import Catalog
from ztp_server.errors import Misconfigured, NotFound
from ztp_server.render import Renderer
from ztp_server.services.template_trial import Problem, templates_of
from ztp_server.vendor_folders import Folder, read_folder
from ztp_server.vendors import load_catalog

TRIAL_SECONDS = 40
# For people, who would rather wait than hear nothing.
THOROUGH_SECONDS = 120
_LARGEST_REPORT = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """Templates that passed their check, ready for use. `problems` are files left out, `outdated` overrides whose
    shipped file has changed since."""

    catalog: Catalog
    renderer: Renderer
    problems: tuple[Problem, ...]
    outdated: tuple[str, ...]
    number: int


class Templates:
    """Loads the folders and keeps the snapshot in service."""

    def __init__(self, shipped: Path, own: Path, state: Path) -> None:
        self._shipped = shipped
        self._own = own
        self._state = state
        self._looked_at: object = None
        self.snapshot = self._first()

    @property
    def catalog(self) -> Catalog:
        return self.snapshot.catalog

    @property
    def renderer(self) -> Renderer:
        return self.snapshot.renderer

    def refresh(self) -> bool:
        """Take up changed files; returns whether the snapshot is another one now. Runs in a thread: it waits."""
        look = self._look()
        if look == self._looked_at:
            return False
        self._looked_at = look
        self.snapshot = self._load(self.snapshot.number + 1, self.snapshot)
        return True

    def problems(self, vendors: Collection[str] = ()) -> list[Problem]:
        """Everything wrong with the files as they are now, whatever is in service: of all vendors, or of these. Raises
        NotFound for a vendor that is not there."""
        folder = read_folder(self._shipped, self._own)
        for vendor in vendors:
            if vendor not in folder.vendors:
                near = difflib.get_close_matches(vendor, folder.vendors, n=1)
                raise NotFound(f"no vendor {vendor[:64]!r}{f'; did you mean {near[0]}?' if near else ''}")
        return try_out(folder.only(vendors) if vendors else folder, thorough=True)

    def overrides(self) -> list[tuple[str, str, bool]]:
        """Each own file that covers a shipped one: its name, a unified diff, and whether the shipped one changed."""
        shipped, own = read_folder(self._shipped), read_folder(self._own)
        outdated = self._outdated(own)
        return [
            (name, _diff(name, shipped.texts[name], text), name in outdated)
            for name, text in sorted(own.texts.items())
            if name in shipped.texts
        ]

    def _first(self) -> Snapshot:
        self._state.mkdir(parents=True, exist_ok=True)
        self._looked_at = self._look()
        return self._load(1, None)

    def _look(self) -> object:
        """A cheap fingerprint of both folders: names, times and sizes."""
        entries = []
        for folder in (self._shipped, self._own):
            for path in sorted(folder.rglob("*")):
                try:
                    found = path.stat()
                except OSError:
                    continue
                entries.append((str(path), found.st_mtime_ns, found.st_size, found.st_ino))
        return entries

    def _load(self, number: int, before: Snapshot | None) -> Snapshot:
        folder = read_folder(self._shipped, self._own)
        found = problems = self._try_out(folder)
        if not found:
            self._remember(folder)
            return self._snapshot(folder, found, number)
        # Own files at fault, or gone, give way to their last good text, and if that does not fit either to the
        # shipped one.
        shipped, good = read_folder(self._shipped).texts, read_folder(self._state / "last-good").texts
        as_found, folder = folder.texts, replace(folder, texts={**good, **folder.texts})
        blamed: set[str] = set()
        for stand_in in ({**shipped, **good}, shipped):
            blamed |= {p.file for p in problems if p.file in folder.origins and self._is_own(folder.origins[p.file])}
            folder = _without(folder, blamed, stand_in)
            problems = self._try_out(folder)
            if not problems:
                break
        if not problems and folder.texts == as_found:
            found = []  # The same files passed now: what failed was the trial, for want of memory or time.
        if problems or (before and not set(before.catalog.vendors) <= set(folder.vendors)):
            return self._fall_back(found, before)
        return self._snapshot(folder, found, number)

    def _is_own(self, path: Path) -> bool:
        return path.is_relative_to(self._own)

    def _fall_back(self, found: list[Problem], before: Snapshot | None) -> Snapshot:
        """Nothing of the new files can be blamed alone: what was in service stays, and a first start uses ours."""
        if before is not None:
            return replace(before, problems=tuple(found), number=before.number + 1)
        shipped = read_folder(self._shipped)
        broken = self._try_out(shipped)
        if broken:
            raise Misconfigured(f"templates {self._shipped}/{broken[0].file}:{broken[0].line}: {broken[0].reason}")
        return self._snapshot(shipped, found, 1)

    def _snapshot(self, folder: Folder, found: list[Problem], number: int) -> Snapshot:
        outdated = tuple(sorted(self._outdated(read_folder(self._own))))
        catalog, renderer = _loaded(frozenset(folder.texts.items()), frozenset(folder.static.items()))
        return Snapshot(catalog, renderer, tuple(found), outdated, number)

    def _try_out(self, folder: Folder) -> list[Problem]:
        digest = _digest(folder)
        checked = self._state / "checked"
        if checked.exists() and checked.read_text() == digest:
            return []
        found = try_out(folder)
        if not found:
            _write(checked, digest)
        return found

    def _remember(self, folder: Folder) -> None:
        """Keep the own files that passed, and note which shipped file each covers."""
        own = {name: text for name, text in folder.texts.items() if self._is_own(folder.origins[name])}
        kept = read_folder(self._state / "last-good")
        for name in kept.texts.keys() - own.keys():
            kept.origins[name].unlink(missing_ok=True)
        for name, text in own.items():
            if kept.texts.get(name) != text:
                _write(self._state / "last-good" / name, text)
        shipped = read_folder(self._shipped).texts
        known = self._known_shipped()
        # Whoever changes an override has seen the shipped file as it is now.
        seen = {n: known[n] for n in own if n in known and kept.texts.get(n) == own[n]}
        baseline = {n: seen.get(n, _sha256(shipped[n])) for n in own if n in shipped}
        if baseline != known:
            _write(self._state / "shipped.json", json.dumps(baseline, indent=1, sort_keys=True))

    def _known_shipped(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads((self._state / "shipped.json").read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _outdated(self, own: Folder) -> set[str]:
        shipped, known = read_folder(self._shipped).texts, self._known_shipped()
        return {n for n in own.texts if n in shipped and n in known and known[n] != _sha256(shipped[n])}


@lru_cache(maxsize=2)
def _loaded(texts: frozenset[tuple[str, str]], static: frozenset[tuple[str, Path]]) -> tuple[Catalog, Renderer]:
    """The same texts are read and compiled once, however often a folder is opened. Raises TemplateError."""
    folder = Folder(dict(texts), {}, dict(static), {})
    catalog, renderer = load_catalog(folder), Renderer(folder.texts)
    for vendor in catalog.vendors.values():
        # Compiled now, so that no phone waits for it; what may not run never comes into this process.
        for name, rule in templates_of(vendor):
            renderer.check(name, rule.format)
    return catalog, renderer


def try_out(folder: Folder, thorough: bool = False) -> list[Problem]:
    """Render everything in a child process with limits of time, memory and output, and say what is wrong."""
    if folder.unreadable:
        return [Problem(name, 0, reason) for name, reason in folder.unreadable.items()]
    with tempfile.TemporaryDirectory(prefix="ztp-templates-") as scratch:
        for name, text in folder.texts.items():
            _write(Path(scratch) / name, text)
        return _run_trial(scratch, thorough)


def _without(folder: Folder, blamed: set[str], stand_in: Mapping[str, str]) -> Folder:
    """The folder with other texts in place of those at fault, or none where there is no other."""
    texts = {name: text for name, text in folder.texts.items() if name not in blamed}
    texts |= {name: stand_in[name] for name in blamed if name in stand_in}
    return replace(folder, texts=texts, unreadable={})


def _run_trial(folder: str, thorough: bool) -> list[Problem]:
    depth, seconds = ("thorough", THOROUGH_SECONDS) if thorough else ("quick", TRIAL_SECONDS)
    command = [sys.executable, "-m", "ztp_server.services.template_trial", depth, folder]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, cwd=Path(__file__).parents[2])
    except subprocess.TimeoutExpired:
        return [Problem("templates", 0, f"rendering takes longer than {seconds} s")]
    if done.returncode != 0 or len(done.stdout) > _LARGEST_REPORT:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return [Problem("templates", 0, f"rendering failed: {' '.join(last)[:300] or f'exit code {done.returncode}'}")]
    return [Problem(**row) for row in json.loads(done.stdout)]


def _write(path: Path, text: str) -> None:
    """Write whole or not at all: the server and commands beside it share these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text, "utf-8")
    os.replace(scratch, path)


def _digest(folder: Folder) -> str:
    texts: Mapping[str, str] = folder.texts
    return _sha256(json.dumps([__version__, sys.version, sorted(texts.items()), sorted(folder.unreadable)]))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _diff(name: str, shipped: str, own: str) -> str:
    lines = difflib.unified_diff(
        shipped.splitlines(keepends=True), own.splitlines(keepends=True), f"shipped/{name}", f"own/{name}"
    )
    return "".join(lines)
