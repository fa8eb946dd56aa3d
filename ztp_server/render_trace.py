"""Where the lines of a rendered file come from: which lines of templates made them, and which of the values given.

A template that passed its check is data, made of few kinds of nodes. Here it is walked node by node, with values that
remember what they were made of, which compiled code cannot do. `trace_lines` answers only when the walk came to the
very bytes that `Renderer` makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import LoopContext

from ztp_server.errors import TemplateError
from ztp_server.render import Renderer, split_lines
from ztp_server.traced_values import NOTHING, Expressions, Names, Scope, TracedValue, assign


@dataclass(frozen=True)
class Place:
    """A line of a template."""

    template: str
    line: int


@dataclass(frozen=True)
class TracedLine:
    """A line of a file, with its end. `names` are of values that stand in it or chose what does, `because` of those
    that decided that it is there: `settings.srtp`, `lines.1.user`, `server.url`; counted from 1. `custom` names the
    raw parameter whose line it is, which has no template but may have taken the place of lines from `places`."""

    text: str
    places: tuple[Place, ...] = ()
    names: Names = NOTHING
    because: Names = NOTHING
    custom: str = ""


def trace_lines(renderer: Renderer, template: str, file_format: str, context: Mapping[str, Any]) -> list[TracedLine]:
    """The lines of a file that `renderer.render` makes of the same arguments. Raises TemplateError as that does."""
    body = renderer.render(template, file_format, context).decode()
    walk = _Walk(renderer.environment(file_format))
    values = {name: TracedValue(value, path=(name,)) for name, value in context.items()}
    try:
        walk.template(template, values)
    except Exception as error:
        raise TemplateError(template, 0, f"its lines cannot be traced ({type(error).__name__})") from error
    lines = list(_lines(walk.pieces))
    if file_format == "line":
        lines = _with_custom(lines, context["custom"], body)
    if "".join(line.text for line in lines) != body:
        raise TemplateError(template, 0, "its lines cannot be traced (another text)")
    return lines


@dataclass(frozen=True)
class _Piece:
    """Text that one line of a template wrote, or where a `block` (a condition, a loop) wrote nothing."""

    text: str
    place: Place
    names: Names
    because: Names
    block: bool = False


class _Walk:
    """One rendering. The pieces come in the order of the file."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self.pieces: list[_Piece] = []
        self._environment = environment
        self._expressions = Expressions(environment)
        self._because: Names = NOTHING
        self._file = ""

    def template(self, name: str, scope: Scope) -> None:
        assert self._environment.loader is not None
        source = self._environment.loader.get_source(self._environment, name)[0]
        outer, self._file = self._file, name
        self._body(self._environment.parse(source).body, dict(scope))
        self._file = outer

    def _body(self, body: Iterable[nodes.Node], scope: Scope, because: Names = NOTHING) -> None:
        outer, self._because = self._because, self._because | because
        for node in body:
            getattr(self, f"_do_{type(node).__name__.lower()}")(node, scope)
        self._because = outer

    def _do_output(self, node: nodes.Output, scope: Scope) -> None:
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                for number, text in enumerate(split_lines(part.data), part.lineno):
                    self._write(text, number)
                continue
            found = self._expressions.value(part, scope)
            assert self._environment.finalize is not None
            first = min(inside.lineno for inside in (part, *part.find_all(nodes.Expr)))
            self._write(self._environment.finalize(found.value), first, found.names)

    def _write(self, text: str, line: int, names: Names = NOTHING) -> None:
        self.pieces.append(_Piece(text, Place(self._file, line), names, self._because))

    def _do_if(self, node: nodes.If, scope: Scope) -> None:
        tested = NOTHING
        for branch in (node, *node.elif_):
            test = self._expressions.value(branch.test, scope)
            tested |= test.names
            if test.value:
                return self._branch(branch, branch.body, scope, tested)
        return self._branch(node, node.else_, scope, tested)

    def _branch(self, node: nodes.Node, body: list[nodes.Node], scope: Scope, tested: Names) -> None:
        if not body:
            self.pieces.append(_Piece("", Place(self._file, node.lineno), NOTHING, self._because | tested, block=True))
        self._body(body, scope, tested)

    def _do_for(self, node: nodes.For, scope: Scope) -> None:
        over = self._expressions.value(node.iter, scope)
        chosen: list[tuple[TracedValue, Names]] = []
        tested = NOTHING
        for item in over.members():
            inner = dict(scope)
            assign(node.target, item, inner)
            test = self._expressions.value(node.test, inner) if node.test else TracedValue(True)
            if test.value:
                chosen.append((item, item.names | test.names))
            tested |= test.names
        loop = LoopContext([item.value for item, _ in chosen], self._environment.undefined)
        for (item, because), (_, context) in zip(chosen, loop, strict=True):
            inner = {**scope, "loop": TracedValue(context)}
            assign(node.target, item, inner)
            self._body(node.body, inner, because)
        if not chosen:
            self._branch(node, node.else_, dict(scope), over.names | {n for n in tested if not _within(n, over.names)})

    def _do_assign(self, node: nodes.Assign, scope: Scope) -> None:
        assign(node.target, self._expressions.value(node.node, scope), scope)

    def _do_include(self, node: nodes.Include, scope: Scope) -> None:
        assert isinstance(node.template, nodes.Const)
        self.template(node.template.value, scope if node.with_context else {})


def _lines(pieces: Iterable[_Piece]) -> Iterator[TracedLine]:
    """Pieces put together to lines. What wrote nothing counts only where a line has begun."""
    line: list[_Piece] = []
    for piece in pieces:
        if not piece.text and (line or not piece.block):
            line.append(piece)
        for text in split_lines(piece.text):
            line.append(replace(piece, text=text))
            if text.endswith("\n"):
                yield _line(line)
                line = []
    if any(piece.text for piece in line):
        yield _line(line)


def _line(pieces: list[_Piece]) -> TracedLine:
    names = NOTHING.union(*(piece.names for piece in pieces))
    because = NOTHING.union(*(piece.because for piece in pieces))
    places = dict.fromkeys(piece.place for piece in pieces if piece.text)
    return TracedLine("".join(piece.text for piece in pieces), tuple(places), _longest(names), _longest(because, names))


def _longest(names: Names, known: Names = NOTHING) -> Names:
    """Names without those that stand in others: who says `lines.1.user` has said `lines.1`."""
    return frozenset(n for n in names - known if not any(_within(other, {n}) for other in names | known))


def _within(name: str, wholes: Iterable[str]) -> bool:
    return any(name.startswith(f"{whole}.") for whole in wholes)


def _with_custom(lines: list[TracedLine], custom: Mapping[str, str], body: str) -> list[TracedLine]:
    """The lines after raw parameters took their places, as `Renderer` writes them at the end of `body`."""
    replaced: dict[str, list[Place]] = {}
    kept: list[TracedLine] = []
    for line in lines:
        name = line.text.partition("=")[0]
        if name in custom:
            replaced.setdefault(name, []).extend(line.places)
        else:
            kept.append(line)
    if custom and kept and not kept[-1].text.endswith("\n"):
        kept[-1] = replace(kept[-1], text=f"{kept[-1].text}\n")
    added = split_lines(body)[len(kept) :]
    return kept + [
        TracedLine(text, tuple(replaced.get(name, ())), frozenset({f"custom.{name}"}), custom=name)
        for name, text in zip(custom, added, strict=True)
    ]
