"""The shape of the program: imports go one way, brands are folders, modules are small and say what they are."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ADMIN
from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.phone import Line, Phone
from ztp_server.services.opening import open_services
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ztp_server"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOORS = ("phone_http", "api", "cli")

# Makers of phones, and words that only their phones know.
MAKERS = {
    "poly", "polycom", "plantronics", "spectralink", "audiocodes", "yealink", "snom", "grandstream", "fanvil",
    "cisco", "linksys", "sipura", "mitel", "aastra", "avaya", "nortel", "panasonic", "gigaset", "htek", "vtech",
    "alcatel", "unify", "siemens", "ascom", "obihai", "akuvox", "zultys", "escene", "flyingvoice", "atcom",
    "dinstar", "vvx", "ccx", "edge_e", "soundpoint", "soundstation", "4xxhd", "405hd", "400hd", "hd400", "audc",
    "ucs", "ucsoftware", "filetransport", "plcm",
}  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports from a dot"
            yield node.module or ""


def test_imports_go_one_way() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "0 broken" in found.stdout and "0 kept" not in found.stdout


@pytest.mark.parametrize("door", DOORS)
def test_a_door_imports_neither_the_store_nor_another_door(door: str) -> None:
    others = tuple(f"ztp_server.{other}" for other in DOORS if other != door)
    for path in sorted((PACKAGE / door).rglob("*.py")):
        for name in imports_of(path):
            assert not name.startswith((*others, "ztp_server.store", "sqlalchemy", "alembic")), (
                f"{name_of(path)}: {name}"
            )


def test_the_domain_imports_the_standard_library_pydantic_and_itself_only() -> None:
    for path in sorted((PACKAGE / "domain").rglob("*.py")):
        for name in imports_of(path):
            top = name.partition(".")[0]
            own = name.startswith("ztp_server.domain") or name == "ztp_server.errors"
            assert own or top in ("pydantic", "annotated_types") or top in sys.stdlib_module_names, (
                f"{name_of(path)}: {name}"
            )


@pytest.mark.parametrize("module", ["socket", "ssl", "sqlite3", "asyncio", "subprocess", "urllib.request", "http"])
def test_the_domain_touches_no_network_and_no_database(module: str) -> None:
    for path in sorted((PACKAGE / "domain").rglob("*.py")):
        assert module not in list(imports_of(path)), name_of(path)


@pytest.mark.parametrize("module", ["aiohttp", "click", "http", "rich"])
def test_services_know_no_http_and_no_terminal(module: str) -> None:
    for part in ("services", "store", "domain"):
        for path in sorted((PACKAGE / part).rglob("*.py")):
            assert module not in {name.partition(".")[0] for name in imports_of(path)}, name_of(path)


def words_of_brands() -> set[str]:
    """Everything by which the folders name a maker, a family or a model."""
    words = {*MAKERS}
    for vendor in load_catalog(read_folder(shipped_folder("templates"))).vendors.values():
        words |= {vendor.id, vendor.name.lower(), *vendor.family}
        words |= {family.name.lower() for family in vendor.family.values()}
        for model in vendor.model:
            words |= {model.id, model.user_agent.lower(), model.name.lower(), model.part.lower()}
    return words - {""}


BRANDS = sorted(words_of_brands())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_names_a_vendor(path: Path) -> None:
    text = path.read_text().lower()
    for word in BRANDS:
        found = re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text)
        line = text[: found.start()].count("\n") + 1 if found else 0
        assert not found, f"{name_of(path)}:{line} names {word}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_at_most_300_lines_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    if text:
        assert ast.get_docstring(ast.parse(text)), "no docstring"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_keeps_no_state_of_its_own(path: Path) -> None:
    """A name that a function declares global would be state of the process."""
    assert not [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Global)]


@pytest.mark.parametrize(
    "vendor", [path.parent.name for path in sorted(shipped_folder("templates").glob("*/vendor.toml"))]
)
async def test_each_brand_works_alone_with_the_same_program(vendor: str, tmp_path: Path) -> None:
    shutil.copytree(shipped_folder("templates") / vendor, tmp_path / "templates" / vendor)
    data = tmp_path / "data"
    makers = DataOptions(data).makers
    services = await open_services(
        data, f"sqlite:///{data / 'ztp.db'}", tmp_path / "templates", data / "templates", makers
    )
    try:
        catalog = services.templates.catalog
        assert list(catalog.vendors) == [vendor] and services.templates.snapshot.problems == ()
        model = next(iter(catalog.models))
        await services.sites.add(ADMIN, "s", "", {"sip_server": "sip.example.net"})
        await services.base_settings.add(ADMIN, "b", "", model, {"provisioning_url": "https://ztp.example.net"})
        await services.phones.add(ADMIN, Phone("p", "0a0b0c000001", model, "s", "b", lines=(Line("4711"),)))
        values = {row.name: row for row in await services.phones.explain(ADMIN, "0a0b0c000001")}
        assert values["sip_server"].source == "site s"
    finally:
        await services.close()
