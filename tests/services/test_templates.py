"""The template library: never a broken file in service, a brand is a folder, a hostile template harms nobody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from tests.conftest import ADMIN, VVX, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.config import shipped_folder
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.phone import Line
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue
from ztp_server.services import templates as library
from ztp_server.services.checks import checked_phone
from ztp_server.services.opening import Services
from ztp_server.services.template_samples import Extremes
from ztp_server.services.templates import Templates
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

MASTER, SETTINGS, DIRECTORY = "poly/master.cfg.j2", "poly/vvx/settings.cfg.j2", "poly/directory.xml.j2"
GOOD = '<APPLICATION APP_FILE_PATH="own" CONFIG_FILES="{{ phone.mac }}-settings.cfg"/>\n'
OTHER = "<directory><own/></directory>"

BRAND = """
name = "Bellows"
ouis = ["0a1b2c"]
user_agents = ['^Bellows (?P<model>\\S+) (?P<firmware>\\S+)$']
[maps.switch]
on = "yes"
[[file]]
pattern = "bellows-{mac}.conf"
template = "{family}/phone.j2"
format = "line"
[[file]]
pattern = "{mac}.bel"
template = "{family}/phone.j2"
format = "line"
[[setting]]
name = "ring"
type = "choice"
values = ["loud", "soft"]
default = "loud"
help = "How it rings"
[family.b1]
name = "Bellows B1"
factory_certificate = false
line_key_types = ["line"]
clock = "weekly_dst"
custom_name = "[a-z.]+"
user_agent_example = "Bellows {model} {firmware}"
boot = [{ path = "{mac}.bel", reads = true }]
[family.b1.reading]
format = "line"
address = "url"
user = "user{n}"
server = "server"
transport = "transport"
[family.b1.notify]
resync = "check-sync"
[family.b1.settings]
sip_server = { parameter = "server" }
"bellows.ring" = { parameter = "ring" }
[[model]]
id = "bellows-b1"
name = "Bellows B1"
family = "b1"
user_agent = "B1"
lines = 1
line_keys = 1
codecs = ["audio/PCMA"]
"""
PHONE = """url={{ server.url }}
server={{ settings.sip_server }}
ring={{ settings["bellows.ring"] }}
{% for line in lines %}
user{{ line.number }}={{ line.user }}
{% endfor %}
"""


@pytest.fixture
def own(data: Path) -> Path:
    (data / "templates").mkdir()
    return data / "templates"


def write(own: Path, name: str, text: str) -> None:
    path = own / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load(data: Path) -> Templates:
    return Templates(shipped_folder("templates"), data / "templates", data / "templates.state")


def shipped(name: str) -> str:
    return (shipped_folder("templates") / name).read_text()


def in_service(templates: Templates, name: str) -> str:
    return templates.renderer._sources[name]


def complaints(templates: Templates) -> list[tuple[str, int, str]]:
    return [(problem.file, problem.line, problem.reason) for problem in templates.snapshot.problems]


def test_an_own_file_covers_the_shipped_one_and_goes_again_when_it_is_removed(data: Path, own: Path) -> None:
    write(own, MASTER, GOOD)
    templates = load(data)
    assert in_service(templates, MASTER) == GOOD and complaints(templates) == []

    (own / MASTER).unlink()
    assert templates.refresh() and in_service(templates, MASTER) == shipped(MASTER)


def test_nothing_is_done_while_nothing_changes(data: Path, own: Path) -> None:
    templates = load(data)
    before = templates.snapshot
    assert not templates.refresh() and templates.snapshot is before


def test_a_broken_file_leaves_its_last_good_text_in_service_also_after_a_restart(data: Path, own: Path) -> None:
    write(own, MASTER, GOOD)
    templates = load(data)
    write(own, MASTER, GOOD + "{{ nonsense }}")

    assert templates.refresh()
    assert in_service(templates, MASTER) == GOOD
    assert complaints(templates) == [(MASTER, 2, "unknown name 'nonsense'")]

    again = load(data)
    assert in_service(again, MASTER) == GOOD and complaints(again) == complaints(templates)

    write(own, MASTER, GOOD + "\n")
    assert again.refresh() and in_service(again, MASTER) == GOOD + "\n" and complaints(again) == []


def test_a_broken_file_keeps_no_good_one_of_another_out(data: Path, own: Path) -> None:
    write(own, MASTER, GOOD + "{{ nonsense }}")
    write(own, DIRECTORY, OTHER)
    templates = load(data)
    assert in_service(templates, DIRECTORY) == OTHER
    assert in_service(templates, MASTER) == shipped(MASTER)
    assert [file for file, _, _ in complaints(templates)] == [MASTER]


@pytest.mark.parametrize(
    "text",
    ["name = ", "nonsense = 1\n", "name = 'x'\n", b"\xff\xfe"],
    ids=["no TOML", "unknown key", "keys missing", "no text"],
)
def test_a_broken_vendor_file_leaves_every_phone_of_that_maker_served(data: Path, own: Path, text: str | bytes) -> None:
    (own / "poly").mkdir()
    (own / "poly" / "vendor.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    templates = load(data)
    assert [file for file, _, _ in complaints(templates)] == ["poly/vendor.toml"]
    assert "vvx-411" in templates.catalog.models and "audiocodes-405hd" in templates.catalog.models


def test_a_broken_file_that_comes_while_the_server_runs_leaves_every_maker_served(data: Path, own: Path) -> None:
    templates = load(data)
    write(own, "poly/vendor.toml", "name = \nouis = []\n")
    assert templates.refresh()
    assert "vvx-411" in templates.catalog.models
    assert complaints(templates)[0][:2] == ("poly/vendor.toml", 1)


def test_a_mistake_in_an_own_vendor_file_names_its_line(data: Path, own: Path) -> None:
    write(own, "bellows/vendor.toml", BRAND.replace('clock = "weekly_dst"', 'clock = "sundial"'))
    write(own, "bellows/b1/phone.j2", PHONE)
    ((file, line, reason),) = complaints(load(data))
    number = BRAND.splitlines().index('clock = "weekly_dst"') + 1
    assert (file, line) == ("bellows/vendor.toml", number) and "clock" in reason


async def test_a_brand_is_a_folder_dropped_in(data: Path, own: Path) -> None:
    write(own, "bellows/vendor.toml", BRAND)
    write(own, "bellows/b1/phone.j2", PHONE)
    services = await open_data(data)
    try:
        await fill(services)
        await services.base_settings.add(ADMIN, "bellows", "", "bellows-b1", {"bellows.ring": "soft"})
        phone = sample_phone(
            "0a1b2c000001", model="bellows-b1", base_settings="bellows", lines=(Line("77"),), line_keys=()
        )
        await services.phones.add(ADMIN, phone)

        files = await services.phones.preview(ADMIN, "0a1b2c000001", "0a1b2c000001.bel", True)

        assert files["0a1b2c000001.bel"].decode().splitlines()[1:] == [
            "server=sip.example.net",
            "ring=soft",
            "user1=77",
        ]
        assert services.templates.catalog.identify("Bellows B1 1.2").model == "bellows-b1"
        with pytest.raises(BadValue, match=r"settings\.bellows\.ring: not proven on VVX"):
            await services.phones.edit(ADMIN, VVX, {}, {"bellows.ring": "soft"})
        with pytest.raises(BadValue, match=r"settings\.bellows\.ring: must be 'loud' or 'soft'"):
            await services.base_settings.edit(ADMIN, "bellows", None, {"bellows.ring": "shrill"})
    finally:
        await services.close()


def test_one_file_of_an_own_brand_that_goes_missing_takes_nothing_out_of_service(data: Path, own: Path) -> None:
    write(own, "bellows/vendor.toml", BRAND)
    write(own, "bellows/b1/phone.j2", PHONE)
    templates = load(data)
    (own / "bellows/b1/phone.j2").unlink()
    assert templates.refresh()

    assert "bellows-b1" in templates.catalog.models and complaints(templates)
    assert "bellows-b1" in load(data).catalog.models


def test_the_warning_of_a_changed_shipped_file_ends_when_the_override_is_brought_up_to_date(
    data: Path, own: Path
) -> None:
    write(own, "poly/master.cfg.j2", shipped("poly/master.cfg.j2") + "{# own #}")
    load(data)
    known = data / "templates.state" / "shipped.json"
    known.write_text(known.read_text().replace('": "', '": "0'))
    assert load(data).snapshot.outdated == ("poly/master.cfg.j2",)

    write(own, "poly/master.cfg.j2", shipped("poly/master.cfg.j2") + "{# own, brought up to date #}")
    assert load(data).snapshot.outdated == ()


async def test_a_brand_that_is_taken_away_harms_no_other(data: Path, own: Path) -> None:
    write(own, "bellows/vendor.toml", BRAND)
    write(own, "bellows/b1/phone.j2", PHONE)
    services = await open_data(data)
    await fill(services)
    await services.base_settings.add(ADMIN, "bellows", "", "bellows-b1", {"bellows.ring": "soft"})
    phone = sample_phone("0a1b2c000001", model="bellows-b1", base_settings="bellows", lines=(), line_keys=())
    await services.phones.add(ADMIN, phone)
    await services.close()

    shutil.rmtree(own / "bellows")
    services = await open_data(data)
    try:
        assert len(await services.phones.all(ADMIN)) == 4
        assert await services.phones.preview(ADMIN, VVX, None, True)
        await services.sites.edit(ADMIN, "madrid", None, {"sip_port": "5071"})
        await services.phones.remove(ADMIN, "0a1b2c000001")
        await services.base_settings.remove(ADMIN, "bellows")
    finally:
        await services.close()


# ---- parameters that the firmware knows ------------------------------------------------------------------------------

NAMES = "# of the guide\nurl text 255\nserver\nring one-of loud|soft\nuser1 text 128\n"


def warnings(own: Path) -> list[tuple[str, int, str]]:
    """What a thorough check of these folders alone says."""
    found = library.try_out(read_folder(own), thorough=True)
    assert {problem.severity for problem in found} <= {"warning"}, found
    return [(problem.file, problem.line, problem.reason) for problem in found]


def brand(own: Path, template: str = PHONE, names: str = NAMES, vendor: str = BRAND) -> None:
    write(own, "bellows/vendor.toml", vendor)
    write(own, "bellows/b1/phone.j2", template)
    write(own, "bellows/parameters.txt", names)


def test_names_and_values_that_are_known_are_not_warned_of(own: Path) -> None:
    brand(own)
    assert warnings(own) == []


def test_a_misspelt_parameter_is_warned_of_with_its_place_and_stays_in_service(data: Path, own: Path) -> None:
    brand(own, PHONE.replace("server=", "sever="))
    ((file, line, reason),) = warnings(own)
    assert (file, line) == ("bellows/b1/phone.j2", 2)
    assert reason.startswith("sever: no parameter of that name is known; did you mean server? (for bellows-b1, with ")
    templates = load(data)
    assert "sever=" in in_service(templates, "bellows/b1/phone.j2") and complaints(templates) == []


def test_the_place_of_a_name_that_is_partly_an_expression_is_found_in_an_included_file(own: Path) -> None:
    brand(own, 'url={{ server.url }}\n{% include "bellows/lines.j2" %}\n')
    write(own, "bellows/lines.j2", "\n{% for line in lines %}\nusr{{ line.number }}=1\n{% endfor %}\n")
    ((file, line, reason),) = warnings(own)
    assert (file, line) == ("bellows/lines.j2", 3) and "did you mean user1?" in reason


def test_a_value_that_a_parameter_does_not_take_is_warned_of(own: Path) -> None:
    brand(own, names=NAMES.replace("loud|soft", "loud|shrill"))
    ((file, line, reason),) = warnings(own)
    assert (file, line) == ("bellows/b1/phone.j2", 3) and reason.startswith("ring: must be one of loud, shrill (for ")


def test_the_list_of_a_family_adds_to_that_of_its_vendor(own: Path) -> None:
    brand(own, names="url\nserver\nuser1 switch\n")
    write(own, "bellows/b1/parameters.txt", "ring\nuser1\n")
    assert warnings(own) == []


def test_a_file_of_another_kind_has_no_parameters(own: Path) -> None:
    brand(own, vendor=BRAND.replace('format = "line"', 'format = "line"\nparameters = false', 2), names="nothing\n")
    assert warnings(own) == []


def test_a_line_that_says_nothing_is_named_and_leaves_the_rest_in_service(data: Path, own: Path) -> None:
    brand(own)
    templates = load(data)
    write(own, "bellows/parameters.txt", NAMES + "vlan number 9-1\n")
    assert templates.refresh()
    ((file, line, reason),) = complaints(templates)
    assert (file, line) == ("bellows/parameters.txt", 6) and "number 0-63" in reason
    assert "bellows-b1" in templates.catalog.models


def test_a_list_of_another_maker_ends_in_few_warnings_soon(own: Path) -> None:
    many = "".join(f"name{n}.of.something={{{{ phone.mac }}}}\n" for n in range(1000))
    names = "".join(f"other{n}.of.anything\n" for n in range(1000))
    brand(own, many + "x" * 10_000 + "=1\n", names)
    found = warnings(own)
    assert len(found) == 100 and all(len(reason) < 500 for _, _, reason in found)


# ---- extremes --------------------------------------------------------------------------------------------------------

BREAKS = {
    "a value of a choice": (
        '{% if settings["bellows.ring"] == "soft" %}{{ map.none }}{% endif %}',
        "bellows.ring=soft",
    ),
    "a long text": ("{{ {} if settings.sip_server | length > 200 else 1 }}", "sip_server=hhh"),
    "an address": ('{% if "::" in settings.sip_server %}{{ map.none }}{% endif %}', "sip_server=2001:db8::1"),
    "no server": ("{% if not settings.sip_server %}{{ map.none }}{% endif %}", "sip_server="),
    "no CA of this server": ("{% if not server.ca %}{{ map.none }}{% endif %}", "everything at its least"),
}


@pytest.mark.parametrize(("text", "says"), BREAKS.values(), ids=BREAKS)
def test_a_template_that_bears_no_extreme_is_told_which(own: Path, text: str, says: str) -> None:
    text = text.replace("{} if", "lines if")
    brand(own, PHONE + f"\n{text}\n", names="")
    folder = read_folder(own)
    assert library.try_out(folder) == [], "a quick trial shows phones as they are"

    ((file, line, reason),) = [(p.file, p.line, p.reason) for p in library.try_out(folder, thorough=True)]

    assert (file, line) == ("bellows/b1/phone.j2", PHONE.count("\n") + 2)
    assert "for bellows-b1" in reason and says in reason and len(reason) < 300


def test_every_extreme_is_one_that_the_rules_accept_and_they_see_every_choice() -> None:
    catalog = load_catalog(read_folder(shipped_folder("templates")))
    extremes = Extremes(catalog)
    for model in (catalog.models["vvx-411"], catalog.models["audiocodes-405hd"]):
        seen: dict[str, set[str]] = {}
        for sample in extremes.samples(model):
            phone = sample.phone
            assert checked_phone(catalog, phone, Site("s", "s"), BaseSettings("b", "b", model.id)) == phone
            for name, value in phone.settings.items():
                seen.setdefault(name, set()).add(str(value))
        for name, support in catalog.family_of(model).settings.items():
            wanted = support.values or get_args(catalog.settings.rows[name].type)
            if support.state == "parameter" and catalog.settings.rows[name].json_schema.get("enum"):
                assert seen[name] == set(map(str, wanted)), name
            if support.state == "parameter" and catalog.settings.rows[name].type is bool:
                assert seen[name] == set(map(str, support.values or (False, True))), name


def test_the_extremes_of_a_model_have_all_its_lines_and_keys_of_each_type() -> None:
    catalog = load_catalog(read_folder(shipped_folder("templates")))
    model = catalog.models["vvx-411"]
    samples = list(Extremes(catalog).samples(model))
    room = model.line_keys + model.expansion_modules * model.expansion_keys
    assert max(len(sample.phone.lines) for sample in samples) == model.lines
    assert max(len(sample.phone.line_keys) for sample in samples) == room
    types = {key.type for sample in samples for key in sample.phone.line_keys}
    assert types == {*catalog.family_of(model).line_key_types, "none"}


# ---- hostile templates ----------------------------------------------------------------------------------------------

DEEP = 12
SLOTS = "[0,1,2,3,4,5,6,7,8,9]"

REFUSED = {
    "a call": ("<a>\n{{ lines.append(1) }}</a>", 2, "call is not allowed"),
    "a call of a method of text": ("<a>{{ 'a'.format() }}</a>", 1, "call is not allowed"),
    "range": ("<a>\n\n{% for n in range(9) %}{% endfor %}</a>", 3, "not"),
    "a class": ("<a>\n{{ phone.__class__ }}</a>", 2, "'__class__' is not allowed"),
    "a class of a class": ("<a>{{ ''.__class__.__mro__ }}</a>", 1, "is not allowed"),
    "a class in brackets": ("<a>\n{{ phone['__class__'] }}</a>", 2, "__class__"),
    "the inside of a loop": ("<a>{% for l in lines %}\n{{ loop._iterator }}{% endfor %}</a>", 2, "is not allowed"),
    "an include of what is not there": ("<a>\n{% include 'poly/none.j2' %}</a>", 2, "no"),
    "an include of a file outside": ("<a>\n{% include '../../etc/passwd' %}</a>", 2, "no"),
    "an include of a name that is computed": ("<a>\n{% include phone.name %}</a>", 2, "include takes a name in quotes"),
    "an include of a list": ("<a>\n{% include ['a', 'b'] %}</a>", 2, "include takes a name in quotes"),
    "an include of a number": ("<a>\n{% include 5 %}</a>", 2, ""),
    "an include of itself": (f"<a>\n{{% include '{MASTER}' %}}</a>", 0, "includes itself"),
    "multiplication": ("<a>\n{{ 'a' * 9 }}</a>", 2, "mul is not allowed"),
    "a power": ("<a>\n{{ 9 ** 9 }}</a>", 2, "pow is not allowed"),
    "a format": ("<a>\n{{ '%9999d' % 1 }}</a>", 2, "mod is not allowed"),
    "a macro": ("<a>\n{% macro m() %}{% endmacro %}</a>", 2, "macro is not allowed"),
    "an import": ("<a>\n{% import 'poly/master.cfg.j2' as m %}</a>", 2, "import is not allowed"),
    "inheritance": ("<a>\n{% extends 'poly/master.cfg.j2' %}</a>", 2, "extends is not allowed"),
    "a recursive loop": ("<a>\n{% for l in lines recursive %}{% endfor %}</a>", 2, "recursive loop"),
    "an unknown filter": ("<a>\n{{ phone.mac | attr('x') }}</a>", 2, "filter"),
    "an unknown test": ("<a>\n{{ phone is callable }}</a>", 2, "test"),
    "a syntax error": ("<a>\n{% if %}</a>", 2, ""),
    "a name that is not there": ("<a>\n{{ settings.nothing }}</a>", 2, "nothing"),
    "a list written out": ("<a>\n{{ lines }}</a>", 2, "not list"),
    "XML that is none": ("<a>\n<b></a>", 0, "well-formed"),
    "loops too deep for Python": ("<a>" + "{% for l in lines %}" * 30 + "{% endfor %}" * 30 + "</a>", 0, ""),
    "no XML at all": ("", 0, "well-formed"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a library with two own files, both good."""
    data = new_data(tmp_path_factory.mktemp("library") / "data")
    write(data / "templates", MASTER, GOOD)
    write(data / "templates", DIRECTORY, OTHER)
    assert load(data).snapshot.problems == ()
    return data


