"""Where the lines of a rendered file come from: the same text as ever, with the right lines and names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jinja2 import nodes

from tests.conftest import HOSTILE_NAME
from ztp_server import render
from ztp_server.config import shipped_folder
from ztp_server.errors import TemplateError
from ztp_server.render import Renderer
from ztp_server.render_trace import Place, TracedLine, _Walk, trace_lines
from ztp_server.services.template_trial import renderings
from ztp_server.traced_values import Expressions
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

GIVEN: dict[str, Any] = {
    "settings": {"on": True, "off": False, "number": 7, "text": HOSTILE_NAME, "empty": "", "list": ["a", "b", "c"],
                 "acme.own": "x", "items": "keys"},
    "lines": [{"number": 1, "user": "1001", "label": "One"}, {"number": 2, "user": "1002", "label": ""}],
    "line_keys": [{"number": 1, "type": "line", "nth": 1}, {"number": 2, "type": "blf", "nth": 1},
                  {"number": 3, "type": "blf", "nth": 2}],
    "phone": {"mac": "0004f2aabbcc"},
    "map": {"words": {"a": "first", "b": "second", "c": "third"}},
    "clock": {"dst": {"start": {"month": 3}}},
    "custom": {},
}  # fmt: skip


def traced(text: str, kind: str = "line", more: dict[str, str] | None = None, **given: Any) -> list[TracedLine]:
    """The lines of a template that is checked and given all of the above. They are those that are rendered."""
    renderer = Renderer({"t.j2": text, **(more or {})})
    renderer.check("t.j2", kind)
    context = {**GIVEN, **given}
    lines = trace_lines(renderer, "t.j2", kind, context)
    assert "".join(line.text for line in lines).encode() == renderer.render("t.j2", kind, context)
    return lines


def one(text: str, **given: Any) -> TracedLine:
    (line,) = traced(text, **given)
    return line


def names(expression: str) -> set[str]:
    return set(one(f"a={{{{ {expression} }}}}\n").names)


def test_every_node_a_template_may_have_is_understood() -> None:
    told_otherwise = {nodes.Template, nodes.TemplateData, nodes.Operand}
    for kind in set(render._NODES) - told_otherwise:
        name = kind.__name__.lower()
        assert hasattr(_Walk, f"_do_{name}") or hasattr(Expressions, f"_of_{name}"), name


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("settings.number", {"settings.number"}),
        ('settings["acme.own"]', {"settings.acme.own"}),
        ("settings.list[1]", {"settings.list"}),
        ("settings.items", {"settings.items"}),
        ("lines[0].user", {"lines.1.user"}),
        ("lines[0 - 1].user", {"lines.2.user"}),
        ("lines[0].number", {"lines.1"}),
        ("line_keys[1].type", {"line_keys.2.type"}),
        ("clock.dst.start.month", {"clock"}),
        ("map.words[settings.list[0]]", {"map.words", "settings.list"}),
        ("settings.number + lines[0].number - 1", {"settings.number", "lines.1"}),
        ("settings.number // 2", {"settings.number"}),
        ("phone.mac ~ settings.number ~ settings.on", {"phone.mac", "settings.number", "settings.on"}),
        ("phone.mac | upper", {"phone.mac"}),
        ("settings.list | join(phone.mac)", {"settings.list", "phone.mac"}),
        ("settings.empty or phone.mac", {"settings.empty", "phone.mac"}),
        ("phone.mac or settings.empty", {"phone.mac"}),
        ("settings.off and phone.mac", {"settings.off"}),
        ("settings.on and phone.mac", {"settings.on", "phone.mac"}),
        ("not settings.on", {"settings.on"}),
        ("phone.mac if settings.on else settings.number", {"phone.mac", "settings.on"}),
        ("phone.mac if settings.off else settings.number", {"settings.number", "settings.off"}),
        ("settings.number > 3", {"settings.number"}),
        ("8 < settings.number < lines[0].number", {"settings.number"}),
        ('"a" in settings.list', {"settings.list"}),
        ("settings.number not in [phone.mac, 5]", {"settings.number", "phone.mac"}),
        ("[settings.number, phone.mac][1]", {"phone.mac"}),
        ("settings.nothing is defined", {"settings.nothing"}),
        ("lines[9].label is defined", {"lines.10.label"}),
        ("settings.list is in [settings.empty]", {"settings.list", "settings.empty"}),
        ("'constant'", set()),
    ],
)
def test_an_expression_names_what_it_was_made_of(expression: str, expected: set[str]) -> None:
    assert names(expression) == expected


def test_each_line_knows_its_line_of_the_template() -> None:
    lines = traced(
        "{# a comment\n of two lines #}\na=1\nb=2\n\n{% if settings.on %}\nc={{\n  phone.mac\n}}\n{% endif %}\n"
    )
    assert [(line.text, line.places) for line in lines] == [
        ("a=1\n", (Place("t.j2", 3),)),
        ("b=2\n", (Place("t.j2", 4),)),
        ("\n", (Place("t.j2", 5),)),
        ("c=0004f2aabbcc\n", (Place("t.j2", 7), Place("t.j2", 8), Place("t.j2", 9))),
    ]


def test_a_line_of_an_included_template_names_that_one() -> None:
    lines = traced('a=1\n{% include "part.j2" %}\nb=2\n', more={"part.j2": "{# part #}\nc={{ phone.mac }}\n"})
    assert [line.places for line in lines] == [(Place("t.j2", 1),), (Place("part.j2", 2),), (Place("t.j2", 3),)]


def test_a_value_of_several_lines_makes_lines_that_name_it_each() -> None:
    lines = traced("{{ settings.text }}", "pem", settings={"text": "first\n\u2028second"})
    assert [(line.text, set(line.names)) for line in lines] == [
        ("first\n", {"settings.text"}),
        ("\u2028second", {"settings.text"}),
    ]


def test_a_file_may_be_empty_and_an_empty_value_still_names_itself() -> None:
    assert traced("{{ settings.empty }}", "pem") == []
    assert one("{{ settings.empty }}\n").names == {"settings.empty"}


def test_a_line_inside_a_condition_is_there_because_of_all_that_was_asked() -> None:
    line = one("{% if settings.off %}\na\n{% elif settings.empty %}\nb\n{% else %}\nc={{ phone.mac }}\n{% endif %}\n")
    assert (line.names, line.because) == ({"phone.mac"}, {"settings.off", "settings.empty"})


def test_who_stands_in_a_line_is_not_named_as_its_reason_too() -> None:
    line = one("{% if settings.number and settings.on %}\na={{ settings.number }}\n{% endif %}\n")
    assert (line.names, line.because) == ({"settings.number"}, {"settings.on"})


def test_a_condition_within_a_line_counts_even_when_it_wrote_nothing() -> None:
    assert one("a={% if settings.off %}x{% endif %}b\n").because == {"settings.off"}
    assert one("a={% for key in line_keys if key.type == 'park' %}x{% endfor %}b\n").because == {"line_keys"}


def test_a_condition_between_lines_says_nothing_of_its_neighbours() -> None:
    lines = traced("a\n{% if settings.off %}\nb\n{% endif %}\nc\n")
    assert [line.because for line in lines] == [frozenset(), frozenset()]


def test_what_a_loop_writes_names_the_member_it_is_about_by_its_place_in_the_whole_list() -> None:
    lines = traced('{% for key in line_keys if key.type == "blf" %}\n{{ loop.index }}={{ key.nth }}\n{% endfor %}\n')
    assert [(line.text, set(line.names), set(line.because)) for line in lines] == [
        ("1=1\n", {"line_keys.2"}, {"line_keys.2.type"}),
        ("2=2\n", {"line_keys.3"}, {"line_keys.3.type"}),
    ]


def test_a_loop_over_a_list_in_the_template_names_the_setting_of_each_member() -> None:
    pairs = '[("a", settings.number), ("b", phone.mac), ("c", settings.empty)]'
    text = f"{{% for word, value in {pairs} if value %}}\n{{{{ word }}}}={{{{ value }}}}\n{{% endfor %}}\n"
    assert [set(line.names) for line in traced(text)] == [{"settings.number"}, {"phone.mac"}]


def test_a_loop_over_names_names_what_stands_under_them() -> None:
    lines = traced("<a{% for name in custom %} {{ name }}=\"{{ custom[name] }}\"\n{% endfor %}/>\n", "xml",
                   custom={"x.y": "1", "z": HOSTILE_NAME})  # fmt: skip
    assert [set(line.names) for line in lines] == [{"custom.x.y"}, {"custom.z"}, set()]


def test_a_loop_over_nothing_says_why() -> None:
    text = "{% for key in line_keys if key.type == phone.mac %}\nx\n{% else %}\ny\n{% endfor %}\n"
    assert one(text).because == {"line_keys", "phone.mac"}


def test_a_name_that_was_set_stands_for_what_it_was_made_of() -> None:
    text = "{% set a = settings.number %}{% set b, c = [a + 1, phone.mac] %}{{ b }}\n{{ c }}\n"
    assert [set(line.names) for line in traced(text)] == [{"settings.number"}, {"phone.mac"}]


def test_a_name_set_inside_a_loop_is_forgotten_outside_of_it() -> None:
    text = "{% set a = phone.mac %}{% for n in settings.list %}{{ a }}{% set a = n %}{{ a }}\n{% endfor %}{{ a }}\n"
    lines = traced(text)
    assert [set(line.names) for line in lines] == [{"phone.mac", "settings.list"}] * 3 + [{"phone.mac"}]


def test_a_raw_parameter_says_whose_place_it_took() -> None:
    lines = traced("a={{ settings.number }}\nb=2\na=again", custom={"a": "9", "new": "x"})
    assert [(line.text, line.custom, line.places, set(line.names)) for line in lines] == [
        ("b=2\n", "", (Place("t.j2", 2),), set()),
        ("a=9\n", "a", (Place("t.j2", 1), Place("t.j2", 3)), {"custom.a"}),
        ("new=x\n", "new", (), {"custom.new"}),
    ]


def test_a_raw_parameter_ends_a_last_line_that_had_no_end() -> None:
    assert [line.text for line in traced("a=1", custom={"b": "2"})] == ["a=1\n", "b=2\n"]


def test_values_are_escaped_as_in_the_file_and_may_hold_any_character() -> None:
    text = "\ue000\ue001\U000f0000 <&\"'>"
    (line,) = traced('<a b="{{ settings.text }}"/>\n', "xml", settings={"text": text})
    assert "\ue000\ue001\U000f0000 &lt;&amp;&quot;" in line.text


def test_a_template_that_fails_says_so_as_it_always_does() -> None:
    with pytest.raises(TemplateError, match=r"t\.j2:2"):
        trace_lines(Renderer({"t.j2": "a\n{{ settings.nothing }}\n"}), "t.j2", "line", GIVEN)


@pytest.mark.slow
def test_the_lines_of_every_shipped_template_for_every_model_are_traced_to_where_they_stand() -> None:
    folder = read_folder(shipped_folder("templates"))
    catalog, renderer = load_catalog(folder), Renderer(folder.texts)
    seen = set()
    for rendering in renderings(catalog, thorough=False):
        lines = trace_lines(renderer, rendering.template, rendering.rule.format, rendering.context)
        body = renderer.render(rendering.template, rendering.rule.format, rendering.context)
        assert "".join(line.text for line in lines).encode() == body
        for line in lines:
            sources = [folder.texts[place.template].split("\n")[place.line - 1] for place in line.places]
            assert line.custom or any(could_write(source, line.text) for source in sources), line
            seen.update(place.template for place in line.places)
    # Those of registrars/ make no file of a phone.
    of_phones = {name: text for name, text in folder.texts.items() if not name.startswith("registrars/")}
    writing = {name for name, text in of_phones.items() if not re.fullmatch(r"\{% include \S+ %\}\n", text)}
    assert seen == {name for name in writing if name.endswith(".j2")}


def could_write(source: str, text: str) -> bool:
    """Whether a line of a template spells a line of a file, but for its expressions and its inner conditions."""
    without_conditions = re.sub(r"\{%.*?if.*?%\}.*?\{% endif %\}", "{{ }}", source)
    parts = re.split(r"\{\{.*?\}\}", without_conditions)
    return bool(re.fullmatch(".*".join(map(re.escape, parts)), text.removesuffix("\n")))
