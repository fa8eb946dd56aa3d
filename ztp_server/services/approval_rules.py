"""Approval rules: which unknown phones become phones without anybody looking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.approval_rule import ApprovalRule, check_rule, is_narrow, parse_rule_networks
from ztp_server.domain.site import check_slug
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.edits import check_revision, checked_reason
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

# Each knock is held against all of them.
MOST_RULES = 1000


# What is to change of a rule, by field: a list of networks (empty: those of the site), `until` None for no end.
Changes = Mapping[str, Any]


class ApprovalRules:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def page(self, who: Actor, after: str = "", limit: int = 100) -> tuple[list[ApprovalRule], bool]:
        """Rules by id, beyond one; and whether there are more. Raises Forbidden."""
        who.require("trust:view")
        async with self._store.read() as session:
            found = await session.approval_rules.page(after, limit + 1)
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, rule_id: str) -> ApprovalRule:
        """Raises NotFound and Forbidden."""
        who.require("trust:view")
        async with self._store.read() as session:
            return await session.approval_rules.get(rule_id)

    async def add(self, who: Actor, rule_id: str, changes: Changes, *, reason: str = "") -> ApprovalRule:
        """`site`, `base_settings` and `most` have to be said. Whoever makes a rule may do at that site what it does.
        Raises Forbidden, Conflict, and BadValue naming the field."""
        who.require("trust:edit")
        check_slug("id", rule_id)
        reason = checked_reason(reason)
        for name in ("site", "base_settings", "most"):
            if not changes.get(name):
                raise BadValue(name, "is missing")
        bare = ApprovalRule(rule_id, "", "", 0, created_by=who.name[:255])
        async with self._store.write() as session:
            if await session.approval_rules.count() >= MOST_RULES:
                raise Conflict(f"there are {MOST_RULES} approval rules; remove one that has ended")
            rule = await self._checked(session, who, _changed(bare, changes), None)
            kept = await session.approval_rules.add(rule)
            await session.audit.add(who, "approval_rule.added", _subject(kept), after=_record(kept), reason=reason)
        return kept

    async def edit(
        self, who: Actor, rule_id: str, changes: Changes, *, reason: str = "", revision: int | None = None
    ) -> ApprovalRule:
        """Change what is said; how many it has approved stays. Raises as `add`, and NotFound and Stale."""
        who.require("trust:edit")
        reason = checked_reason(reason)
        async with self._store.write() as session:
            before = await session.approval_rules.get(rule_id)
            check_revision(f"approval rule {rule_id} was", revision, before.revision)
            after = await self._checked(session, who, _changed(before, changes), before)
            if after == before:
                return before
            kept = await session.approval_rules.replace(after)
            old, new = _record(before), _record(kept)
            await session.audit.add(who, "approval_rule.changed", _subject(kept), before=old, after=new, reason=reason)
        return kept

    async def remove(self, who: Actor, rule_id: str, *, reason: str = "", revision: int | None = None) -> None:
        """The phones it approved stay. Raises NotFound, Stale and Forbidden."""
        who.require("trust:edit")
        reason = checked_reason(reason)
        async with self._store.write() as session:
            rule = await session.approval_rules.get(rule_id)
            check_revision(f"approval rule {rule_id} was", revision, rule.revision)
            await session.approval_rules.remove(rule_id)
            await session.audit.add(who, "approval_rule.removed", _subject(rule), before=_record(rule), reason=reason)

    async def _checked(
        self, session: Session, who: Actor, rule: ApprovalRule, before: ApprovalRule | None
    ) -> ApprovalRule:
        for permission in ("phones:approve", "phones:add"):
            who.require(permission, rule.site)
        try:
            site = await session.sites.get(rule.site)
        except NotFound as error:
            raise BadValue("site", str(error)) from None
        try:
            base = await session.base_settings.get(rule.base_settings)
        except NotFound as error:
            raise BadValue("base_settings", str(error)) from None
        if base.model not in self._templates.catalog.models:
            raise BadValue("base_settings", f"{base.id} is for a model that is not in the catalogue: {base.model}")
        if not rule.networks and not any(is_narrow(ip_network(text)) for text in site.networks):
            raise BadValue("networks", f"site {site.id} has none that would do; name those from which phones come")
        return check_rule(rule, datetime.now(UTC), before)


async def refuse_ruled(session: Session, who: Actor, *, site: str = "", base_settings: str = "") -> None:
    """Raises Conflict while a rule would make phones at this site, or with these base settings."""
    rules = await session.approval_rules.naming(site=site, base_settings=base_settings)
    if rules:
        named = ", ".join(rules) if who.may("trust:view") else "a rule"
        what = f"site {site} is" if site else f"base settings {base_settings} are"
        raise Conflict(f"{what} where unknown phones are approved to, by {named}; remove that approval rule first")


def _changed(rule: ApprovalRule, changes: Changes) -> ApprovalRule:
    networks = {"networks": parse_rule_networks(list(changes["networks"]))} if "networks" in changes else {}
    return replace(rule, **{**changes, **networks})


def _subject(rule: ApprovalRule) -> str:
    return f"approval_rule:{rule.id}"


def _record(rule: ApprovalRule) -> dict[str, Any]:
    return {
        "site": rule.site,
        "base_settings": rule.base_settings,
        "networks": list(rule.networks),
        "proof": rule.proof,
        "most": rule.most,
        "until": rule.until.isoformat() if rule.until else "",
    }
