from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.conftest import HOSTILE_NAME, HOSTILE_PASSWORD
from ztp_server.simulator.failure import SimulationFailed
from ztp_server.simulator.reading import read_parameters

HOSTILE = [HOSTILE_NAME, HOSTILE_PASSWORD, "", " edges ", "a=b=c", "# no comment", "&lt;", "]]>", "x\u2028y\x85z"]
LINE_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@pytest.mark.parametrize("value", [*HOSTILE, "-----BEGIN\nlines\n\tand tabs\r\n"])
def test_an_xml_attribute_reads_back_as_it_was(value: str) -> None:
    body = etree.tostring(etree.Element("a", {"reg.1.name": value}))
    assert read_parameters("f.cfg", "xml", body) == {"reg.1.name": value}


@given(LINE_TEXT)
def test_a_line_reads_back_as_it_was(value: str) -> None:
    assert read_parameters("f.cfg", "line", f"a/0/b={value}\n".encode()) == {"a/0/b": value}


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_line_reads_back_as_it_was(value: str) -> None:
    assert read_parameters("f.cfg", "line", f"k={value}\r\nlast=1".encode()) == {"k": value, "last": "1"}


def test_attributes_of_all_elements_count_and_the_first_value_stands() -> None:
    body = b'<!-- c --><x a="1"><?p b="no"?><y b="2"/><y a="3" c="4"/>text</x>'
    assert read_parameters("f.cfg", "xml", body) == {"a": "1", "b": "2", "c": "4"}


def test_comments_and_empty_lines_are_skipped() -> None:
    assert read_parameters("f.cfg", "line", b"# a=1\n; b=2\n\nc=3\n") == {"c": "3"}


@pytest.mark.parametrize(
    ("file_format", "body", "why"),
    [
        ("xml", b"", "no XML"),
        ("xml", b"<a", "no XML"),
        ("xml", b'<a x="&lt"/>', "no XML"),
        ("xml", b"a=1\n", "no XML"),
        ("xml", b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a x="1">&e;</a>', "DOCTYPE"),
        ("line", b"a=1\n<html>\n", r"f\.cfg:2: not of the form"),
        ("line", b"=1\n", r"f\.cfg:1: not of the form"),
        ("line", b"a=\xff\n", r"not UTF-8 text \(byte 2\)"),
    ],
)
def test_what_a_phone_would_reject_is_refused_by_name(file_format: str, body: bytes, why: str) -> None:
    with pytest.raises(SimulationFailed, match=rf"^f\.cfg.*{why}|^{why}"):
        read_parameters("f.cfg", file_format, body)  # type: ignore[arg-type]
