"""The filters of phones as SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ztp_server.domain.phone import PHONE_CATEGORIES
from ztp_server.domain.phone_filter import PROVISIONING_STATES, Choice, Pattern, PhoneFilter
from ztp_server.domain.registration import REGISTRATION_STATES
from ztp_server.store.schema import lines, phone_overrides, phones, user_lines, users
from ztp_server.store.schema_history import phone_status
from ztp_server.store.schema_sip import phone_registrations

Clause = sa.ColumnElement[bool]
Ids = tuple[sa.Select[Any], ...]

_IS_MANAGED = phones.c.category.not_in([name for name in PHONE_CATEGORIES if name != "managed"])
_PROOFS_TEXT = sa.cast(phones.c.proofs, sa.Text)
_PROOFS = {
    "site": phones.c.proofs.is_(None),
    "own": sa.and_(phones.c.proofs.is_not(None), _PROOFS_TEXT != "[]"),
    "blocked": _PROOFS_TEXT == "[]",
}
_HAS_SOMEBODY = sa.and_(
    sa.not_(phones.c.logged_out),
    sa.or_(phones.c.user_id.is_not(None), sa.exists().where(lines.c.phone_id == phones.c.id).correlate(phones)),
)
_LOGGED_IN = {"yes": sa.and_(_IS_MANAGED, _HAS_SOMEBODY), "no": sa.and_(_IS_MANAGED, sa.not_(_HAS_SOMEBODY))}
# The text that a filter is compared with.
_OWN = {
    "site": phones.c.site_id,
    "base_settings": phones.c.base_settings_id,
    "model": phones.c.model,
    "category": phones.c.category,
    "name": phones.c.name_key,
    "hardware_id": phones.c.hardware_id,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters depend on beside the phones: the time, the inputs that files are made of today (for each group of
    phones that is in use), vendor and family of each model, and the platforms that tell who is registered now."""

    now: datetime
    current_inputs: frozenset[str] = frozenset()
    models: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Condition:
    """What one filter asks: `holds` for a row of phones, and the queries `ids` together find all of them by it alone
    (none: not to be tried). `for_all` is the clause where every phone is looked at."""

    holds: Clause
    ids: Ids
    for_all: Clause

    @classmethod
    def own(cls, holds: Clause) -> Condition:
        """About columns of the phone itself."""
        return cls(holds, (sa.select(phones.c.id).where(holds),), holds)

    @classmethod
    def elsewhere(cls, holds: Clause, *ids: sa.Select[Any]) -> Condition:
        """About another table, in which it is faster to find them all once than to look for each."""
        return cls(holds, ids, sa.or_(*(phones.c.id.in_(query) for query in ids)))

    @classmethod
    def rest(cls, other: Condition) -> Condition:
        """About all for which another does not hold: too many to be worth finding."""
        holds = sa.func.coalesce(sa.not_(other.holds), sa.true())
        return cls(holds, (), sa.func.coalesce(sa.not_(other.for_all), sa.true()))

    @classmethod
    def any_of(cls, parts: Sequence[Condition]) -> Condition:
        if len(parts) == 1:
            return parts[0]
        holds, for_all = (sa.or_(*clauses) for clauses in zip(*((p.holds, p.for_all) for p in parts), strict=True))
        return cls(holds, tuple(query for part in parts for query in part.ids), for_all)


