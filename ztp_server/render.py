"""Template and values → the bytes of a file, checked before anybody gets them.

Escaping is by the kind of file, not by the author: every expression of a template goes through its writer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

import jinja2
from jinja2 import nodes
from lxml import etree

from ztp_server.domain.text import forbidden_character
from ztp_server.errors import TemplateError
from ztp_server.filters import FILTERS

NAMES = frozenset(
    {
        *("settings", "phone", "lines", "unused_lines", "line_keys", "contacts", "renders", "model"),
        *("site", "map", "clock", "server", "firmware", "custom"),
        *("accounts", "targets", "registrar", "domain"),
    }
)
TESTS = frozenset({"defined", "eq", "ne", "in"})
# What must be escaped or refused: a text without any of it, nearly every one, is written as it is.
_NOT_PLAIN_XML = re.compile('[&<>"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')
_XML_ATTRIBUTE = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.If,
    nodes.For, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Add, nodes.Sub, nodes.FloorDiv, nodes.Concat, nodes.Assign, nodes.Include, nodes.List, nodes.Tuple,
)  # fmt: skip
_XML_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


class _Environment(jinja2.Environment):
    """Attribute access reaches the entries of a mapping and nothing else: no object has methods to a template."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:  # the case that counts: a hundred times in a file
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, Mapping):
            return self.getitem(obj, attribute)
        if isinstance(obj, jinja2.runtime.LoopContext):
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)


def _plain(value: Any) -> str:
    """Numbers and text as they are, a switch as 1 or 0, which the makers' formats have in common."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, jinja2.Undefined):
        str(value)  # StrictUndefined says which name is missing
    raise ValueError(f"a template may write text, numbers and switches, not {type(value).__name__}")


def _xml_value(value: Any) -> str:
    text = value if type(value) is str else _plain(value)
    if not _NOT_PLAIN_XML.search(text):
        return text
    character = forbidden_character(text.replace("\t", " ").replace("\r", " "), lines=True)
    if character:
        raise ValueError(f"a value holds the character {character}")
    return escape(text, _XML_ATTRIBUTE)


def _line_value(value: Any) -> str:
    text = value if type(value) is str else _plain(value)
    character = forbidden_character(text)
    if character:
        raise ValueError(f"a value holds the character {character}")
    return text


def _sql_value(value: Any) -> str:
    """What stands between the quotes of a literal. A backslash is one character to SQLite and PostgreSQL and another
    to MySQL, so that none is let through."""
    text = _line_value(value)
    if "\\" in text:
        raise ValueError("a value holds a backslash")
    return text.replace("'", "''")


def _ini_value(value: Any) -> str:
    """A value of `name = value` in which a semicolon begins a comment."""
    return _line_value(value).replace(";", "\\;")


def _pem_value(value: Any) -> str:
    return _plain(value)


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "xml": _xml_value,
    "sections": _xml_value,
    "line": _line_value,
    "pem": _pem_value,
    "sql": _sql_value,
    "ini": _ini_value,
    "xml_part": _xml_value,
}


class Renderer:
    """Compiled templates of one snapshot of the folders. `sources` maps `acme/desk/settings.cfg.j2` to its text."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._environments = {name: _environment(writer, sources) for name, writer in _WRITERS.items()}
        self._checked: set[tuple[str, str]] = set()

    @property
    def sources(self) -> Mapping[str, str]:
        """The texts of the folders: templates, and what says which there are."""
        return self._sources

    def check(self, template: str, file_format: str, within: tuple[str, ...] = ()) -> None:
        """Raise TemplateError when a template uses what is not given to it. What passes may run in this process."""
        if template in within:
            raise TemplateError(template, 0, "includes itself")
        if (template, file_format) in self._checked:
            return  # Parts are included by the files of many families.
        try:
            tree = self._environments[file_format].parse(self._source(template), filename=template)
            _check_tree(tree, template)
            self._environments[file_format].get_template(template)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(template, error.lineno, error.message or "syntax error") from None
        except (SyntaxError, RecursionError, MemoryError) as error:
            # What Jinja lets through and Python does not: loops nested too deep, expressions too long.
            raise TemplateError(template, 0, f"too complicated ({error})") from None
        for included in tree.find_all(nodes.Include):
            name = included.template.as_const()
            if name not in self._sources:
                raise TemplateError(template, included.lineno, f"no template {name!r}")
            self.check(name, file_format, (*within, template))
        self._checked.add((template, file_format))

    def parts(self, template: str, file_format: str) -> list[str]:
        """The names of a checked template and of everything it includes."""
        found = [template]
        tree = self._environments[file_format].parse(self._source(template))
        for included in tree.find_all(nodes.Include):
            found += self.parts(included.template.as_const(), file_format)
        return found

    def environment(self, file_format: str) -> jinja2.Environment:
        """The rules by which templates of a kind of file are read and their values written, for whoever walks them."""
        return self._environments[file_format]

    def _source(self, template: str) -> str:
        try:
            return self._sources[template]
        except KeyError:
            raise TemplateError(template, 0, "no such template") from None

    def render(self, template: str, file_format: str, context: Mapping[str, Any], largest: int = 0) -> bytes:
        """The whole file. Raises TemplateError with the line that failed; never returns what a phone could not read.

        `largest` is a limit in characters for a template on trial, 0 for none.
        """
        try:
            compiled = self._environments[file_format].get_template(template)
            text = _bounded(compiled.generate(context), largest) if largest else compiled.render(context)
        except Exception as error:
            file, line = _where(error, template)
            raise TemplateError(file, line, str(error) or type(error).__name__) from error
        if file_format == "line":
            text = _with_custom(text, context["custom"])
        body = text.encode()
        if file_format in ("xml", "sections"):
            _check_xml(template, body)
        return body


