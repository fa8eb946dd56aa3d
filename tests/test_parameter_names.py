"""No shipped file sets a parameter that the firmware is not known to have, or a value it is not known to take.

What is known stands in templates/<vendor>/parameters.txt and templates/<vendor>/<family>/parameters.txt: facts, for
checking. A name that is missing there needs evidence, and goes there with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ztp_server.config import shipped_folder
from ztp_server.domain.catalog import Catalog
from ztp_server.render import Renderer
from ztp_server.services.rendered_parameters import parameters
from ztp_server.services.template_trial import problems, renderings
from ztp_server.vendor_folders import Folder, read_folder
from ztp_server.vendors import load_catalog


@pytest.fixture(scope="module")
def folder() -> Folder:
    return read_folder(shipped_folder("templates"))


@pytest.fixture(scope="module")
def catalog(folder: Folder) -> Catalog:
    return load_catalog(folder)


@pytest.fixture(scope="module")
def rendered(folder: Folder, catalog: Catalog) -> Mapping[str, set[str]]:
    """By vendor: every name in every file of every model, with all settings at their extremes."""
    renderer = Renderer(folder.texts)
    found: dict[str, set[str]] = {vendor: set() for vendor in catalog.vendors}
    for one in renderings(catalog, thorough=True):
        if one.rule.parameters:
            body = renderer.render(one.template, one.rule.format, one.context)
            found[catalog.vendor_of(one.model).id] |= {name for name, _ in parameters(body, one.rule.format)}
    return found


def test_the_shipped_folders_render_at_all_extremes_without_an_error_or_a_warning(folder: Folder) -> None:
    assert list(problems(folder, thorough=True)) == []


@pytest.mark.parametrize(("vendor", "least"), [("poly", 1000), ("audiocodes", 100)])
def test_enough_is_rendered_for_this_to_mean_something(
    rendered: Mapping[str, set[str]], vendor: str, least: int
) -> None:
    assert len(rendered[vendor]) > least


@pytest.mark.parametrize("vendor", ["poly", "audiocodes"])
def test_names_are_known_for_every_family_of_these_makers(catalog: Catalog, vendor: str) -> None:
    for model in catalog.vendors[vendor].model:
        complaint = catalog.parameters_of(model).complaint("there.is/nothing.like.it", "")
        assert complaint and complaint.startswith("no parameter of that name is known"), model.id


def test_the_names_of_a_family_are_in_the_list_once_and_sorted() -> None:
    for path in shipped_folder("templates").rglob("parameters.txt"):
        names = [line.split()[0] for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        assert names == sorted(set(names), key=lambda name: (name.lower(), name)), path
