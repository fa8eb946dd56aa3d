"""Unknown phones that a rule lets in, beside the requests of phones: what knocked is looked at once it is written down,
and is configured when it asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_network

import structlog

from ztp_server.domain.access import Actor, Grant
from ztp_server.domain.approval_rule import ApprovalRule, is_narrow
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.site import Network, Site
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import Conflict, Refused, StoreUnavailable
from ztp_server.services.address import ServerAddress
from ztp_server.services.approval_rules import MOST_RULES
from ztp_server.services.fleet import lies_in
from ztp_server.services.letting_in import LettingIn
from ztp_server.services.templates import Templates
from ztp_server.services.unknown_phones import WINDOW_MINUTES
from ztp_server.store import Session, Store

# Phones that wait to be looked at; more come again.
_MOST_WAITING = 1000

log = structlog.get_logger()


@dataclass(frozen=True)
class Rules:
    """The rules there are, with what they name."""

    rules: tuple[ApprovalRule, ...]
    sites: Mapping[str, Site]
    bases: Mapping[str, BaseSettings]

    @classmethod
    async def read(cls, session: Session) -> Rules:
        rules = await session.approval_rules.page("", MOST_RULES)
        sites = {site: await session.sites.get(site) for site in {rule.site for rule in rules}}
        named = {rule.base_settings for rule in rules}
        return cls(tuple(rules), sites, {base: await session.base_settings.get(base) for base in named})

    def about(self, catalog: Catalog, unknown: UnknownPhone) -> list[ApprovalRule]:
        """Those that mean phones of its maker, where it asks from."""
        return [
            rule
            for rule in self.rules
            if lies_in(unknown.address, self._networks(rule)) and self._vendor(catalog, rule) == unknown.vendor != ""
        ]

    def refusal(self, catalog: Catalog, rule: ApprovalRule, unknown: UnknownPhone, now: datetime) -> str:
        """Why a rule about a phone does not let it in; empty when it does."""
        wanted, model = catalog.models[self.bases[rule.base_settings].model], catalog.models.get(unknown.model)
        if model is None:
            return "it did not say which model it is"
        if catalog.family_of(model) is not catalog.family_of(wanted):
            return f"{rule.base_settings} is for {catalog.family_of(wanted).name}, it is a {model.name}"
        if rule.proof == "certificate" and not unknown.is_certified:
            return "it showed no factory certificate of its own"
        return rule.ended(now) and f"the rule {rule.ended(now)}"

    def _networks(self, rule: ApprovalRule) -> tuple[Network, ...]:
        networks = map(ip_network, rule.networks or self.sites[rule.site].networks)
        return tuple(network for network in networks if is_narrow(network))

    def _vendor(self, catalog: Catalog, rule: ApprovalRule) -> str:
        model = catalog.models.get(self.bases[rule.base_settings].model)
        return catalog.vendor_of(model).id if model else ""


class RuleApprovals:
    """`report` tells the administrator of something (services/check_ins.py)."""

    def __init__(self, store: Store, templates: Templates, address: ServerAddress, report: Callable[..., None]) -> None:
        self._store = store
        self._templates = templates
        self._address = address
        self._report = report
        self._waiting: dict[str, UnknownPhone] = {}
        self._come = asyncio.Event()
        self._working = asyncio.Lock()

    def consider(self, unknown: Iterable[UnknownPhone]) -> None:
        """Look at these soon, each as it is known now."""
        for phone in unknown:
            if phone.mac in self._waiting or len(self._waiting) < _MOST_WAITING:
                self._waiting[phone.mac] = phone
        self._come.set()

    async def run(self) -> None:
        """Look at what comes, for ever."""
        while True:
            await self._come.wait()
            self._come.clear()
            try:
                await self.work()
            except StoreUnavailable as error:
                log.warning("approval_rules.not_asked", reason=str(error))  # whoever knocked comes again
            except Exception:
                log.exception("approval_rules.failed")

    async def work(self) -> None:
        """Look at all that wait now. Raises StoreUnavailable."""
        async with self._working:
            waiting, self._waiting = self._waiting, {}
            async with self._store.read() as session:
                rules = await Rules.read(session)
            for unknown in waiting.values() if rules.rules else ():
                await self._look_at(rules, unknown)

    async def _look_at(self, rules: Rules, unknown: UnknownPhone) -> None:
        """Let it in by the first rule that does; else say once why those about it do not."""
        problem: tuple[ApprovalRule, str] | None = None
        for rule in rules.about(self._templates.catalog, unknown):
            why = rules.refusal(self._templates.catalog, rule, unknown, datetime.now(UTC))
            if not why:
                try:
                    return await self._let_in(rule, unknown)
                except Refused as error:
                    why = str(error)
            problem = problem or (rule, why)
        if problem:
            await self._keep_out(*problem, unknown)

    async def _let_in(self, rule: ApprovalRule, unknown: UnknownPhone) -> None:
        """Raises Refused."""
        who = Actor(f"rule:{rule.id}", (Grant(frozenset({"phones:add", "phones:approve"}), rule.site),))
        phone = Phone(unknown.mac, unknown.mac, unknown.model, rule.site, rule.base_settings)
        async with self._store.write() as session:
            listed = await session.unknown_phones.of([unknown.mac])
            if unknown.mac not in listed or listed[unknown.mac].denied_by:
                return  # somebody has decided meanwhile
            if not await session.approval_rules.take_one(rule):
                ended = (await session.approval_rules.get(rule.id)).ended(datetime.now(UTC))
                raise Conflict(f"the rule {ended or 'was changed just now'}")
            reason = f"approval rule {rule.id}: it asked from {unknown.address}"
            letting_in = LettingIn(session, self._templates.catalog, self._address, who)
            await letting_in.let_in(unknown, phone, WINDOW_MINUTES, reason)
            detail = {"rule": rule.id, "site": rule.site, "base_settings": rule.base_settings}
            detail |= {"model": unknown.model, "address": unknown.address}
            await session.events.add(who.name, "phone.approved", unknown.mac, detail)

    async def _keep_out(self, rule: ApprovalRule, why: str, unknown: UnknownPhone) -> None:
        """Keep the reason with the phone, and tell of it when it is a new one: phones ask again for ever."""
        said = f"approval rule {rule.id}: {why}"[:255]
        if unknown.why == said:
            return
        async with self._store.write() as session:
            listed = await session.unknown_phones.of([unknown.mac])
            if unknown.mac not in listed or listed[unknown.mac].denied_by or listed[unknown.mac].why == said:
                return
            await session.unknown_phones.keep([replace(listed[unknown.mac], why=said)])
        self._report("approval_rule.passed_over", f"approval_rule:{rule.id}", f"{unknown.mac}: {why}", about=why)
