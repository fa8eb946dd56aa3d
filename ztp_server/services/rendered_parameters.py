"""Which parameters a rendered file sets, and where in its templates their names stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lxml import etree

from ztp_server.xml_parameters import section_entries

_EXPRESSION = re.compile(r"\{\{.*?\}\}")
# A name before `=` in a template, some of it an expression: `line.{{ n }}.user=`.
_NAME = re.compile(r"((?:\{\{.*?\}\}|[^\s=\"'<>{}])+)=")


def parameters(body: bytes, file_format: str) -> Iterator[tuple[str, str]]:
    """Names and values of a rendered file that is well-formed: its attributes, or what its lines say."""
    if file_format == "line":
        for line in body.decode().split("\n"):
            name, equals, value = line.partition("=")
            if equals:
                yield name, value
    elif file_format == "xml":
        for element in etree.fromstring(body).iter("*"):
            yield from ((str(name), str(value)) for name, value in element.attrib.items())
    elif file_format == "sections":
        yield from section_entries(etree.fromstring(body))


def place_of(name: str, templates: Iterable[tuple[str, str]]) -> tuple[str, int]:
    """File and line of the templates (name, text) where a parameter is named most nearly word by word; the first of
    the templates and line 0 when none of them spells it."""
    given = list(templates)
    found = [
        (len(_EXPRESSION.sub("", written)), file, number)
        for file, text in given
        for number, line in enumerate(text.split("\n"), 1)
        for written in _NAME.findall(line)
        if _could_be(written, name)
    ]
    if not found:
        return given[0][0], 0
    _, file, number = max(found, key=lambda place: place[0])
    return file, number


def _could_be(written: str, name: str) -> bool:
    parts = _EXPRESSION.split(written)
    if not any(parts) or not all(part in name for part in parts):
        return False  # cheap, and true of nearly every name of a file
    return bool(re.fullmatch(".+?".join(map(re.escape, parts)), name))
