"""Values that remember what they were made of: the expressions of a checked template, worked out one by one.

A value given to a template is known by its path (`settings.rtp_dscp`); one that was computed by the names of those that
went into it. What an `if` or `or` did not come to is not among them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import str_join

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
class TracedValue:
    """A value and what it was made of. `path` is where it stands among the values given, None for one that was
    computed; `parts` are the members of a list that stands in the template."""

    value: Any
    made_of: Names = NOTHING
    path: tuple[str, ...] | None = None
    parts: tuple[TracedValue, ...] | None = None

    @property
    def names(self) -> Names:
        """Of everything that went into it."""
        inside = (part.names for part in self.parts or ())
        return self.made_of.union(*inside, {_name(self.path)} if self.path else NOTHING)

    def also(self, names: Names) -> TracedValue:
        """The same, chosen by other values."""
        return replace(self, made_of=self.made_of | names)

    def member(self, key: Any, value: Any) -> TracedValue:
        """What stands in this one under a key, or in a list under an index from 0."""
        if self.parts is not None and isinstance(key, int) and 0 <= key < len(self.parts):
            return self.parts[key].also(self.made_of)
        if self.path is None:
            return TracedValue(value, self.names)
        if isinstance(key, int) and isinstance(self.value, list):
            key = key + 1 if key >= 0 else key + 1 + len(self.value)
        return TracedValue(value, self.made_of, (*self.path, str(key)))

    def members(self) -> list[TracedValue]:
        """What a loop over it sees, one by one. Over a mapping that is the names in it."""
        if isinstance(self.value, Mapping):
            return [self.member(name, name) for name in self.value]
        return [self.member(index, value) for index, value in enumerate(self.value)]


Scope = dict[str, TracedValue]


class Expressions:
    """Works out expressions by the rules of an environment."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self._environment = environment

    def value(self, node: nodes.Node | None, scope: Scope) -> TracedValue:
        """What an expression is in a scope. Raises what the template would."""
        found: TracedValue = getattr(self, f"_of_{type(node).__name__.lower()}")(node, scope)
        return found

    def _of_const(self, node: nodes.Const, _scope: Scope) -> TracedValue:
        return TracedValue(node.value)

    def _of_name(self, node: nodes.Name, scope: Scope) -> TracedValue:
        return scope[node.name] if node.name in scope else TracedValue(self._environment.undefined(name=node.name))

    def _of_getattr(self, node: nodes.Getattr, scope: Scope) -> TracedValue:
        owner = self.value(node.node, scope)
        return owner.member(node.attr, self._environment.getattr(owner.value, node.attr))

    def _of_getitem(self, node: nodes.Getitem, scope: Scope) -> TracedValue:
        owner, key = self.value(node.node, scope), self.value(node.arg, scope)
        return owner.member(key.value, self._environment.getitem(owner.value, key.value)).also(key.names)

    def _of_list(self, node: nodes.List | nodes.Tuple, scope: Scope) -> TracedValue:
        parts = tuple(self.value(item, scope) for item in node.items)
        kind = list if isinstance(node, nodes.List) else tuple
        return TracedValue(kind(part.value for part in parts), parts=parts)

    _of_tuple = _of_list

    def _of_condexpr(self, node: nodes.CondExpr, scope: Scope) -> TracedValue:
        test = self.value(node.test, scope)
        if test.value:
            return self.value(node.expr1, scope).also(test.names)
        if node.expr2 is None:
            return TracedValue(self._environment.undefined("an if without else wrote nothing"), test.names)
        return self.value(node.expr2, scope).also(test.names)

    def _of_and(self, node: nodes.And, scope: Scope) -> TracedValue:
        left = self.value(node.left, scope)
        return self.value(node.right, scope).also(left.names) if left.value else left

    def _of_or(self, node: nodes.Or, scope: Scope) -> TracedValue:
        left = self.value(node.left, scope)
        return left if left.value else self.value(node.right, scope).also(left.names)

    def _of_not(self, node: nodes.Not, scope: Scope) -> TracedValue:
        found = self.value(node.node, scope)
        return TracedValue(not found.value, found.names)

    def _of_compare(self, node: nodes.Compare, scope: Scope) -> TracedValue:
        left = self.value(node.expr, scope)
        names, holds = left.names, True
        for operand in node.ops:
            right = self.value(operand.expr, scope)
            names, holds = names | right.names, _COMPARE[operand.op](left.value, right.value)
            if not holds:
                break
            left = right
        return TracedValue(holds, names)

    def _of_arithmetic(self, node: nodes.BinExpr, scope: Scope) -> TracedValue:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        return TracedValue(_ARITHMETIC[type(node)](left.value, right.value), left.names | right.names)

    _of_add = _of_sub = _of_floordiv = _of_arithmetic

    def _of_concat(self, node: nodes.Concat, scope: Scope) -> TracedValue:
        parts = [self.value(part, scope) for part in node.nodes]
        return TracedValue(str_join(part.value for part in parts), NOTHING.union(*(part.names for part in parts)))

    def _of_filter(self, node: nodes.Filter, scope: Scope) -> TracedValue:
        return self._call(self._environment.filters[node.name], node, scope)

    def _of_test(self, node: nodes.Test, scope: Scope) -> TracedValue:
        return self._call(self._environment.tests[node.name], node, scope)

    def _call(self, function: Any, node: nodes.Filter | nodes.Test, scope: Scope) -> TracedValue:
        given = [self.value(argument, scope) for argument in (node.node, *node.args)]
        value = function(*(argument.value for argument in given))
        return TracedValue(value, NOTHING.union(*(argument.names for argument in given)))


def assign(target: nodes.Node, found: TracedValue, scope: Scope) -> None:
    """Give a value the name, or its members the names, that a template says."""
    if isinstance(target, nodes.Name):
        scope[target.name] = found
    elif isinstance(target, nodes.Tuple):
        for part, member in zip(target.items, found.members(), strict=True):
            assign(part, member, scope)


def _name(path: tuple[str, ...]) -> str:
    kept = path[: _DEPTH.get(path[0], 2)]
    return ".".join(kept[:-1] if kept[0] in ("lines", "line_keys") and kept[-1] in _NUMBERS else kept)