class Conditions:
    """Makes conditions of filters, for one kind of database. `old` are the inputs that some phone has and that are
    current no more; only the filter by status asks for them."""

    def __init__(self, is_sqlite: bool, facts: Facts, old: Iterable[str]) -> None:
        self._is_sqlite = is_sqlite
        self._facts = facts
        self._old = old

    def of(self, wanted: PhoneFilter, sites: frozenset[str] | None) -> Iterator[Condition]:
        """Each holds for the phones that are meant, which stand at these sites (None: anywhere)."""
        if sites is not None:
            yield Condition.own(phones.c.site_id.in_(self._listed(sites)))
        if wanted.q:
            yield Condition.any_of(list(self._free_text(wanted.q_texts)))
        if wanted.never_seen is not None:
            yield self._state("never_seen") if wanted.never_seen else _with_status(sa.true())
        for name, choice in wanted.choices.items():
            yield from self._choice(name, choice)

    def _choice(self, name: str, choice: Choice) -> Iterator[Condition]:
        if name == "status":
            yield from self._states(choice)
            return
        if choice.wanted:
            yield self._any(name, choice.wanted)
        if choice.unwanted:
            yield Condition.rest(self._any(name, choice.unwanted))

    def _any(self, name: str, patterns: Sequence[Pattern]) -> Condition:
        """What holds for phones that one of the patterns fits."""
        if name in _OWN:
            return Condition.own(self._fits(_OWN[name], patterns))
        texts = [pattern.pieces[0] for pattern in patterns]
        if name in ("family", "vendor"):
            place = ("vendor", "family").index(name)
            models = [model for model, known in self._facts.models.items() if known[place] in texts]
            return Condition.own(phones.c.model.in_(models))
        if name == "proofs":
            return Condition.own(sa.or_(*(_PROOFS[text] for text in texts)))
        if name == "logged_in":
            return Condition.own(sa.or_(*(_LOGGED_IN[text] for text in texts)))
        if name == "overrides":
            return Condition.any_of([_overrides(text) for text in dict.fromkeys(texts)])
        if name == "firmware":
            return _with_status(self._fits(phone_status.c.firmware, patterns))
        if name == "user":
            fits = sa.or_(self._fits(users.c.name_key, patterns), self._fits(users.c.id, patterns))
            return _of_user(fits)
        return Condition.any_of(
            [_with_line(self._fits(lines.c.user, patterns)), _of_user_line(self._fits(user_lines.c.user, patterns))]
        )

    def _free_text(self, texts: Sequence[str]) -> Iterator[Condition]:
        """What holds for phones with a text in what people know them by."""

        def has(column: sa.Column[Any], some: Sequence[str] = texts[:1]) -> Clause:
            return sa.or_(*(self._contains(column, text) for text in some))

        yield Condition.own(sa.or_(has(phones.c.name_key), has(phones.c.hardware_id, texts)))
        yield Condition.own(sa.and_(phones.c.remote_address > "", has(phones.c.remote_address)))
        yield _with_line(has(lines.c.user))
        yield _of_user(has(users.c.extension))
        yield _of_user_line(has(user_lines.c.user))

    def _states(self, choice: Choice) -> Iterator[Condition]:
        """Phones that are in one of the wanted states, and in none of the unwanted ones. What is not one state of
        provisioning is another, which is found faster."""
        wanted, unwanted = ([p.pieces[0] for p in some] for some in (choice.wanted, choice.unwanted))
        if wanted:
            yield Condition.any_of([self._state(state) for state in dict.fromkeys(wanted)])
        files = [state for state in PROVISIONING_STATES if state in unwanted]
        if files:
            others = [self._state(state) for state in PROVISIONING_STATES if state not in files]
            yield Condition.any_of([*others, Condition.own(sa.not_(_IS_MANAGED))])
        rest = [state for state in REGISTRATION_STATES if state in unwanted]
        if rest:
            yield Condition.rest(Condition.any_of([self._state(state) for state in rest]))

    def _registration(self, state: str) -> Condition:
        """Whether phones are registered, as far as is heard now."""
        own, heard = phone_registrations.c, sorted(self._facts.heard)
        known = sa.and_(own.primary_id.in_(heard), sa.or_(own.secondary_id == "", own.secondary_id.in_(heard)))
        if state == "unknown":
            there = sa.exists().where(own.phone_id == phones.c.id, own.state != "unknown", known).correlate(phones)
            return Condition.own(sa.not_(there)) if self._facts.heard else Condition.own(sa.true())
        if not self._facts.heard:
            return Condition.own(sa.false())
        clause = sa.and_(own.state == state, known)
        is_so = sa.exists().where(own.phone_id == phones.c.id, clause).correlate(phones)
        return Condition.elsewhere(is_so, sa.select(own.phone_id).where(clause))

    def _state(self, state: str) -> Condition:
        """How far a phone came: `state_case` in phone_status.py, each state by itself. What must not lead a database to
        look there first, because it holds for nearly all, is written so that no index fits."""
        if state in REGISTRATION_STATES:
            return self._registration(state)
        if state == "never_seen":
            return Condition.own(sa.and_(_IS_MANAGED, sa.not_(phones.c.seen)))
        status, now = phone_status.c, self._facts.now
        if state == "error":
            return _with_status(status.problem > "")
        no_problem = sa.func.length(status.problem) == 0
        if state == "stale":
            return _with_status(sa.and_(status.due_at < now, no_problem))
        on_time = sa.and_(no_problem, sa.func.coalesce(status.due_at, now) >= now)
        if state == "provisioning":
            return _with_status(sa.and_(status.inputs == "", on_time))
        has_all, changed = sa.and_(status.inputs != "", on_time), phones.c.revision > status.phone_revision
        joined = sa.select(status.phone_id).join_from(phone_status, phones, phones.c.id == status.phone_id)
        is_old = status.inputs.in_(self._listed(self._old))
        if state == "provisioned":
            found = sa.and_(has_all, sa.not_(is_old), sa.not_(changed))
            return Condition.elsewhere(_has_status(found), joined.where(found))
        no_current = status.inputs.not_in(self._listed(self._facts.current_inputs))
        ids = sa.select(status.phone_id).where(is_old, has_all), joined.where(changed, has_all)
        return Condition.elsewhere(_has_status(sa.and_(has_all, sa.or_(no_current, changed))), *ids)

    def _fits(self, column: sa.Column[Any], patterns: Sequence[Pattern]) -> Clause:
        exact = [pattern.pieces[0] for pattern in patterns if pattern.is_exact]
        clauses = [column.in_(exact)] if exact else []
        return sa.or_(*clauses, *(self._like(column, pattern.pieces) for pattern in patterns if not pattern.is_exact))

    def _like(self, column: sa.Column[Any], pieces: Sequence[str]) -> Clause:
        """Capitals count: what is compared without them is kept without them."""
        if self._is_sqlite:  # whose LIKE takes A for a
            glob = "*".join(re.sub(r"([*?\[])", r"[\1]", piece) for piece in pieces)
            return column.op("GLOB", return_type=sa.Boolean())(glob)
        return column.like("%".join(_escaped(piece) for piece in pieces), escape="\\")

    def _contains(self, column: sa.Column[Any], text: str) -> Clause:
        """Capitals of ASCII do not count."""
        like: Callable[..., Clause] = column.like if self._is_sqlite else column.ilike
        return like(f"%{_escaped(text)}%", escape="\\")

    def _listed(self, values: Iterable[str]) -> sa.Select[Any]:
        return listed(values, self._is_sqlite)


