"""Where the lines of a rendered file come from: which lines of templates made them, and which of the values given.

A template that passed its check is data, made of few kinds of nodes. Here it is walked node by node, each value carrying
the names of what it was made of, which compiled code cannot do. `trace_lines` answers only when the walk came to the very
bytes that `Renderer` makes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import LoopContext, str_join

from ztp_server.errors import TemplateError
from ztp_server.render import Renderer, split_lines

Names = frozenset[str]
NOTHING: Names = frozenset()

# How much of a path names something an administrator knows; below it are parts of one value.
_DEPTH = {"clock": 1, "lines": 3, "line_keys": 3}
# What a line or key is numbered by says no more than which one it is.
_NUMBERS = frozenset({"number", "index", "nth", "nth_index", "row_index"})
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gteq": operator.ge, "lt": operator.lt,
    "lteq": operator.le, "in": lambda a, b: a in b, "notin": lambda a, b: a not in b,
}  # fmt: skip
_ARITHMETIC: Mapping[type[nodes.BinExpr], Callable[[Any, Any], Any]] = {
    nodes.Add: operator.add, nodes.Sub: operator.sub, nodes.FloorDiv: operator.floordiv,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A line of a template."""

    template: str
    line: int


@dataclass(frozen=True)
class TracedLine:
    """A line of a file, with its end. `names` are of values that stand in it or chose what does, `because` of those that
    decided that it is there: `settings.srtp`, `lines.1.user`, `server.url`; counted from 1. `custom` names the raw
    parameter whose line it is, which has no template but may have taken the place of lines from `places`."""

    text: str
    places: tuple[Place, ...] = ()
    names: Names = NOTHING
    because: Names = NOTHING
    custom: str = ""


def trace_lines(renderer: Renderer, template: str, file_format: str, context: Mapping[str, Any]) -> list[TracedLine]:
    """The lines of a file that `renderer.render` makes of the same arguments. Raises TemplateError as that does."""
    body = renderer.render(template, file_format, context).decode()
    walk = _Walk(renderer.environment(file_format))
    values = {name: _Value(value, path=(name,)) for name, value in context.items()}
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
class _Value:
    """A value and what it was made of. `path` is where it stands among the values given, None for one that was
    computed; `parts` are the members of a list that stands in the template."""

    value: Any
    made_of: Names = NOTHING
    path: tuple[str, ...] | None = None
    parts: tuple[_Value, ...] | None = None

    @property
    def names(self) -> Names:
        inside = (part.names for part in self.parts or ())
        return self.made_of.union(*inside, {_name(self.path)} if self.path else NOTHING)

    def also(self, names: Names) -> _Value:
        return replace(self, made_of=self.made_of | names)

    def member(self, key: Any, value: Any) -> _Value:
        """What stands in this one under a key or (from 0) index."""
        if self.parts is not None and isinstance(key, int) and -len(self.parts) <= key < len(self.parts):
            return self.parts[key].also(self.made_of)
        if self.path is None:
            return _Value(value, self.names)
        step = str(key + 1) if isinstance(key, int) else str(key)
        return _Value(value, self.made_of, (*self.path, step))

    def members(self) -> list[_Value]:
        """What a loop over it sees, one by one. Over a mapping that is the names in it."""
        if isinstance(self.value, Mapping):
            return [self.member(name, None).with_value(name) for name in self.value]
        return [self.member(index, value) for index, value in enumerate(self.value)]

    def with_value(self, value: Any) -> _Value:
        return replace(self, value=value)


@dataclass(frozen=True)
class _Piece:
    """Text that one line of a template wrote, or where a `block` (a condition, a loop) wrote nothing."""

    text: str
    place: Place
    names: Names
    because: Names
    block: bool = False


Scope = dict[str, _Value]


