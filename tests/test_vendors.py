"""A mistake in vendor.toml is named with file and line; every shipped folder is whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ztp_server.config import shipped_folder
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.errors import TemplateError
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

CATALOG = load_catalog(read_folder(shipped_folder("templates")))
FAMILIES = [(v.id, f) for v in CATALOG.vendors.values() for f in v.family]


VENDOR, FAMILY = "audiocodes/vendor.toml", "audiocodes/hd400/family.toml"
POLY, VVX_FAMILY = "poly/vendor.toml", "poly/vvx/family.toml"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str, str], TemplateError]:
    """Loads a copy of a shipped file with one thing changed, and returns the complaint."""

    def load(file: str, old: str, new: str) -> TemplateError:
        text = (shipped_folder("templates") / file).read_text()
        assert old in text
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(text.replace(old, new, 1))
        with pytest.raises(TemplateError) as error:
            load_catalog(read_folder(shipped_folder("templates"), tmp_path))
        return error.value

    return load


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (VENDOR, 'name = "AudioCodes"', "name = ", "Invalid value"),
        (VENDOR, 'name = "AudioCodes"', "", "name: Field required"),
        (VENDOR, 'name = "AudioCodes"', 'name = "AudioCodes"\ncolour = 1', "colour: Extra inputs are not permitted"),
        (VENDOR, 'pattern = "{mac}.cfg"', 'pattern = "{nac}.cfg"', "no placeholder {nac}"),
        (VENDOR, 'serve = "redirect"', 'serve = "anybody"', "serve"),
        (VENDOR, "{family}/settings.cfg.j2", "{family}/none.cfg.j2", "no template audiocodes/"),
        (VENDOR, "'^AUDC-IPPhone/(?P<firmware>", "'^AUDC-IPPhone/(?P<firmware", "is no regular expression"),
        (VENDOR, 'issuers = ["CA_ipp1"]', 'generic = ["CN=("]', "certificate: 'CN=(' is no regular expression"),
        # Found by tests/fuzz/vendor_facts.py.
        (VENDOR, 'pattern = "{mac}.cfg"', 'pattern = "{mac}{mac}.cfg"', "a placeholder stands in it twice"),
        (VENDOR, "[certificate]", f"[x]\ny = {'[' * 900}", "nested too deeply"),
        (VENDOR, "[certificate]", f"[x]\ny = {'9' * 5000}", "Exceeds the limit"),
        (VENDOR, "[certificate]", f"[x]\ny = 0x{'f' * 5000}", "a number of more than 64 bits"),
        (VENDOR, "families = [", "setting = 5\nfamilies = [", "setting: must be tables"),
        (VENDOR, "families = [", "model = [5]\nfamilies = [", "model: must be tables"),
        (VENDOR, "families = [", "family = 5\nfamilies = [", "family: must be tables"),
        (POLY, "[[setting]]", "[[setting]]\nvalue = 1", "value: Extra inputs are not permitted"),
        (POLY, "max = 64", "max = -1", "max must be 1 to"),
        (POLY, 'type = "text"', 'type = "choice"', "needs values"),
        (POLY, 'type = "text"', 'type = "integer"', "needs min and max"),
        (VENDOR, "families = [", "families = [1, ", "families: must be a list"),
        (FAMILY, 'name = "', 'like = [1]\nname = "', "is no other family of this vendor"),
        (POLY, '"(?P<mac>[0-9A-Fa-f]{12})"', '"a{1,99999999999}"', "is no regular expression"),
        (POLY, '"(?P<mac>[0-9A-Fa-f]{12})"', f'"{"(" * 500}{")" * 500}"', "is no regular expression"),
        (POLY, '"(?P<mac>[0-9A-Fa-f]{12})"', '"[0-9A-Fa-f]{12}"', "has no group mac"),
        (FAMILY, "custom_name = '", "custom_name = '(", "is no regular expression"),
        (POLY, "[overrides]", "[overridden]", "overrid"),
        (POLY, "[0-9A-Za-z_,-]{0,32}", "[0-9", "is no regular expression"),
        (POLY, "<OVERRIDES/>", "<OVERRIDES>", "overrides.empty: not well-formed XML"),
        (POLY, "<OVERRIDES/>", "<OVERRIDES/><OVERRIDES/>", "one innermost element"),
        (POLY, "<OVERRIDES/>", "<OVERRIDES a='1'/>", "without attributes"),
        (POLY, "<PHONE_CONFIG>", "<!DOCTYPE a><PHONE_CONFIG>", "has a DOCTYPE"),
        (
            VENDOR,
            "[[firmware]]",
            '[[upload]]\npattern = "{mac}.x"\nkind = "overrides"\nmax_bytes = 1\n[[firmware]]',
            "kind overrides needs [overrides]",
        ),
        ("poly/vvx/family.toml", "names = 'device", "names = '(device", "is no regular expression"),
        (FAMILY, 'clock = "', 'clock = "sun', "family.hd400.clock: "),
        (FAMILY, 'name = "', 'like = "hd500"\nname = "', "'hd500' is no other family of this vendor"),
        (FAMILY, 'name = "', 'like = "hd400"\nname = "', "'hd400' is no other family of this vendor"),
        (FAMILY, 'id = "audiocodes-405"', 'family = "hd500"\nid = "x"', "family 'hd500' is not in this folder"),
        (FAMILY, 'redundancy = "simultaneous"', 'redundancy = "sometimes"', "must be"),
        (FAMILY, "mwi_enabled = {", "mwi_enable = {", "no such setting"),
        (FAMILY, 'mwi_enabled = { parameter = "', 'mwi_enabled = { absent = "x", parameter = "', "give exactly one of"),
        (FAMILY, 'id = "audiocodes-405"', 'id = "vvx-411"', "model vvx-411 is also in"),
        (FAMILY, "\nlines = 2\n", "\nlines = 0\n", "lines"),
        (FAMILY, 'line_key_types = ["line"', 'line_key_types = ["lines"', "line_key_types"),
        (VVX_FAMILY, 'via = "5.7"', 'via = "5.6"', "via must be at least `below`, and older than `target`"),
        (VVX_FAMILY, 'target = "5.8"', 'target = "5.7.1"', "via must be at least `below`, and older than `target`"),
        (VVX_FAMILY, 'below = "5.7"', 'below = "five"', "below"),
        (VVX_FAMILY, 'models = ["vvx-300"', 'models = ["vvx-3000"', "no such model"),
        (VVX_FAMILY, 'resync = "check-sync"', 'resync = "check sync"', "notify.resync: String should match pattern"),
        (VVX_FAMILY, 'way = "rest"', 'way = "post"', "restart.0.way"),
        (VVX_FAMILY, 'way = "rest"', 'way = "event"', "way event has no path"),
        (VVX_FAMILY, 'path = "/api', 'path = "//api', "path"),
        (VVX_FAMILY, 'path = "/api/v1/mgmt/safeRestart"', "", "way rest needs path"),
        (VVX_FAMILY, 'user = "Polycom"', "", "user and password go together"),
        (VVX_FAMILY, 'content_type = "application/JSON"', "", "a body needs a content_type"),
        (VVX_FAMILY, "needs = { check_sync_reboots = true }", "", "way resync needs what makes a re-sync restart"),
        (VVX_FAMILY, "{ check_sync_reboots = true }", '{ check_sync_reboots = "on" }', "not the canonical form"),
        (VVX_FAMILY, "{ check_sync_reboots = true }", "{ check_sync_reboot = true }", "unknown setting"),
        (VVX_FAMILY, 'password = "admin_password"', 'password = "admin_passwort"', "nothing that this family is told"),
        (VVX_FAMILY, "{ rest_api_enabled = true, w", "{ standalone = true, w", "nothing that this family is told"),
    ],
)
def test_a_mistake_is_named_with_its_file(
    changed: Callable[..., TemplateError], file: str, old: str, new: str, says: str
) -> None:
    error = changed(file, old, new)
    assert error.file == ("poly/vendor.toml" if "also in" in says else file)
    assert says in str(error) and "\n" not in str(error)


def test_a_mistake_is_named_with_its_line(changed: Callable[..., TemplateError]) -> None:
    text = (shipped_folder("templates") / FAMILY).read_text()
    number = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("clock ="))
    assert changed(FAMILY, 'clock = "', 'clock = "sun').line == number


@pytest.mark.parametrize(("vendor", "family"), FAMILIES)
def test_every_setting_of_the_product_is_decided_for_every_family(vendor: str, family: str) -> None:
    decided = CATALOG.vendors[vendor].family[family].settings
    assert set(PRODUCT_SETTINGS.rows) <= set(decided)


@pytest.mark.parametrize(("vendor", "family"), FAMILIES)
def test_every_default_of_a_family_is_one_it_can_spell(vendor: str, family: str) -> None:
    """What the product says and a family cannot spell is overruled by the family."""
    row = CATALOG.vendors[vendor].family[family]
    defaults = PRODUCT_SETTINGS.defaults() | dict(CATALOG.vendors[vendor].defaults) | dict(row.defaults)
    for name, support in row.settings.items():
        if support.state == "parameter" and support.values:
            assert defaults[name] in support.values, f"{name} = {defaults[name]}"


@pytest.mark.parametrize("vendor", sorted(CATALOG.vendors))
def test_every_word_a_template_looks_up_has_a_spelling(vendor: str) -> None:
    row = CATALOG.vendors[vendor]
    for model in row.model:
        maps = {**row.maps, **row.family[model.family].maps}
        spelled = maps.get("codec") or maps["codecs"]
        assert set(model.codecs) <= set(spelled), model.id
    for family in row.family.values():
        assert family.boot and family.notify.resync
        assert not [key for key in family.limits if not re.match(r"(line|key|settings)\.|custom$", key)]


@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda m: m.id)
def test_a_model_is_recognised_by_the_user_agent_of_its_family(model: object) -> None:
    vendor, family = CATALOG.vendor_of(model), CATALOG.family_of(model)  # type: ignore[arg-type]
    example = family.user_agent_example
    words = {"firmware": "5.9.7.4477", "mac": "0004f2aabbcc", "MAC": "0004F2AABBCC"}
    for name, text in (words | {"model": model.user_agent}).items():  # type: ignore[attr-defined]
        example = example.replace(f"{{{name}}}", text)
    seen = CATALOG.identify(example)
    assert (seen.vendor, seen.model, seen.firmware) == (vendor.id, model.id, "5.9.7.4477")  # type: ignore[attr-defined]
