"""A received file → parameters, as a phone reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from lxml import etree

from ztp_server.simulator.failure import SimulationFailed
from ztp_server.xml_parameters import section_entries

_COMMENTS = ("#", ";")


def read_parameters(name: str, file_format: Literal["xml", "sections", "line"], body: bytes) -> dict[str, str]:
    """The parameters of a file; of two values for one parameter the first stands, but in sections the last.

    Raises SimulationFailed naming the file when a phone would reject it.
    """
    if file_format == "sections":
        return dict(section_entries(_xml(name, body)))
    pairs = _attributes(name, body) if file_format == "xml" else _lines(name, body)
    parameters: dict[str, str] = {}
    for parameter, value in pairs:
        parameters.setdefault(parameter, value)
    return parameters


def _attributes(name: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Every attribute of every element: phones do not look at the elements' names."""
    for element in _xml(name, body).iter("*"):
        for attribute, value in element.attrib.items():
            yield str(attribute), str(value)


def _xml(name: str, body: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise SimulationFailed(f"{name}: no XML that a phone can read: {error.msg}") from None
    if root.getroottree().docinfo.doctype:
        raise SimulationFailed(f"{name}: has a DOCTYPE, which no phone needs and some reject")
    return root


def _lines(name: str, body: bytes) -> Iterable[tuple[str, str]]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SimulationFailed(f"{name}: not UTF-8 text (byte {error.start})") from None
    # Not splitlines(): it knows ten more ends of a line than a phone does.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line or line.startswith(_COMMENTS):
            continue
        parameter, equals, value = line.partition("=")
        if not equals or not parameter:
            raise SimulationFailed(f"{name}:{number}: not of the form parameter=value")
        yield parameter, value