class _Walk:
    """One rendering. The pieces come in the order of the file."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self.pieces: list[_Piece] = []
        self._environment = environment
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
            found = self._value(part, scope)
            assert self._environment.finalize is not None
            self._write(self._environment.finalize(found.value), part.lineno, found.names)

    def _write(self, text: str, line: int, names: Names = NOTHING) -> None:
        self.pieces.append(_Piece(text, Place(self._file, line), names, self._because))

    def _do_if(self, node: nodes.If, scope: Scope) -> None:
        tested = NOTHING
        for branch in (node, *node.elif_):
            test = self._value(branch.test, scope)
            tested |= test.names
            if test.value:
                return self._branch(branch, branch.body, scope, tested)
        return self._branch(node, node.else_, scope, tested)

    def _branch(self, node: nodes.Node, body: list[nodes.Node], scope: Scope, tested: Names) -> None:
        if not body:
            self.pieces.append(_Piece("", Place(self._file, node.lineno), NOTHING, self._because | tested, block=True))
        self._body(body, scope, tested)

    def _do_for(self, node: nodes.For, scope: Scope) -> None:
        over = self._value(node.iter, scope)
        chosen: list[tuple[_Value, Names]] = []
        tested = NOTHING
        for item in over.members():
            inner = dict(scope)
            _assign(node.target, item, inner)
            test = self._value(node.test, inner) if node.test else _Value(True)
            if test.value:
                chosen.append((item, item.names | test.names))
            tested |= test.names
        loop = LoopContext([item.value for item, _ in chosen], self._environment.undefined)
        for (item, because), (_, context) in zip(chosen, loop, strict=True):
            inner = {**scope, "loop": _Value(context)}
            _assign(node.target, item, inner)
            self._body(node.body, inner, because)
        if not chosen:
            self._branch(node, node.else_, dict(scope), over.names | {n for n in tested if not _within(n, over.names)})

    def _do_assign(self, node: nodes.Assign, scope: Scope) -> None:
        _assign(node.target, self._value(node.node, scope), scope)

    def _do_include(self, node: nodes.Include, scope: Scope) -> None:
        assert isinstance(node.template, nodes.Const)
        self.template(node.template.value, scope if node.with_context else {})

    def _value(self, node: nodes.Node | None, scope: Scope) -> _Value:
        found: _Value = getattr(self, f"_of_{type(node).__name__.lower()}")(node, scope)
        return found

    def _of_const(self, node: nodes.Const, _scope: Scope) -> _Value:
        return _Value(node.value)

    def _of_name(self, node: nodes.Name, scope: Scope) -> _Value:
        return scope[node.name] if node.name in scope else _Value(self._environment.undefined(name=node.name))

    def _of_getattr(self, node: nodes.Getattr, scope: Scope) -> _Value:
        owner = self._value(node.node, scope)
        return owner.member(node.attr, self._environment.getattr(owner.value, node.attr))

    def _of_getitem(self, node: nodes.Getitem, scope: Scope) -> _Value:
        owner, key = self._value(node.node, scope), self._value(node.arg, scope)
        return owner.member(key.value, self._environment.getitem(owner.value, key.value)).also(key.names)

    def _of_list(self, node: nodes.List | nodes.Tuple, scope: Scope) -> _Value:
        parts = tuple(self._value(item, scope) for item in node.items)
        kind = list if isinstance(node, nodes.List) else tuple
        return _Value(kind(part.value for part in parts), parts=parts)

    _of_tuple = _of_list

    def _of_condexpr(self, node: nodes.CondExpr, scope: Scope) -> _Value:
        test = self._value(node.test, scope)
        if test.value:
            return self._value(node.expr1, scope).also(test.names)
        if node.expr2 is None:
            return _Value(self._environment.undefined("an if without else wrote nothing"), test.names)
        return self._value(node.expr2, scope).also(test.names)

    def _of_and(self, node: nodes.And, scope: Scope) -> _Value:
        left = self._value(node.left, scope)
        return self._value(node.right, scope).also(left.names) if left.value else left

    def _of_or(self, node: nodes.Or, scope: Scope) -> _Value:
        left = self._value(node.left, scope)
        return left if left.value else self._value(node.right, scope).also(left.names)

    def _of_not(self, node: nodes.Not, scope: Scope) -> _Value:
        found = self._value(node.node, scope)
        return _Value(not found.value, found.names)

    def _of_compare(self, node: nodes.Compare, scope: Scope) -> _Value:
        left = self._value(node.expr, scope)
        names, holds = left.names, True
        for operand in node.ops:
            right = self._value(operand.expr, scope)
            names, holds = names | right.names, _COMPARE[operand.op](left.value, right.value)
            if not holds:
                break
            left = right
        return _Value(holds, names)

    def _of_arithmetic(self, node: nodes.BinExpr, scope: Scope) -> _Value:
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        return _Value(_ARITHMETIC[type(node)](left.value, right.value), left.names | right.names)

    _of_add = _of_sub = _of_floordiv = _of_arithmetic

    def _of_concat(self, node: nodes.Concat, scope: Scope) -> _Value:
        parts = [self._value(part, scope) for part in node.nodes]
        return _Value(str_join(part.value for part in parts), NOTHING.union(*(part.names for part in parts)))

    def _of_filter(self, node: nodes.Filter, scope: Scope) -> _Value:
        return self._call(self._environment.filters[node.name], node, scope)

    def _of_test(self, node: nodes.Test, scope: Scope) -> _Value:
        return self._call(self._environment.tests[node.name], node, scope)

    def _call(self, function: Callable[..., Any], node: nodes.Filter | nodes.Test, scope: Scope) -> _Value:
        given = [self._value(argument, scope) for argument in (node.node, *node.args)]
        named = {pair.key: self._value(pair.value, scope) for pair in node.kwargs}
        value = function(*(v.value for v in given), **{name: v.value for name, v in named.items()})
        return _Value(value, NOTHING.union(*(v.names for v in (*given, *named.values()))))


def _assign(target: nodes.Node, found: _Value, scope: Scope) -> None:
    if isinstance(target, nodes.Name):
        scope[target.name] = found
    elif isinstance(target, nodes.Tuple):
        for part, member in zip(target.items, found.members(), strict=True):
            _assign(part, member, scope)


def _name(path: tuple[str, ...]) -> str:
    kept = path[: _DEPTH.get(path[0], 2)]
    return ".".join(kept[:-1] if kept[0] in ("lines", "line_keys") and kept[-1] in _NUMBERS else kept)


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