@pytest.fixture(scope="module")
def library_in_service(running: Path) -> Templates:
    return load(running)


@pytest.mark.parametrize(("text", "line", "says"), REFUSED.values(), ids=REFUSED)
def test_a_hostile_template_is_left_out_with_file_and_line_and_harms_no_other(
    running: Path, library_in_service: Templates, text: str, line: int, says: str
) -> None:
    write(running / "templates", MASTER, text)

    assert library_in_service.refresh()

    assert in_service(library_in_service, MASTER) == GOOD and in_service(library_in_service, DIRECTORY) == OTHER
    ((file, found, reason),) = complaints(library_in_service)
    assert (file, found) == (MASTER, line) and says in reason and "\n" not in reason


ENDLESS = {
    "loops in loops": "<a>"
    + "".join(f"{{% for a{n} in {SLOTS} %}}" for n in range(DEEP))
    + "{% endfor %}" * DEEP
    + "</a>",
    "a gigabyte of text": "<a>"
    + "".join(f"{{% for a{n} in {SLOTS} %}}" for n in range(9))
    + "{{ phone.name }}"
    + "{% endfor %}" * 9
    + "</a>",
    "text that doubles": "<a>{% set x = phone.name %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}</a>",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_template_without_end_is_stopped_named_and_harms_no_other(
    running: Path, library_in_service: Templates, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit of `ztp` is a minute; what happens at it is what counts here.
    monkeypatch.setattr(library, "TRIAL_SECONDS", 10)
    write(running / "templates", MASTER, text)

    assert library_in_service.refresh()

    assert in_service(library_in_service, MASTER) == GOOD and in_service(library_in_service, DIRECTORY) == OTHER
    assert [file for file, _, _ in complaints(library_in_service)] == [MASTER], complaints(library_in_service)


async def test_a_hostile_template_changes_nothing_for_phones_that_are_served(office: Services, data: Path) -> None:
    before = await office.phones.preview(ADMIN, VVX, None, True)
    for text, _, _ in list(REFUSED.values())[:3]:
        write(data / "templates", SETTINGS, text)
        assert office.templates.refresh()
        assert await office.phones.preview(ADMIN, VVX, None, True) == before


async def test_a_served_file_is_found_by_its_name_only(data: Path, own: Path) -> None:
    write(own, "poly/files/ring/one.wav", "RIFF")
    write(own, "poly/files/.hidden", "x")
    write(own, "poly/notes.txt", "x")
    catalog = load(data).catalog
    assert sorted(catalog.static) == ["ring/one.wav"]
