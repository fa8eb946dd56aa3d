"""Renders every template for every model in a process of its own, so that a bad template harms nobody.

    python -m ztp_server.services.template_trial FOLDER...

prints one JSON list of problems ({file, line, reason}) and ends with 0. The parent gives it time, memory and output
limits (templates.py).
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.site import Site
from ztp_server.domain.template_context import Server, bootstrap_context, template_context
from ztp_server.domain.vendor import FileRule, Model, Vendor
from ztp_server.errors import TemplateError
from ztp_server.render import Renderer
from ztp_server.services.effective import effective
from ztp_server.vendor_folders import Folder, read_folder
from ztp_server.vendors import load_catalog, template_name

MEMORY = 1 << 30
CPU_SECONDS = 30
RENDER_SECONDS = 1.0
LARGEST_FILE = 1 << 20
_AWKWARD = "A&B <\"'> é😀"
_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_SERVER = Server(
    {"mtls": "https://ztp.example.net:8444/", "http": "http://ztp.example.net:8080/"}, _PEM, "ntp.example.net"
)


@dataclass(frozen=True)
class Problem:
    file: str
    line: int
    reason: str


def problems(folder: Folder) -> Iterator[Problem]:
    """Everything wrong with a folder: each template once, whatever number of models it fails for."""
    yield from (Problem(name, 0, reason) for name, reason in folder.unreadable.items())
    try:
        catalog = load_catalog(folder)
    except TemplateError as error:
        yield Problem(error.file, error.line, error.reason)
        return
    seen: set[tuple[str, int]] = set()
    for failure in _failures(catalog, Renderer(folder.texts)):
        if (failure.file, failure.line) not in seen:
            seen.add((failure.file, failure.line))
            yield Problem(failure.file, failure.line, failure.reason)


def _failures(catalog: Catalog, renderer: Renderer) -> Iterator[TemplateError]:
    refused: set[tuple[str, str]] = set()
    for vendor in catalog.vendors.values():
        for name, rule in templates_of(vendor):
            try:
                renderer.check(name, rule.format)
            except TemplateError as problem:
                refused.add((name, rule.format))
                yield problem
    for model in catalog.models.values():
        vendor = catalog.vendor_of(model)
        for rule in vendor.file:
            if model.family not in (rule.families or vendor.family):
                continue
            for template, context in _trials(catalog, model, rule):
                name = template_name(vendor.id, model.family, template)
                if (name, rule.format) in refused:
                    continue  # what may not run is not run, not even here; what failed once fails for others too
                try:
                    _render(renderer, name, rule.format, context)
                except TemplateError as problem:
                    refused.add((name, rule.format))
                    yield TemplateError(problem.file, problem.line, f"{problem.reason} (for {model.id})")


def templates_of(vendor: Vendor) -> Iterator[tuple[str, FileRule]]:
    """Every template of a vendor by name, with a rule that uses it."""
    for rule in vendor.file:
        for template in filter(None, (rule.template, rule.bootstrap)):
            for family_id in rule.families or vendor.family:
                yield template_name(vendor.id, family_id, template), rule


def _render(renderer: Renderer, name: str, file_format: str, context: dict[str, object]) -> None:
    """Render with limits. Raises TemplateError, for one without end as well."""
    signal.setitimer(signal.ITIMER_VIRTUAL, RENDER_SECONDS)
    try:
        renderer.render(name, file_format, context, LARGEST_FILE)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _out_of_time(_number: int, _frame: object) -> None:
    raise TimeoutError(f"takes longer than {RENDER_SECONDS} s")


def _trials(catalog: Catalog, model: Model, rule: FileRule) -> Iterator[tuple[str, dict[str, object]]]:
    bootstrap = bootstrap_context(catalog.vendor_of(model), _SERVER, _SERVER.urls["mtls"])
    if rule.bootstrap:
        yield rule.bootstrap, bootstrap
    if rule.template and rule.serve in ("bootstrap", "public"):
        yield rule.template, bootstrap
    elif rule.template:
        for lines in sorted({0, 1, model.lines}):
            yield rule.template, sample_context(catalog, model, lines)


def sample_context(catalog: Catalog, model: Model, lines: int) -> dict[str, object]:
    """A made-up phone with so many lines, every kind of key and awkward text: what a template must cope with."""
    vendor, family = catalog.vendor_of(model), catalog.family_of(model)
    zone = "Europe/Madrid" if family.clock == "weekly_dst" else "Asia/Kolkata"
    settings = {"sip_server": "sip.example.net", "sip_server_secondary": "sip2.example.net", "time_zone": zone,
                "sntp_servers": ["ntp.example.net", "ntp2.example.net"], "tls_ca": _PEM, "mwi_address": "*97",
                "admin_password": "s3cret-Pass", "outbound_proxy": "proxy.example.net:5061", "held_enabled": True,
                "syslog_server": "log.example.net:514", "digit_map": "xxx", "custom.a.b": _AWKWARD}  # fmt: skip
    phone = Phone(
        name=_AWKWARD, hardware_id="0004f2aabbcc", model=model.id, site="s", base_settings="b",
        lines=tuple(Line(f"10{n:02}", password=_AWKWARD, display_name=_AWKWARD) for n in range(1, lines + 1)),
        line_keys=_sample_keys(model, family.line_key_types, lines),
    )  # fmt: skip
    result = effective(catalog, phone, Site("s", "s", settings=settings), BaseSettings("b", "b", model.id))
    return template_context(
        phone=phone, vendor=vendor, model=model, settings=result.plain, clock=result.clock,
        server=_SERVER, steady_url=_SERVER.urls["mtls"],
    )  # fmt: skip


def _sample_keys(model: Model, types: tuple[str, ...], lines: int) -> tuple[LineKey, ...]:
    keys = [LineKey("line", line=n) for n in range(1, min(lines, model.line_keys) + 1)] if "line" in types else []
    others = [kind for kind in types if kind != "line"]
    room = model.line_keys + model.speed_dial_keys - len(keys)
    keys += [LineKey(others[n % len(others)], value=f"20{n:02}", label=_AWKWARD) for n in range(room) if others]
    return tuple(keys)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.signal(signal.SIGVTALRM, _out_of_time)
    json.dump([asdict(problem) for problem in problems(read_folder(*map(Path, sys.argv[1:])))], sys.stdout)


if __name__ == "__main__":
    main()
