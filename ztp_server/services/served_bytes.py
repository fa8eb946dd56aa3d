"""The bytes that phones were given, made once more without their secrets to be kept. That is done after the answer,
from what the bytes were made of then: templates and phones may be others by the time it is written down."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.request import PhoneFile
from ztp_server.domain.template_context import Server
from ztp_server.services.known_phones import without_secrets
from ztp_server.services.own_files import Known, make_file
from ztp_server.services.templates import Snapshot
from ztp_server.store import Store
from ztp_server.store.served_files import ServedFile

# Files between two looks into the store, each with the record of its phone; beyond that they are made at once.
MOST_WAITING = 10_000
# What may pile up while the store cannot be written.
_MOST_READY = 20_000
# How long a flush may keep phones waiting, file by file, of each second.
RENDER_SECONDS = 0.03

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Made:
    """What a file was made of."""

    known: Known
    rule: FileRule
    snapshot: Snapshot
    server: Server
    etag: str

    def packed(self) -> ServedFile | None:
        """The file without secrets; None when it cannot be made without them."""
        known = without_secrets(self.known, self.snapshot.catalog.settings)
        try:
            shown = make_file(self.snapshot.renderer, self.server, self.rule, known)
        except Exception:  # what cannot be shown must not keep the others from being written
            log.exception("history.not_kept", template=self.rule.template)
            return None
        return _packed(self.etag, shown)


class ServedBytes:
    """Files on their way to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, _Made] = {}
        self._ready: dict[str, ServedFile] = {}

    def note(self, snapshot: Snapshot, server: Server, rule: FileRule, known: Known, file: PhoneFile) -> None:
        """Remember what a phone's own file was made of."""
        if file.etag in self._waiting or file.etag in self._ready:
            return
        # Copies, for both change: the phone's offer, and the address when certificates are others.
        as_it_was = replace(known, address=replace(known.address), files={}, last_good={})
        made = _Made(as_it_was, rule, snapshot, server, file.etag)
        if len(self._waiting) < MOST_WAITING:
            self._waiting[file.etag] = made
        else:
            self._add(made.packed())

    def note_public(self, file: PhoneFile) -> None:
        """Remember a file that has no secrets, such as the bootstrap file."""
        if file.etag not in self._ready:
            self._add(_packed(file.etag, file))

    async def ready(self, *, all_of_them: bool = False) -> list[ServedFile]:
        """Files that the store does not have, as many as can be made without phones noticing, or all. They are given
        again until `kept` is told of them. Raises StoreUnavailable."""
        if self._waiting or self._ready:
            asked = {*self._waiting, *self._ready}
            async with self._store.read() as session:
                missing = await session.served_files.missing(asked)
            for etag in asked - missing:
                self._waiting.pop(etag, None)
                self._ready.pop(etag, None)
            await self._make(lambda spent: all_of_them or spent < RENDER_SECONDS)
        return list(self._ready.values())

    def kept(self, files: list[ServedFile]) -> None:
        for file in files:
            self._ready.pop(file.etag, None)

    async def _make(self, may_go_on: Callable[[float], bool]) -> None:
        spent = 0.0
        while self._waiting and may_go_on(spent):
            started = time.perf_counter()
            etag = next(iter(self._waiting))
            self._add(self._waiting.pop(etag).packed())
            spent += time.perf_counter() - started
            await asyncio.sleep(0)  # phones first

    def _add(self, file: ServedFile | None) -> None:
        if file and len(self._ready) < _MOST_READY:
            self._ready[file.etag] = file


def _packed(etag: str, shown: PhoneFile) -> ServedFile:
    return ServedFile(etag, shown.content_type, zlib.compress(shown.body), len(shown.body))
