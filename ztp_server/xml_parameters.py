"""Parameters as attributes of XML elements: what a phone sent → names and values, and names and values → a file.

What comes in was written by whoever can reach the port, so nothing is expanded, fetched or looked up to read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from ztp_server.errors import BadValue

# Several times what all lines of a phone with all their settings come to.
MOST_PARAMETERS = 1000

# The encoding that is given here goes before the one the file declares: a DOCTYPE cannot hide in another.
_PARSER = etree.XMLParser(
    encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
)


def read_attributes(body: bytes) -> dict[str, str]:
    """Every attribute of every element; of two of one name the first. Raises BadValue, repeating nothing of the body,
    when it is not UTF-8, has a DOCTYPE, is not well-formed, or has more than MOST_PARAMETERS attributes."""
    found: dict[str, str] = {}
    for element in _root(body).iter("*"):
        for name, value in element.attrib.items():
            found.setdefault(str(name), str(value))
    if len(found) > MOST_PARAMETERS:
        raise BadValue("body", f"more than {MOST_PARAMETERS} parameters")
    return found


def write_attributes(empty: str, parameters: Mapping[str, str]) -> bytes:
    """The document `empty` with these attributes on its innermost element, in the order of their names: the same
    parameters give the same bytes. `empty` has passed `check_empty`."""
    if not parameters:
        return empty.encode()
    root = _root(empty.encode())
    innermost = _innermost(root)[0]
    for name in sorted(parameters):
        innermost.set(name, parameters[name])
    before_root = empty.partition(f"<{etree.QName(root).localname}")[0]
    return f"{before_root}{etree.tostring(root, encoding='unicode')}\n".encode()


def check_empty(empty: str) -> None:
    """Raise BadValue when a document has attributes already, or no one place for them."""
    wrong = BadValue("empty", "must be XML with one innermost element and without attributes")
    if len(_innermost(_root(empty.encode()))) != 1 or read_attributes(empty.encode()):
        raise wrong
    if read_attributes(write_attributes(empty, {"a": "1"})) != {"a": "1"}:
        raise wrong


def _innermost(root: etree._Element) -> list[etree._Element]:
    return [element for element in root.iter("*") if len(element) == 0]


def _root(body: bytes) -> etree._Element:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadValue("body", "not UTF-8") from None
    # Before it is parsed: entities in attributes are expanded whatever the parser is told.
    if "<!DOCTYPE" in text:
        raise BadValue("body", "has a DOCTYPE")
    try:
        return etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError:
        raise BadValue("body", "not well-formed XML") from None
