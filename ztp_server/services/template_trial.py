"""Renders every template for every model in a process of its own, so that a bad template harms nobody.

    python -m ztp_server.services.template_trial quick|thorough FOLDER...

prints one JSON list of problems ({file, line, reason, severity}) and ends with 0. The parent gives it time, memory and
output limits (templates.py). What a quick trial finds keeps a file out of service; a thorough one, for people, also
tries every setting at its extremes, and warns of parameters that the firmware is not known to have.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.parameters import normalised
from ztp_server.domain.settings import LONGEST_NAME
from ztp_server.domain.template_context import bootstrap_context
from ztp_server.domain.vendor import Model, Vendor
from ztp_server.errors import TemplateError
from ztp_server.render import Renderer
from ztp_server.services.rendered_parameters import parameters, place_of
from ztp_server.services.template_samples import BARE_SERVER, SERVER, Extremes, Sample, alone, context_of, quick_samples
from ztp_server.vendor_folders import Folder, read_folder
from ztp_server.vendors import load_catalog, template_name

MEMORY = 1 << 30
CPU_SECONDS = {"quick": 30, "thorough": 110}
RENDER_SECONDS = 1.0
# A directory of a thousand contacts, each as long as may be, comes to more than a million characters.
LARGEST_FILE = 1 << 22
# A list of names that belongs to another maker would complain of every one.
MOST_WARNINGS = 100


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file. A `warning` keeps nothing out of service."""

    file: str
    line: int
    reason: str
    severity: str = "error"


@dataclass(frozen=True)
class Rendering:
    """A template to render, with what it is given. `says` tells people for which phone that is."""

    template: str
    rule: FileRule
    model: Model
    context: dict[str, object]
    says: str
    sample: Sample | None = None


def problems(folder: Folder, thorough: bool = False) -> Iterator[Problem]:
    """Everything wrong with a folder: each template once, whatever number of models it fails for."""
    yield from (Problem(name, 0, reason) for name, reason in folder.unreadable.items())
    try:
        catalog = load_catalog(folder)
    except TemplateError as error:
        yield Problem(error.file, error.line, error.reason)
        return
    trial = _Trial(catalog, Renderer(folder.texts), folder)
    seen: set[tuple[str, int]] = set()
    for failure in trial.failures(thorough):
        if (failure.file, failure.line) not in seen:
            seen.add((failure.file, failure.line))
            yield Problem(failure.file, failure.line, failure.reason)
    yield from trial.warnings


class _Trial:
    """All templates of a folder on trial. `warnings` grow as files are rendered."""

    def __init__(self, catalog: Catalog, renderer: Renderer, folder: Folder) -> None:
        self._catalog = catalog
        self._renderer = renderer
        self._folder = folder
        self._warned: set[tuple[str, str]] = set()
        self.warnings: list[Problem] = []

    def failures(self, thorough: bool) -> Iterator[TemplateError]:
        refused: set[tuple[str, str]] = set()
        for vendor in self._catalog.vendors.values():
            for name, rule in templates_of(vendor):
                try:
                    self._renderer.check(name, rule.format)
                except TemplateError as problem:
                    refused.add((name, rule.format))
                    yield problem
        for rendering in renderings(self._catalog, thorough):
            which = (rendering.template, rendering.rule.format)
            if which in refused:
                continue  # what may not run is not run, not even here; what failed once fails for others too
            try:
                body = _render(self._renderer, rendering)
            except TemplateError as problem:
                refused.add(which)
                yield TemplateError(problem.file, problem.line, f"{problem.reason} ({self._told(rendering, problem)})")
                continue
            if thorough and rendering.rule.parameters:
                self._look_at_names(rendering, body)

    def _told(self, rendering: Rendering, problem: TemplateError) -> str:
        """For which model and sample a template fails, and if one setting alone does it, which."""
        says = f"for {rendering.model.id}, {rendering.says}"
        if rendering.sample is None or isinstance(problem.__cause__, TimeoutError):
            return says
        for setting, sample in alone(rendering.sample):
            context = context_of(self._catalog, sample)
            try:
                self._renderer.render(rendering.template, rendering.rule.format, context, LARGEST_FILE)
            except TemplateError:
                return f"{says}: {setting}"
        return says

    def _look_at_names(self, rendering: Rendering, body: bytes) -> None:
        """Warn once in a family of a parameter it is not known to have, and of a value it is not known to take."""
        known = self._catalog.parameters_of(rendering.model)
        custom = rendering.context["custom"]
        assert isinstance(custom, dict)
        for name, value in parameters(body, rendering.rule.format):
            which = (rendering.model.family, normalised(name))
            if name in custom or which in self._warned or len(self._warned) >= MOST_WARNINGS:
                continue
            complaint = known.complaint(name, value)
            if complaint:
                self._warned.add(which)
                shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
                file, line = self._place_of(rendering, name)
                said = f"{shown}: {complaint} (for {rendering.model.id}, {rendering.says})"
                self.warnings.append(Problem(file, line, said, "warning"))

    def _place_of(self, rendering: Rendering, name: str) -> tuple[str, int]:
        if len(name) > LONGEST_NAME:
            return rendering.template, 0
        parts = self._renderer.parts(rendering.template, rendering.rule.format)
        return place_of(name, [(part, self._folder.texts[part]) for part in parts])


