"""Template and values → bytes: escaped by the kind of file, checked before anybody gets them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ztp_server.errors import TemplateError
from ztp_server.filters import FILTERS
from ztp_server.render import Renderer

ATTRIBUTE = '<a b="{{ phone.name }}"/>'
CONTROL = "\x00\x01\x0b\x1f\x7f\x85\ud800\ufffe\uffff"


def render(text: str, kind: str = "xml", **context: Any) -> str:
    renderer = Renderer({"t.j2": text})
    renderer.check("t.j2", kind)
    return renderer.render("t.j2", kind, {"custom": {}, **context}).decode()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")))
def test_any_text_is_read_back_from_an_attribute_and_from_an_element(text: str) -> None:
    body = render('<a b="{{ phone.name }}">{{ phone.name }}</a>', phone={"name": text})
    read = etree.fromstring(body.encode())
    assert read.get("b") == text and (read.text or "") == text


@given(st.text("ab \n\r\t\"'<&", max_size=20))
def test_line_breaks_and_tabs_of_a_pem_survive_in_an_attribute(text: str) -> None:
    assert etree.fromstring(render(ATTRIBUTE, phone={"name": text}).encode()).get("b") == text


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize(("text", "kind"), [(ATTRIBUTE, "xml"), ("a={{ phone.name }}\n", "line")])
def test_what_no_phone_can_read_is_never_written(character: str, text: str, kind: str) -> None:
    with pytest.raises(TemplateError, match=rf"t\.j2:1: a value holds the character U\+{ord(character):04X}"):
        render(text, kind, phone={"name": f"a{character}b"})


@pytest.mark.parametrize("character", "\n\r\t")
def test_a_line_file_takes_no_second_line(character: str) -> None:
    with pytest.raises(TemplateError):
        render("a={{ phone.name }}\n", "line", phone={"name": f"a{character}b=c"})


def test_a_value_is_text_and_no_template() -> None:
    assert (
        render("a={{ phone.name }}\n", "line", phone={"name": "{{ settings }}{% if %}"}) == "a={{ settings }}{% if %}\n"
    )


def test_a_switch_is_1_or_0_and_a_number_is_itself() -> None:
    text = "a={{ settings.on }}{{ settings.off }}{{ settings.number }}{{ not settings.on }}\n"
    assert render(text, "line", settings={"on": True, "off": False, "number": -7}) == "a=10-70\n"


@pytest.mark.parametrize("value", [None, 1.5, [], {}, object()])
def test_nothing_else_is_written(value: Any) -> None:
    with pytest.raises(TemplateError, match="may write text, numbers and switches"):
        render("a={{ phone.name }}\n", "line", phone={"name": value})


def test_a_fault_names_the_file_and_the_line_of_the_part_that_was_included() -> None:
    renderer = Renderer({"a/t.j2": "<a>\n\n{% include 'a/part.j2' %}</a>", "a/part.j2": "\n{{ phone.none }}"})
    with pytest.raises(TemplateError) as error:
        renderer.render("a/t.j2", "xml", {"phone": {}, "custom": {}})
    assert (error.value.file, error.value.line) == ("a/part.j2", 2)


def test_an_include_of_what_is_not_there_is_a_fault_of_the_file_that_includes_it() -> None:
    with pytest.raises(TemplateError) as error:
        Renderer({"a/t.j2": "<a>\n{% include 'a/none.j2' %}</a>"}).check("a/t.j2", "xml")
    assert (error.value.file, error.value.line) == ("a/t.j2", 2)


def test_a_raw_parameter_takes_the_place_of_its_line_and_stands_once() -> None:
    text = "a/b=1\na/c=2\na/b=3\n"
    body = render(text, "line", custom={"a/b": "own", "x/y": "new=1"})
    assert body == "a/c=2\na/b=own\nx/y=new=1\n"


def test_a_raw_parameter_after_a_last_line_without_an_end_begins_a_line_of_its_own() -> None:
    assert render("a/c=2", "line", custom={"x/y": "1"}).splitlines() == ["a/c=2", "x/y=1"]


def test_two_attributes_of_one_name_are_refused() -> None:
    with pytest.raises(TemplateError, match="not well-formed"):
        render('<a b="1" b="2"/>')


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("tos_byte", (46,), 184),
        ("first_day", (5,), 29),
        ("window_seconds", ("23:00-01:00",), 7200),
        ("window_seconds", ("01:00-05:00",), 14400),
        ("window_start", ("01:00-05:00",), "01:00"),
        ("window_end", ("01:00-05:00",), "05:00"),
        ("host", ("proxy:5061",), "proxy"),
        ("host", ("2001:db8::1",), "2001:db8::1"),
        ("port", ("proxy:5061", 5060), 5061),
        ("port", ("proxy", 5060), 5060),
        ("port", ("2001:db8::1", 5060), 5060),
        ("host", ("[2001:db8::1]:5061",), "2001:db8::1"),
        ("port", ("[2001:db8::1]:5061", 5060), 5061),
        ("ranks", (["x"], {"x": ["X1", "X2"], "y": "Y"}), [("X1", 1), ("X2", 2), ("Y", 0)]),
    ],
)
def test_a_filter_computes_what_makers_need(name: str, arguments: tuple[Any, ...], result: Any) -> None:
    assert FILTERS[name](*arguments) == result
