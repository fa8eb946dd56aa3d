"""Lists of the parameters that a firmware knows: what a line says, and what is complained of."""

from __future__ import annotations

import time

import pytest

from ztp_server.domain.parameters import BadLine, ParameterNames, normalised, parse_names

TEXT = """
# What the guide lists.
line.#.user            text 5
line.1.port            number 0-65535   # guide, p. 7
line.#.transport       one-of udp|tcp
line.#.server.#.on     switch
net.vlan               number 0-4094 or empty
net.offset             number -43200-46800
poll.period\tnumber 3601-
ring/#/tone
rate.13_33kbps
cert1
sound.*                switch
"""
KNOWN = ParameterNames(parse_names(TEXT))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("reg.2.server.12.address", "reg.#.server.#.address"),
        ("voip/line/0/enabled", "voip/line/#/enabled"),
        ("saf.7", "saf.#"),
        ("reg.#.address", "reg.#.address"),
        ("iLBC.13_33kbps", "iLBC.13_33kbps"),
        ("device.customCaCert1.set", "device.customCaCert1.set"),
        ("1", "1"),
    ],
)
def test_an_index_is_no_part_of_a_name(name: str, plain: str) -> None:
    assert normalised(name) == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("line.34.user", "12345"),
        ("line.2.port", "65535"),
        ("line.2.transport", "tcp"),
        ("line.1.server.4.on", "0"),
        ("net.vlan", ""),
        ("net.vlan", "4094"),
        ("net.offset", "-43200"),
        ("poll.period", "999999999"),
        ("ring/3/tone", "anything at all"),
        ("rate.13_33kbps", ""),
        ("cert1", ""),
        ("sound.7.on", "1"),
        ("sound.x", "no syntax of a whole group counts"),
    ],
)
def test_what_is_known_is_not_complained_of(name: str, value: str) -> None:
    assert KNOWN.complaint(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("line.1.user", "123456", "must be at most 5 characters"),
        ("line.1.port", "65536", "must be a number from 0 to 65535"),
        ("line.1.port", "", "must be a number from 0 to 65535"),
        ("line.1.port", "1.5", "must be a number from 0 to 65535"),
        ("line.1.port", "９", "must be a number from 0 to 65535"),
        ("line.1.transport", "TCP", "must be one of udp, tcp"),
        ("line.1.server.2.on", "yes", "must be 0 or 1"),
        ("net.vlan", "4095", "must be a number from 0 to 4094 or empty"),
        ("net.offset", "-43201", "must be a number from -43200 to 46800"),
        ("poll.period", "3600", "must be a number from 3601"),
        ("line.3.usr", "", "no parameter of that name is known; did you mean line.3.user?"),
        ("line.3.server.4.off", "", "no parameter of that name is known; did you mean line.3.server.4.on?"),
        ("ring/tone", "", "no parameter of that name is known; did you mean ring/#/tone?"),
        ("cert2", "", "no parameter of that name is known; did you mean cert1?"),
        ("zzzzzzzz", "", "no parameter of that name is known"),
    ],
)
def test_a_complaint_names_the_nearest_name_or_what_is_taken_and_never_the_value(
    name: str, value: str, says: str
) -> None:
    assert KNOWN.complaint(name, value) == says


def test_where_nothing_is_known_nothing_is_complained_of() -> None:
    assert ParameterNames({}).complaint("anything", "") is None


@pytest.mark.parametrize(
    "line",
    [
        "two names",
        "a number",
        "a number 3-1",
        "a number 1",
        "a one-of",
        "a text x",
        "a switch on",
        "a*b",
        "<a>",
        'a="1"',
    ],
)
def test_a_line_that_says_nothing_is_named(line: str) -> None:
    with pytest.raises(BadLine) as error:
        parse_names(f"# names\n\nfine\n{line}\nalso.fine\n")
    assert error.value.number == 4


def test_the_nearest_of_thousands_is_found_in_no_time_whatever_is_asked() -> None:
    known = ParameterNames(dict.fromkeys(f"part{n}.of.some.long.name.{n % 7}.x" for n in range(5000)))
    begun = time.perf_counter()
    for number in range(20):
        known.complaint(f"{'part.of.' * 1000}{number}", "")
    assert time.perf_counter() - begun < 5
