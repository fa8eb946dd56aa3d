"""The grammar by which phones are chosen."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.domain.phone_filter import PhoneFilter
from ztp_server.domain.phone_order import Place, Sort
from ztp_server.errors import BadValue


def _fits(name: str, written: str | list[str], text: str) -> bool:
    choice = PhoneFilter.parse({name: written}).choices[name]
    wanted = not choice.wanted or any(pattern.fits(text) for pattern in choice.wanted)
    return wanted and not any(pattern.fits(text) for pattern in choice.unwanted)


def test_values_by_comma_or_repeated_are_alternatives() -> None:
    for written in ("madrid,paris", ["madrid", "paris"], " madrid , paris "):
        assert [_fits("site", written, site) for site in ("madrid", "paris", "rome")] == [True, True, False]


def test_what_an_exclamation_mark_stands_before_is_taken_away() -> None:
    assert [_fits("site", "!madrid", site) for site in ("madrid", "paris")] == [False, True]
    assert [_fits("name", "lobby*,!*2", name) for name in ("lobby 1", "lobby 2", "hall")] == [True, False, False]


@pytest.mark.parametrize(
    ("written", "fits", "fits_not"),
    [
        ("lobby*", "lobby & bar", "the lobby"),
        ("*LOBBY*", "the lobby", "lob by"),
        ("l*b*y", "l\nb😀y", "lby "),
        ("100%", "100%", "100x"),
        ("a_b", "a_b", "axb"),
        (r"a\*b", "a*b", "axb"),
        (r"a\,b", "a,b", "a"),
        (r"\!a", "!a", "b"),
        ("a\\\\b", "a\\b", "ab"),
        ("[a]", "[a]", "a"),
        ("STRASSE", "strasse", "straße"),
    ],
)
def test_only_a_star_stands_for_other_characters(written: str, fits: str, fits_not: str) -> None:
    assert _fits("name", written, fits)
    assert not _fits("name", written, fits_not)


@pytest.mark.parametrize("written", ["00:04:F2*", "0004f2*", "00-04-f2*", "0004.F2*"])
def test_a_hardware_id_is_asked_for_in_any_notation(written: str) -> None:
    assert _fits("hardware_id", written, "0004f2aabbcc")
    assert not _fits("hardware_id", written, "0004f3aabbcc")


def test_a_host_name_keeps_its_dots() -> None:
    assert _fits("hardware_id", "Ab.example.net", "ab.example.net")
    assert _fits("hardware_id", "ab.cd", "ab.cd")


def test_a_part_of_a_mac_is_looked_for_without_its_separators_as_well() -> None:
    assert PhoneFilter.parse({"q": " 00:04:F2 "}).q_texts == ("00:04:f2", "0004f2")
    assert PhoneFilter.parse({"q": "Zoë & Co"}).q_texts == ("zoë & co",)


@pytest.mark.parametrize(
    ("filters", "field", "said"),
    [
        ({"sitte": "madrid"}, "sitte", "did you mean site?"),
        ({"status": "outdatd"}, "status", "did you mean outdated?"),
        ({"category": "mobile"}, "category", "managed"),
        ({"site": ""}, "site", "empty"),
        ({"site": "a,,b"}, "site", "empty"),
        ({"site": []}, "site", "takes a value"),
        ({"name": "a\x00b"}, "name", "U+0000"),
        ({"name": "a" * 256}, "name", "at most 255"),
        ({"q": ["a", "b"]}, "q", "one value"),
        ({"never_seen": "perhaps"}, "never_seen", "on or off"),
        ({"site": [f"s{n}" for n in range(201)]}, "site", "more than 200"),
    ],
)
def test_a_wrong_filter_is_refused_by_its_name(filters: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(BadValue) as refused:
        PhoneFilter.parse(filters)
    assert refused.value.field == field
    assert said in refused.value.reason


def test_an_unknown_order_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadValue, match="did you mean last_seen"):
        Sort.parse("-last_sen")


@given(st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_a_text_with_each_character_escaped_fits_itself_alone(text: str) -> None:
    written = "".join(f"\\{character}" for character in text)
    if not text:
        return
    choice = PhoneFilter.parse({"line": f"\\x{written}"}).choices["line"]
    assert choice.wanted[0].pieces == (f"x{text}",)


@given(st.lists(st.text(max_size=8).filter(str.isprintable), min_size=1, max_size=4), st.booleans())
def test_a_place_comes_back_from_its_cursor(values: list[str], has_value: bool) -> None:
    place = Place(Sort("site", True), has_value, tuple(values))
    assert Place.parse(place.cursor, place.sort) == place


@pytest.mark.parametrize(
    "parts",
    [
        *(None, [], {}, 7, ["name"], ["name", True], ["name", 1, "a"], ["name", True, 7]),
        *(["-name", True, "a"], ["name", True, "\x00"]),
    ],
)
def test_a_cursor_that_no_list_gave_is_refused(parts: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
    with pytest.raises(BadValue, match="cursor"):
        Place.parse(cursor, Sort("name"))


@given(st.text(max_size=40))
def test_a_made_up_cursor_is_refused_and_nothing_worse(text: str) -> None:
    try:
        Place.parse(text, Sort("name"))
    except BadValue as refused:
        assert refused.field == "cursor"