def renderings(catalog: Catalog, thorough: bool) -> Iterator[Rendering]:
    """Every template of every model with each of its samples."""
    extremes = Extremes(catalog)
    for model in catalog.models.values():
        vendor = catalog.vendor_of(model)
        rules = [rule for rule in vendor.file if model.family in (rule.families or vendor.family)]
        for rule in rules:
            yield from _bootstraps(catalog, model, rule)
        own = [rule for rule in rules if rule.template and rule.serve == "phone"]
        for sample in quick_samples(catalog, model):
            yield from _of_sample(catalog, model, own, sample, None)
        for sample in extremes.samples(model) if thorough else ():
            yield from _of_sample(catalog, model, own, sample, sample)


def _of_sample(
    catalog: Catalog, model: Model, rules: list[FileRule], sample: Sample, to_blame: Sample | None
) -> Iterator[Rendering]:
    context = context_of(catalog, sample)
    for rule in rules:
        name = template_name(catalog.vendor_of(model).id, model.family, rule.template)
        yield Rendering(name, rule, model, context, sample.says, to_blame)


def _bootstraps(catalog: Catalog, model: Model, rule: FileRule) -> Iterator[Rendering]:
    """What is the same for every phone, from a server with everything and from one with the least."""
    vendor = catalog.vendor_of(model)
    templates = [rule.bootstrap, rule.template if rule.serve in ("bootstrap", "public") else ""]
    for template in filter(None, templates):
        name = template_name(vendor.id, model.family, template)
        for server, says in ((SERVER, "a bootstrap file"), (BARE_SERVER, "a bootstrap file without CA and NTP")):
            context = bootstrap_context(vendor, server, server.urls["mtls"])
            yield Rendering(name, rule, model, context, says)


def templates_of(vendor: Vendor) -> Iterator[tuple[str, FileRule]]:
    """Every template of a vendor by name, with a rule that uses it."""
    for rule in vendor.file:
        for template in filter(None, (rule.template, rule.bootstrap)):
            for family_id in rule.families or vendor.family:
                yield template_name(vendor.id, family_id, template), rule


def _render(renderer: Renderer, rendering: Rendering) -> bytes:
    """Render with limits. Raises TemplateError, for one without end as well."""
    signal.setitimer(signal.ITIMER_VIRTUAL, RENDER_SECONDS)
    try:
        return renderer.render(rendering.template, rendering.rule.format, rendering.context, LARGEST_FILE)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _out_of_time(_number: int, _frame: object) -> None:
    raise TimeoutError(f"takes longer than {RENDER_SECONDS} s")


def main() -> None:
    depth, *folders = sys.argv[1:]
    limit = CPU_SECONDS[depth]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    signal.signal(signal.SIGVTALRM, _out_of_time)
    found = problems(read_folder(*map(Path, folders)), depth == "thorough")
    json.dump([asdict(problem) for problem in found], sys.stdout)


if __name__ == "__main__":
    main()