def asks_for_inputs(status: Choice) -> bool:
    """Whether a filter by status has to know which inputs are current no more."""
    wanted, unwanted = ({pattern.pieces[0] for pattern in some} for some in (status.wanted, status.unwanted))
    return bool(wanted & {"provisioned", "outdated"} or unwanted.intersection(PROVISIONING_STATES))


def listed(values: Iterable[str], is_sqlite: bool) -> sa.Select[Any]:
    """Texts to choose from as one parameter, however many they are."""
    texts = json.dumps(list(values))
    if is_sqlite:
        return sa.select(sa.func.json_each(texts).table_valued("value").c.value)
    return sa.select(sa.func.json_array_elements_text(sa.cast(sa.literal(texts, sa.Text), sa.JSON)).column_valued())


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _has_status(clause: Clause) -> Clause:
    return sa.exists().where(phone_status.c.phone_id == phones.c.id, clause).correlate(phones)


def _with_status(clause: Clause) -> Condition:
    return Condition.elsewhere(_has_status(clause), sa.select(phone_status.c.phone_id).where(clause))


def _with_line(clause: Clause) -> Condition:
    has_line = sa.exists().where(lines.c.phone_id == phones.c.id, clause).correlate(phones)
    return Condition.elsewhere(has_line, sa.select(lines.c.phone_id).where(clause))


def _of_user(clause: Clause) -> Condition:
    is_theirs = sa.exists().where(users.c.id == phones.c.user_id, clause).correlate(phones)
    ids = sa.select(phones.c.id).where(phones.c.user_id.in_(sa.select(users.c.id).where(clause)))
    return Condition.elsewhere(is_theirs, ids)


def _of_user_line(clause: Clause) -> Condition:
    has_line = sa.exists().where(user_lines.c.user_id == phones.c.user_id, clause).correlate(phones)
    ids = sa.select(phones.c.id).where(phones.c.user_id.in_(sa.select(user_lines.c.user_id).where(clause)))
    return Condition.elsewhere(has_line, ids)


def _overrides(text: str) -> Condition:
    """A setting's name, `any` or `none`."""
    of_phone = phone_overrides.c.phone_id == phones.c.id
    if text == "none":
        return Condition.own(sa.not_(sa.exists().where(of_phone).correlate(phones)))
    clause = sa.true() if text == "any" else phone_overrides.c.name == text
    has_some = sa.exists().where(of_phone, clause).correlate(phones)
    return Condition.elsewhere(has_some, sa.select(phone_overrides.c.phone_id).where(clause))