def _bounded(parts: Iterable[str], largest: int) -> str:
    text, size = [], 0
    for part in parts:
        size += len(part)
        if size > largest:
            raise ValueError(f"the file is larger than {largest} characters")
        text.append(part)
    return "".join(text)


def _environment(writer: Callable[[Any], str], sources: Mapping[str, str]) -> _Environment:
    environment = _Environment(
        # The name doubles as file name, so that an error can say file and line.
        loader=jinja2.FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None),
        undefined=jinja2.StrictUndefined,
        finalize=writer,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters = dict(FILTERS)
    environment.globals = {}
    return environment


def _check_tree(tree: nodes.Template, file: str) -> None:
    """A template is data: declared names, loops over given lists, listed filters and tests, and nothing that calls."""
    local = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"} | {"loop"}
    for node in _walk(tree):
        problem = _problem(node, local)
        if problem:
            raise TemplateError(file, node.lineno, problem)


def _walk(node: nodes.Node) -> list[nodes.Node]:
    found = [node]
    for child in node.iter_child_nodes():
        found += _walk(child)
    return found


def _problem(node: nodes.Node, local: set[str]) -> str | None:
    if not isinstance(node, _NODES):
        return f"{type(node).__name__.lower()} is not allowed in a template"
    if isinstance(node, nodes.Name) and node.name not in NAMES | local:
        return f"unknown name {node.name!r}"
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return f"name {node.attr!r} is not allowed"
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        return f"unknown filter {node.name!r}"
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        return "* and ** are not allowed in a template"
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        return f"unknown test {node.name!r}"
    if isinstance(node, nodes.Include) and not isinstance(node.template, nodes.Const):
        return "include takes a name in quotes"
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop is not allowed"
    return None


def _where(error: Exception, template: str) -> tuple[str, int]:
    """File and line of the template that failed: Jinja rewrites tracebacks to the template's own lines."""
    place = (template, 0)
    trace = error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if file.endswith(".j2"):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _check_xml(template: str, body: bytes) -> None:
    try:
        root = etree.fromstring(body, _XML_PARSER)
    except etree.XMLSyntaxError as error:
        raise TemplateError(template, 0, f"the result is not well-formed XML: {error.msg}") from None
    if root.getroottree().docinfo.doctype:
        raise TemplateError(template, 0, "the result has a DOCTYPE, which no phone needs")


def split_lines(text: str) -> list[str]:
    """The lines of a file with their ends. str.splitlines would also split at U+2028."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _with_custom(text: str, custom: Mapping[str, str]) -> str:
    """Raw parameters take the place of the lines they name, or follow at the end: no parameter stands twice."""
    if not custom:
        return text
    kept = [line for line in split_lines(text) if line.partition("=")[0] not in custom]
    if kept and not kept[-1].endswith("\n"):
        kept.append("\n")
    added = [f"{name}={_line_value(value)}\n" for name, value in custom.items()]
    return "".join(kept + added)
