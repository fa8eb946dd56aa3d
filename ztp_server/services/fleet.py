"""Phones as the request path needs them: found once, remembered until something about them changes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from ztp_server.domain.firmware import Library
from ztp_server.domain.phone import Phone
from ztp_server.domain.request import PhoneRequest
from ztp_server.domain.site import LOOPBACK_NETWORKS, Network, Site
from ztp_server.errors import StoreUnavailable
from ztp_server.services.address import ServerAddress
from ztp_server.services.believed_certificates import BelievedCertificates
from ztp_server.services.hardware_ids import HardwareIds
from ztp_server.services.own_files import Group, Known, known_phone, make_group, networks_of
from ztp_server.services.phone_reads import PhoneReads
from ztp_server.services.proof_index import ProofIndex
from ztp_server.services.templates import Templates
from ztp_server.store import Store

# Phones remembered: about 20 KB each with their files.
REMEMBERED = 4096
# Changes heeded at once: an import makes one for each phone.
_AT_ONCE = 1000
_LOOPBACK = tuple(map(ipaddress.ip_network, LOOPBACK_NETWORKS))


class Fleet:
    """Answers "which phone is this MAC" from memory, and forgets what the store says has changed."""

    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address
        self.certificates = BelievedCertificates(store)
        self._known: OrderedDict[str, Known] = OrderedDict()
        self.hardware_ids = HardwareIds(store)
        self._proofs = ProofIndex(store)
        self._reads = PhoneReads(store)
        self._reading = asyncio.Lock()
        # Changes that were read and not heeded yet: what was read is not read again.
        self._untold: deque[tuple[str, str]] = deque()
        self._generation = 0
        # What was read before this generation may be believed by what no longer counts.
        self._believed = 0
        self._told = 0
        self._groups: dict[tuple[str, str, str, int], Group] = {}
        self._built_on: tuple[object, ...] = (None, None, None)
        self._sites: list[tuple[Site, tuple[Network, ...]]] | None = None
        self._sites_stale = True
        self._library: Library | None = None
        self._library_stale = True
        # Told of each change, where something else is remembered of phones.
        self.forgotten: Callable[[str, str], None] | None = None

    async def catch_up(self) -> None:
        """Forget what has changed since the last request, in this process or another."""
        self._notice_templates()
        moved = self._store.changes.moved()
        if not moved and not self._untold and not self._reading.locked():
            return
        # One that comes while another reads must not overtake it, or it would serve what it was just told to forget.
        async with self._reading:
            if moved:
                await self._read_changes()
            while self._untold:
                self._tell_some()
                await asyncio.sleep(0)

    async def _read_changes(self) -> None:
        try:
            self._untold.extend(await self._store.changes.read())
        except StoreUnavailable:
            return  # What is remembered stays in service; the next request looks again.

    def _tell_some(self) -> None:
        """Forget what has changed, so much at once that others need not wait long."""
        for _ in range(min(len(self._untold), _AT_ONCE)):
            kind, key = self._untold.popleft()
            self._forget(kind, key)
            if self.forgotten:
                self.forgotten(kind, key)

    async def find(self, mac: str) -> Known | None:
        """The phone, or None. Raises StoreUnavailable only when it is not remembered from better days, or it may since
        have been blocked or removed, or be believed by less."""
        known = self._known.get(mac)
        if known is not None and known.generation == self._generation:
            self._known.move_to_end(mac)
            return known
        try:
            if known is None and not await self.hardware_ids.may_be(mac):
                return None  # As quickly as for one that is known.
            return await self._load(mac, known)
        except StoreUnavailable:
            if known is None or known.generation < self._believed:
                raise
            return known

    async def at_any_site(self, address: str) -> bool:
        """Whether an address lies in the networks of a site where networks count as proof. Raises StoreUnavailable."""
        if self._sites_stale:
            await self._load_sites()
        return any("network" in site.proofs and lies_in(address, networks) for site, networks in self._sites or ())

    async def _in_some_network(self, address: str) -> bool:
        """Whether an address could prove a phone of some site: one may have proofs of its own."""
        if self._sites_stale:
            await self._load_sites()
        return any(lies_in(address, networks) for _, networks in self._sites or ())

    async def _load_sites(self) -> None:
        told = self._told
        try:
            async with self._store.read() as session:
                sites = await session.sites.all()
        except StoreUnavailable:
            if self._sites is None:
                raise
            return  # Those of better days, as for a phone.
        self._sites = [(site, networks_of(site)) for site in sites]
        self._sites_stale = told != self._told

    async def could_be_proven(self, mac: str, request: PhoneRequest) -> bool:
        """Whether the one who asks could be some phone of ours, whatever this MAC is. Raises StoreUnavailable."""
        if request.by_certificate:
            return request.certificate is not None and request.certificate.mac == mac
        owner = await self._proofs.owner_of_token(request.token) if request.token else ""
        if owner:
            return owner == mac  # Another phone's file is nothing that a phone asks for.
        if await self._in_some_network(request.address):
            return True
        if request.login and await self._proofs.owner_of_user(request.login.user) == mac:
            return True
        return await self._proofs.has_window(mac, datetime.now(UTC))

    async def whose(self, request: PhoneRequest) -> str:
        """The MAC that a request is made for which does not name one, empty when nothing tells it; that it is, is still
        to be proven. Raises StoreUnavailable."""
        if request.certificate:
            return request.certificate.mac
        owner = await self._proofs.owner_of_token(request.token) if request.token else ""
        return owner or (await self._proofs.owner_of_user(request.login.user) if request.login else "")

    async def firmware(self) -> Library:
        """The images there are; the same object until there are others. Raises StoreUnavailable."""
        if self._library is None or self._library_stale:
            return await self._load_library(self._library)
        return self._library

    def offer_holds(self, known: Known, said: str) -> bool:
        """Whether what a phone is offered is still that, now that it said what it runs (empty: it did not)."""
        return known.library is self._library and not self._library_stale and said in ("", known.running)

    async def _load_library(self, before: Library | None) -> Library:
        told = self._told
        try:
            async with self._store.read() as session:
                self._library = Library(await session.firmware.all())
        except StoreUnavailable:
            if before is None:
                raise
            return before  # Those of better days, as for a phone.
        self._library_stale = told != self._told
        return self._library

    def _notice_templates(self) -> None:
        built_on = (self._templates.snapshot, self._address.server, self._address.trusted_makers)
        if any(a is not b for a, b in zip(built_on, self._built_on, strict=True)):
            self._built_on = built_on
            self._forget_groups()

    def _forget(self, kind: str, key: str) -> None:
        self._told += 1
        if kind in ("phone", "proof"):
            self._forget_phone(key)
            if kind == "proof":
                self._proofs.forget(key)
        elif kind == "firmware":
            self._library_stale = True
        elif kind == "certificate":
            self.certificates.forget()
        elif kind != "platform":  # by which nothing of a phone's files is made
            self._sites_stale = True
            self._forget_groups()
            if kind == "site":
                self._believed = self._generation

    def _forget_phone(self, mac: str) -> None:
        self.hardware_ids.forget(mac)
        known = self._known.get(mac)
        if known:
            known.generation = -1

    def _forget_groups(self) -> None:
        self._groups.clear()
        self._generation += 1

    async def _load(self, mac: str, before: Known | None) -> Known | None:
        generation, told = self._generation, self._told
        read = await self._reads.find(mac)
        group = await self._group(read.phone, generation) if read else None
        if read is None or group is None:
            self._known.pop(mac, None)
            return None
        if before and before.phone.id != read.phone.id:
            before = None  # Another phone had this hardware ID.
        # What it said to this process goes first: it may not be written down yet.
        running = (before.running if before else "") or read.running
        known = known_phone(group, self._address, read.phone, running, read.user_lines)
        # What was read before somebody said "forget" is good for this answer, and not to be remembered.
        known.generation = generation if told == self._told else -1
        known.proofs, known.steady_token = read.proofs, read.steady_token
        if before and before.record.holder == read.phone.holder:  # else they are what somebody else had
            known.last_good = {**before.last_good, **before.files}
        self._known[mac] = known
        self._known.move_to_end(mac)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    async def _group(self, phone: Phone, generation: int) -> Group | None:
        """What the phone shares with others, found once; None when its model left the catalogue."""
        catalog = self._templates.catalog
        model = catalog.models.get(phone.model)
        if model is None:
            return None
        key = (phone.model, phone.site, phone.base_settings, generation)
        group = self._groups.get(key)
        if group is None:
            async with self._store.read() as session:
                site = await session.sites.get(phone.site)
                base = await session.base_settings.get(phone.base_settings)
            group = make_group(catalog, model, site, base)
            if generation == self._generation:  # else somebody said "forget" meanwhile, and it may be of before that
                self._groups[key] = group
        return group


@lru_cache(maxsize=16_384)
def lies_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address, as text, is in one of the networks. An IPv4 address in IPv6 clothes counts as IPv4."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in networks)


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Whether an address, as text, is this machine's own."""
    return lies_in(address, _LOOPBACK)
