"""Parameters as attributes of XML elements: what a phone sent → names and values, and names and values → a file.

What comes in was written by whoever can reach the port, so nothing is expanded, fetched or looked up to read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from xml.parsers import expat

from lxml import etree

from ztp_server.errors import BadValue

# Several times what all lines of a phone with all their settings come to.
MOST_PARAMETERS = 1000

# For our own documents alone: see `_parse`.
_OURS = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True)


def read_attributes(body: bytes) -> dict[str, str]:
    """Every attribute of every element; of two of one name the first. Raises BadValue, repeating nothing of the body,
    when it is not UTF-8, has a DOCTYPE, is not well-formed, or has more than MOST_PARAMETERS attributes."""
    found: dict[str, str] = {}

    def begin(_element: str, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            found.setdefault(name, value)
        if len(found) > MOST_PARAMETERS:
            raise BadValue("body", f"more than {MOST_PARAMETERS} parameters")

    _parse(body, begin)
    return found


def _parse(body: bytes, begin: Callable[[str, dict[str, str]], None]) -> None:
    """Not with lxml, which remembers every name that a thread ever read: made-up ones would fill the memory, and in the
    end no file with a new name could be read or checked."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadValue("body", "not UTF-8") from None
    # The encoding that is given here goes before the one the file declares: a DOCTYPE cannot hide in another.
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise BadValue("body", "not well-formed XML") from None


def _refuse_doctype(*_declared: object) -> None:
    """Raised before any of its entities is declared, and so before one is expanded."""
    raise BadValue("body", "has a DOCTYPE")


def write_attributes(empty: str, parameters: Mapping[str, str]) -> bytes:
    """The document `empty` with these attributes on its innermost element, in the order of their names: the same
    parameters give the same bytes. `empty` has passed `check_empty`."""
    if not parameters:
        return empty.encode()
    root = etree.fromstring(empty.encode(), _OURS)
    innermost = _innermost(root)[0]
    for name in sorted(parameters):
        innermost.set(name, parameters[name])
    before_root = empty.partition(f"<{etree.QName(root).localname}")[0]
    return f"{before_root}{etree.tostring(root, encoding='unicode')}\n".encode()


def check_empty(empty: str) -> None:
    """Raise BadValue when a document has attributes already, or no one place for them."""
    wrong = BadValue("empty", "must be XML with one innermost element and without attributes")
    if read_attributes(empty.encode()) or len(_innermost(etree.fromstring(empty.encode(), _OURS))) != 1:
        raise wrong
    if read_attributes(write_attributes(empty, {"a": "1"})) != {"a": "1"}:
        raise wrong


def _innermost(root: etree._Element) -> list[etree._Element]:
    return [element for element in root.iter("*") if len(element) == 0]


def section_entries(root: etree._Element) -> Iterator[tuple[str, str]]:
    """`section/entry` and its text, of XML with `<section name>` and in it `<entry name>`, whatever the namespace."""
    for section in root.iter("{*}section"):
        for entry in section.iter("{*}entry"):
            names = (section.get("name"), entry.get("name"))
            yield "/".join(filter(None, names)), "".join(entry.itertext())
