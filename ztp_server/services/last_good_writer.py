"""What phones were given, on its way into the file beside the database: after the answers, once a second, all together.

What proves a phone is read from the database for all that were given something or changed, up to the number of the
last change; so a row says what the database did at one moment, and a server that starts knows from where to go on.
"""

from __future__ import annotations

import asyncio
import sqlite3

import structlog

from ztp_server.domain.kept_phone import KeptFile, KeptPhone, KeptSite, Update
from ztp_server.domain.request import PhoneFile
from ztp_server.errors import StoreUnavailable, ZtpError
from ztp_server.services.last_good import LastGood, Report
from ztp_server.services.own_files import Known
from ztp_server.services.templates import Templates
from ztp_server.store import Store
from ztp_server.store.changes import ChangeFeed
from ztp_server.store.last_good import LastGoodFile
from ztp_server.store.standing_proofs import StandingProof

FLUSH_SECONDS = 1.0
# Files between two flushes; a phone whose file comes beyond is kept when its file is made the next time.
MOST_WAITING = 4000
# Phones read in one transaction.
MOST_AT_ONCE = 500
# How long a disk that takes nothing is left alone.
AGAIN_SECONDS = 30.0

log = structlog.get_logger()


class LastGoodWriter:
    """`last_good` gives what this writes."""

    def __init__(self, store: Store, templates: Templates, file: LastGoodFile, report: Report) -> None:
        self._store = store
        self._templates = templates
        self._file = file
        self.last_good = LastGood(file, report)
        self._report = report
        self._waiting: dict[tuple[str, str], KeptFile] = {}
        self._feed: ChangeFeed | None = None
        self._is_prepared = False
        self._not_before = 0.0
        self._writing = asyncio.Lock()

    def note(self, known: Known, name: str, file: PhoneFile) -> None:
        """Remember that a phone was given this file of its own, by the pattern of its name."""
        key = (known.phone.hardware_id, name)
        if len(self._waiting) < MOST_WAITING or key in self._waiting:
            owner = owner_of(known.phone.id, known.phone.model, known.record.holder)
            self._waiting[key] = KeptFile(known.phone.hardware_id, owner, name, file)

    async def flush(self) -> None:
        """Write down what waits, and bring what is kept up to date. What cannot be written now waits for the next
        time."""
        try:
            async with self._writing:
                if asyncio.get_running_loop().time() >= self._not_before:
                    await self._flush()
        except StoreUnavailable as error:
            self._forget_feed()
            log.warning("last_good.waits", reason=str(error))
        except (sqlite3.Error, OSError, ZtpError) as error:
            self._is_prepared = False
            self._forget_feed()
            self._not_before = asyncio.get_running_loop().time() + AGAIN_SECONDS
            self._report("last_good.not_written", self._file.path.name, str(error))

    async def run(self) -> None:
        """Flush for ever; cancelled at the end, which flushes once more."""
        flushing: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                # Cancelled in the middle, a thread would go on with what is being closed.
                flushing = asyncio.create_task(self._undisturbed())
                await asyncio.shield(flushing)
        finally:
            if flushing:
                await flushing
            self._not_before = 0.0
            await self._undisturbed()
            self._forget_feed()
            await asyncio.to_thread(self._file.close)

    def _forget_feed(self) -> None:
        """So that the next flush looks again."""
        if self._feed:
            self._feed.close()
        self._feed = None

    async def _undisturbed(self) -> None:
        try:
            await self.flush()
        except Exception:
            log.exception("last_good.failed")

    async def _flush(self) -> None:
        if not self._store.is_open:
            return
        if not self._is_prepared:
            await asyncio.to_thread(self._file.prepare, self._store.name)
            self._is_prepared = True
        await asyncio.to_thread(self._file.follow_key)
        self._feed = self._feed or self._store.new_feed()
        if not (self._feed.moved() or self._waiting or self.last_good.is_in_doubt):
            return
        self.last_good.begin()
        more = True
        while more:
            more = await self._step()
        self.last_good.settle()

    async def _step(self) -> bool:
        """Write down some of it; returns whether there is more."""
        noted = list(self._waiting.items())[:MOST_AT_ONCE]
        seen = await asyncio.to_thread(self._file.seen)
        update, more = await self._read(seen, [made for _, made in noted])
        if more:  # than can be applied at once: who knows of whom
            self.last_good.doubt()
        await asyncio.to_thread(self._file.write, update)
        for key, made in noted:
            if self._waiting.get(key) is made:
                del self._waiting[key]
        return more or len(noted) == MOST_AT_ONCE

    async def _read(self, seen: int | None, files: list[KeptFile]) -> tuple[Update, bool]:
        async with self._store.read() as session:
            changes = await session.standing_proofs.changes_after(seen or 0, MOST_AT_ONCE)
            anew = seen is None or changes.is_cut_off
            kinds = {kind for kind, _ in changes.found}
            changed = {key for kind, key in changes.found if kind in ("phone", "proof")}
            changed |= {made.mac for made in files}
            phones = [self._kept(one) for one in await session.standing_proofs.of(changed)]
            sites = await session.sites.all() if anew or "site" in kinds else None
            denied = await session.denied_certificates.fingerprints() if anew or "certificate" in kinds else None
            last = await session.last_change() if anew else changes.last
        update = Update(
            *(last, changed, {phone.hardware_id: phone for phone in phones if phone}, files),
            None if sites is None else [KeptSite(one.id, one.networks, one.proofs, one.plain_secrets) for one in sites],
            *(denied, anew),
        )
        return update, changes.more and not anew

    def _kept(self, found: StandingProof) -> KeptPhone | None:
        """None of a phone that is given nothing: it is blocked, or its model left the catalogue."""
        catalog = self._templates.catalog
        model = catalog.models.get(found.model)
        if model is None or found.proofs == ():
            return None
        return KeptPhone(
            hardware_id=found.hardware_id,
            owner=owner_of(found.phone_id, found.model, found.holder),
            site=found.site,
            vendor=catalog.vendor_of(model).id,
            proofs=found.proofs,
            steady=found.steady,
            digest_user=found.digest_user,
            digest_password=found.digest_password,
        )


async def keep_up(store: Store, templates: Templates, file: LastGoodFile) -> None:
    """Take over what a program changed while maybe no server runs: the next one may find its database damaged, and must
    not give anything to a phone that was blocked. What is of another database or key is let alone."""
    try:
        if await asyncio.to_thread(file.is_of, store.name):
            await LastGoodWriter(store, templates, file, _untold).flush()
    except (sqlite3.Error, OSError, ZtpError) as error:
        log.warning("last_good.not_written", reason=str(error))
    finally:
        await asyncio.to_thread(file.close)


def _untold(_action: str, _subject: str, reason: str) -> None:
    log.warning("last_good.not_written", reason=reason)


def owner_of(phone_id: str, model: str, holder: str) -> str:
    """Whose a file is: of this phone, as this model, made for who is on it."""
    return f"{phone_id}/{model}/{holder}" if holder else f"{phone_id}/{model}"
