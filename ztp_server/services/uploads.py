"""What phones send: logs, kept as they are, and what their users changed, of which only the harmless is kept.

A file of a user's changes goes above all of ours at each boot. So it is taken from a phone that proves itself better
than by a network alone, sifted, written anew by us, and sifted again when it is given back: the rule may have been
tightened meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from datetime import UTC, datetime, timedelta

import structlog

from ztp_server.domain.file_rules import UploadRule
from ztp_server.domain.overrides import OverridesRule, Sifted, named, sift
from ztp_server.domain.request import Answer, Kept, PhoneFile, PhoneRequest, Refusal, TooLarge
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.own_files import Known, own_rules
from ztp_server.store import Store
from ztp_server.xml_parameters import read_attributes, write_attributes

SETTING = "persist_user_settings"
# How long an address counts as a phone's after it fetched a file of that phone there.
PROVEN_FOR = timedelta(hours=24)
# Proofs by which somebody else may pass for the phone.
_WEAK = ("network", "window")
_NOTHING_SENT = Refusal("no such file")

log = structlog.get_logger()


class Uploads:
    """Takes files from proven phones, and gives them back."""

    def __init__(self, store: Store, check_ins: CheckIns) -> None:
        self._store = store
        self._check_ins = check_ins

    async def answer(self, request: PhoneRequest, rule: UploadRule, known: Known, proof: str) -> Answer:
        """What a phone gets that sends a file, or asks for what it sent. Raises StoreUnavailable."""
        overrides = known.group.vendor.overrides if rule.kind == "overrides" else None
        if request.method != "PUT":
            return await (self._overrides(rule, overrides, known) if overrides else self._taken(rule, known))
        try:
            if overrides:
                return await self._take_overrides(request, rule, overrides, known, proof)
            return await self._take(request, rule, known)
        except NotFound:
            return Refusal("the phone was removed while it sent")

    async def _taken(self, rule: UploadRule, known: Known) -> Answer:
        async with self._store.read() as session:
            body = await session.uploads.get(known.phone.id, rule.pattern)
        return _NOTHING_SENT if body is None else _file(body, "application/octet-stream")

    async def _take(self, request: PhoneRequest, rule: UploadRule, known: Known) -> Answer:
        body = await request.read(rule.max_bytes) if request.read else None
        if body is None:
            return TooLarge()
        packed = await asyncio.to_thread(zlib.compress, body)
        async with self._store.write() as session:
            return Kept(await session.uploads.put(known.phone.id, rule.pattern, packed, len(body)))

    async def _overrides(self, rule: UploadRule, overrides: OverridesRule, known: Known) -> Answer:
        if not known.effective.plain[SETTING]:
            # Not a 404, at which a phone keeps what it has.
            return _file(write_attributes(overrides.empty, {}), "text/xml")
        async with self._store.read() as session:
            found = await session.uploads.get_parameters(known.phone.id, rule.pattern)
        if found is None:
            return _NOTHING_SENT
        return _file(write_attributes(overrides.empty, sift(overrides, found.parameters).kept), "text/xml")

    async def _take_overrides(
        self, request: PhoneRequest, rule: UploadRule, overrides: OverridesRule, known: Known, proof: str
    ) -> Answer:
        if not known.effective.plain[SETTING]:
            return Refusal(f"{SETTING} is off")
        if proof in _WEAK and not await self._has_fetched(request.address, known):
            return Refusal("this address fetched no file of this phone in the last 24 hours")
        body = await request.read(rule.max_bytes) if request.read else None
        if body is None:
            return TooLarge()
        try:
            sifted = sift(overrides, read_attributes(body))
        except BadValue as error:
            self._check_ins.report("overrides.refused", known.phone.hardware_id, f"{_short(rule)}: {error.reason}")
            return Refusal(f"the upload is refused: {error.reason}")
        async with self._store.write() as session:
            created = await session.uploads.put_parameters(known.phone.id, rule.pattern, sifted.kept)
        self._tell(rule, known, sifted)
        return Kept(created)

    async def _has_fetched(self, address: str, known: Known) -> bool:
        """Whether this address was lately given a file made for this phone, with its passwords."""
        mac, files = known.phone.hardware_id, own_rules(known)
        # These first: what is written down between the two looks is then seen twice, not missed.
        seen = self._check_ins.not_written(mac, files)
        async with self._store.read() as session:
            seen += [found for found in await session.check_ins.of_phone(mac) if found.file in files]
        since = datetime.now(UTC) - PROVEN_FOR
        return any(found.status == 200 and found.address == address and found.at >= since for found in seen)

    def _tell(self, rule: UploadRule, known: Known, sifted: Sifted) -> None:
        mac, file = known.phone.hardware_id, _short(rule)
        log.info("overrides.kept", mac=mac, file=file, kept=len(sifted.kept), dropped=len(sifted.dropped))
        if sifted.dropped:
            # Names and never values, which may be passwords.
            self._check_ins.report("overrides.dropped", mac, f"{file}: {named(sifted.dropped)}", about=file)


def _short(rule: UploadRule) -> str:
    """The name of a file without whose it is: `-phone.cfg`."""
    return rule.pattern.replace("{mac}", "")


def _file(body: bytes, content_type: str) -> PhoneFile:
    return PhoneFile(body, content_type, hashlib.sha256(body).hexdigest()[:32], "upload")
