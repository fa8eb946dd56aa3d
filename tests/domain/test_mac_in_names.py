"""A maker may put the MAC anywhere into the names its phones ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ztp_server.domain.catalog import Catalog
from ztp_server.vendor_folders import Folder, read_folder
from ztp_server.vendors import load_catalog

SHIPPED = read_folder(Path(__file__).parents[2] / "templates")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    own = SHIPPED.texts["poly/vendor.toml"].replace('pattern = "{mac}-custom.cfg"', 'pattern = "cfg{mac}.xml"')
    return load_catalog(Folder({**SHIPPED.texts, "poly/vendor.toml": own}, SHIPPED.origins, {}, {}))


@pytest.mark.parametrize("name", ["cfg0004f2aabbcc.xml", "CFG00-04-F2-AA-BB-CC.XML"])
def test_a_mac_further_on_is_found(catalog: Catalog, name: str) -> None:
    requested = catalog.match(name)
    assert requested.mac == "0004f2aabbcc"
    assert [candidate.rule.pattern for candidate in requested.candidates] == ["cfg{mac}.xml"]


@pytest.mark.parametrize("name", ["cfg000000000000.xml", "cfgffffffffffff.xml"])
def test_what_is_no_device_is_no_mac_there_either(catalog: Catalog, name: str) -> None:
    assert catalog.match(name).mac is None
