"""Many phones changed, moved to other base settings, or removed at once: as jobs, and looked at before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import Job
from ztp_server.errors import BadValue
from ztp_server.services.address import ServerAddress
from ztp_server.services.bulk_edit import EditKind, PhoneChangeKind, checked_change
from ztp_server.services.bulk_preview import BulkPreview, Preview
from ztp_server.services.bulk_remove import RemoveKind
from ztp_server.services.bulk_windows import OpenWindowsKind
from ztp_server.services.edits import checked_reason
from ztp_server.services.jobs import Jobs
from ztp_server.services.lasting_proof import LET_IN
from ztp_server.services.migrate import MigrateKind, checked_overrides
from ztp_server.services.phone_batch import Places
from ztp_server.services.phone_list import PhoneList
from ztp_server.services.phone_proofs import WINDOW_MINUTES
from ztp_server.services.phone_selection import Selection, items_of, select_phones
from ztp_server.services.sample_diffs import SampleDiffs
from ztp_server.services.templates import Templates
from ztp_server.services.windows import checked_minutes
from ztp_server.store import Session, Store
from ztp_server.store.phone_targets import Target

# How many phones a preview checks while somebody waits for it.
MOST_CHECKED = 5000


class PhoneBulk:
    """Every change takes a selection. The permissions are those of a change of one: held at the site of every phone
    named, while a filter finds phones at sites where they are held."""

    def __init__(
        self, store: Store, templates: Templates, address: ServerAddress, jobs: Jobs, phone_list: PhoneList
    ) -> None:
        self._store = store
        self._templates = templates
        self._diffs = SampleDiffs(templates, address)
        self._jobs = jobs
        self._list = phone_list
        self._edit = EditKind(templates)
        self._migrate = MigrateKind(templates)

    async def edit(self, who: Actor, selection: Selection, change: Mapping[str, Any], *, run_here: bool = False) -> Job:
        """Give phones another site, other base settings, settings (None: inherit again). Raises BadValue naming the
        field, Forbidden, Conflict."""
        async with self._store.read() as session:
            order = await checked_change(session, who, self._templates, change)
        return await self._submit(who, EditKind.name, order, selection, "phones:edit", run_here)

    async def preview_edit(
        self, who: Actor, selection: Selection, change: Mapping[str, Any],
        *, most: int | None = MOST_CHECKED, after: int = 0, limit: int = 100,
    ) -> Preview:  # fmt: skip
        """What `edit` would do; writes nothing."""
        async with self._store.read() as session:
            order = await checked_change(session, who, self._templates, change)
            return await self._look(session, who, selection, self._edit, order, most, after, limit)

    async def migrate(
        self, who: Actor, selection: Selection, to: str, overrides: str, *, run_here: bool = False
    ) -> Job:
        """Move phones to other base settings of their family. Raises BadValue, Forbidden, Conflict."""
        async with self._store.read() as session:
            order = await self._migration(session, to, overrides)
        return await self._submit(who, MigrateKind.name, order, selection, "phones:edit", run_here)

    async def preview_migration(
        self, who: Actor, selection: Selection, to: str, overrides: str,
        *, most: int | None = MOST_CHECKED, after: int = 0, limit: int = 100,
    ) -> Preview:  # fmt: skip
        """What `migrate` would do; writes nothing."""
        async with self._store.read() as session:
            order = await self._migration(session, to, overrides)
            return await self._look(session, who, selection, self._migrate, order, most, after, limit)

    async def remove(self, who: Actor, selection: Selection, *, run_here: bool = False) -> Job:
        """Remove phones; an undo brings them back. Raises BadValue, Forbidden, Conflict."""
        return await self._submit(who, RemoveKind.name, {}, selection, "phones:delete", run_here)

    async def open_windows(
        self, who: Actor, selection: Selection, minutes: int = WINDOW_MINUTES, reason: str = "",
        *, run_here: bool = False,
    ) -> Job:  # fmt: skip
        """Open a provisioning window for each, as services/phone_proofs.py does for one. Raises BadValue, Forbidden,
        Conflict."""
        order = {"minutes": checked_minutes(minutes), "reason": checked_reason(reason)}
        return await self._submit(who, OpenWindowsKind.name, order, selection, LET_IN, run_here)

    async def count(self, who: Actor, selection: Selection, permission: str) -> int:
        """How many phones are meant. Raises as the change would."""
        async with self._store.read() as session:
            return len(await self._select(session, who, permission, selection))

    async def _select(self, session: Session, who: Actor, permission: str, selection: Selection) -> list[Target]:
        return await select_phones(session, self._list, self._templates.catalog, who, permission, selection)

    async def _migration(self, session: Session, to: str, overrides: str) -> dict[str, Any]:
        try:
            await Places(session).base(to)
        except BadValue as error:
            raise BadValue("to", error.reason) from None
        return {"to": to, "overrides": checked_overrides(overrides)}

    async def _submit(
        self, who: Actor, kind: str, order: Mapping[str, Any], selection: Selection, permission: str, run_here: bool
    ) -> Job:
        # Each step looks at its phones once more, so nobody has to wait while many are chosen.
        async with self._store.read() as session:
            found = await self._select(session, who, permission, selection)
        return await self._jobs.submit(who, kind, {**order, **selection.shown}, items_of(found), run_here=run_here)

    async def _look(
        self, session: Session, who: Actor, selection: Selection, kind: PhoneChangeKind, order: Mapping[str, Any],
        most: int | None, after: int, limit: int,
    ) -> Preview:  # fmt: skip
        targets = await self._select(session, who, "phones:edit", selection)
        looking = BulkPreview(session, self._templates, self._diffs, who)
        return await looking.look(list(items_of(targets)), kind.changed(order), most=most, after=after, limit=limit)
