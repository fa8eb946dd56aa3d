"""How far phones came with their configuration, as far as their requests tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ztp_server.domain.access import Actor
from ztp_server.domain.attempt import Attempt, MadeOf
from ztp_server.domain.firmware import Library
from ztp_server.domain.moment import shown_moment
from ztp_server.domain.phone import Phone
from ztp_server.domain.status import Progress, Status, provisioning_state
from ztp_server.errors import BadValue, Damaged, NotFound, TemplateError
from ztp_server.services.address import ServerAddress
from ztp_server.services.inputs import Inputs
from ztp_server.services.known_phones import KnownPhones
from ztp_server.services.needed_files import asked_first
from ztp_server.services.own_files import make_file, own_rules
from ztp_server.services.phone_registration import own_domains, registration_of
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

Group = tuple[str, str, str]


class PhoneStatus:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address
        self._known = KnownPhones(store, templates, address)
        self._inputs = Inputs(templates, address)
        self._found_at: tuple[object, ...] = ()
        self._found: Mapping[Group, str] = {}

    async def get(self, who: Actor, phone: str) -> Status:
        """The status of a phone, by its id or hardware ID. Raises BadValue, and NotFound."""
        async with self._store.read() as session:
            found = await session.phones.get_any(phone)
            if not who.may("phones:view", found.site):
                raise NotFound(f"no phone {phone}")
            return await self.of_phone(session, found)

    @property
    def shared(self) -> tuple[object, ...]:
        """What all files are made of beside the records: the same objects until there are others."""
        return self._inputs.stand

    async def current_inputs(self, session: Session) -> Mapping[Group, str]:
        """What the files of each group of phones (model, site, base settings) that is in use are made of now. Asked
        again only when something was written, or the templates or our address are others."""
        stand = (await session.last_change(), *self._inputs.stand)
        if self._found_at and all(a is b or a == b for a, b in zip(stand, self._found_at, strict=True)):
            return self._found
        sites = {site.id: site.revision for site in await session.sites.all()}
        bases = {base.id: base.revision for base in await session.base_settings.all()}
        library = Library(await session.firmware.all())
        self._found = {
            (model, site, base): self._inputs.of_group(model, (site, sites[site]), (base, bases[base]), library)
            for model, site, base in await session.phone_status.groups()
            if site in sites and base in bases
        }
        self._found_at = stand
        return self._found

    async def of_phone(self, session: Session, phone: Phone) -> Status:
        """The status of one phone, looked at closely: one whose files are the same bytes as before is up to date,
        whatever was changed of what they are made of."""
        status = await self._of_files(session, phone)
        return replace(status, registration=await registration_of(session, self._templates, phone))

    async def own_domains(self, session: Session, ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The domains at which the users of phones are theirs, by the phones' ids."""
        return await own_domains(session, self._templates, ids)

    async def _of_files(self, session: Session, phone: Phone) -> Status:
        if phone.category != "managed":
            return Status("unknown", f"{phone.category} phones are given no files")
        progress = await session.phone_status.get(phone.id)
        inputs = (await self.current_inputs(session)).get((phone.model, phone.site, phone.base_settings), "")
        state = provisioning_state(progress, inputs, phone.revision, datetime.now(UTC))
        if progress is None:
            return Status(state, _said(phone, await self._never(session, phone)))
        given = await _given(session, phone)
        if state == "outdated" and await self._has_the_same_bytes(session, phone, given):
            state = "provisioned"
        return Status(
            provisioning=state,
            reason=_said(phone, await self._reason(session, state, phone, progress, given)),
            since=progress.due_at if state == "stale" else progress.since,
            first_seen=progress.first_at,
            last_seen=progress.last_at,
            address=progress.address,
            firmware=progress.firmware,
            firmware_wanted=progress.firmware_wanted,
        )

    async def has_current_files(self, session: Session, phone: Phone) -> bool:
        """Whether all files that a managed phone needs are the bytes that it was given last. They are made for that,
        which takes some milliseconds."""
        return await self._has_the_same_bytes(session, phone, await _given(session, phone))

    async def _never(self, session: Session, phone: Phone) -> str:
        runs = await session.check_in_log.page(phone.hardware_id, limit=1)
        if not runs:
            return "it has asked for nothing yet"
        (run,) = runs
        when = f"{shown_moment(run.last_at)}{_from(run.address)}"
        return f"it was never proven; {run.file} was asked for in its name at {when}: {run.reason}"

    async def _reason(
        self, session: Session, state: str, phone: Phone, progress: Progress, given: Mapping[str, Attempt]
    ) -> str:
        last = f"its last request was at {shown_moment(progress.last_at)}{_from(progress.address)}"
        if state == "error":
            return progress.problem
        if state == "stale" and progress.due_at:
            return f"it should have asked again by {shown_moment(progress.due_at)}; {last}"
        if state == "provisioning":
            missing = [name for name in self._needed(phone, given) if name not in given]
            return (
                f"it has not fetched all its files yet: {', '.join(missing) or 'they were changed in between'}; {last}"
            )
        if state == "outdated":
            return "; ".join(await self._changes(session, phone, given))
        return f"it has all its files as they are now; {last}"

    async def _changes(self, session: Session, phone: Phone, given: Mapping[str, Attempt]) -> list[str]:
        """What is another now than when the phone last fetched what it needs."""
        site, base = await session.sites.get(phone.site), await session.base_settings.get(phone.base_settings)
        model = self._templates.catalog.models.get(phone.model)
        templates = self._inputs.of_templates(self._templates.catalog.vendor_of(model).id)[:12] if model else ""
        oldest = min((given[name] for name in self._needed(phone, given) if name in given), key=lambda run: run.last_at)
        had, at = oldest.made_of or MadeOf(), shown_moment(oldest.last_at)
        changed = {
            f"its record is at revision {phone.revision}, it has fetched files of revision "
            f"{had.phone_revision} at {at}": had.phone_revision != phone.revision,
            f"base settings {base.id} are at revision {base.revision}, it has fetched those of "
            f"{_which(had.base_settings, base.id, had.base_settings_revision)} at {at}": (
                (had.base_settings, had.base_settings_revision) != (base.id, base.revision)
            ),
            f"site {site.id} is at revision {site.revision}, it has fetched files of "
            f"{_which(had.site, site.id, had.site_revision)} at {at}": (
                (had.site, had.site_revision) != (site.id, site.revision)
            ),
            f"the templates were changed after it fetched its files at {at}": had.templates != templates,
        }
        found = [text for text, differs in changed.items() if differs]
        return found or [
            f"firmware images or the address of this server were changed after it fetched its files at {at}"
        ]

    def _needed(self, phone: Phone, given: Mapping[str, Attempt]) -> list[str]:
        """The files that a phone needs, as far as those that it was given tell."""
        patterns = asked_first(self._templates.catalog, phone.model)
        files = [pattern.replace("{mac}", phone.hardware_id) for pattern in patterns]
        named = [name for file in files if file in given for name in (given[file].made_of or MadeOf()).names]
        return list(dict.fromkeys([*files, *named]))

    async def _has_the_same_bytes(self, session: Session, phone: Phone, given: Mapping[str, Attempt]) -> bool:
        """Whether all that the phone needs is what it was given last."""
        try:
            known = await self._known.find(phone.hardware_id)
            rules = own_rules(known)
            made = {
                name: make_file(self._templates.renderer, self._address.server, rules[name], known)
                for name in self._needed(phone, given)
            }
        except (TemplateError, BadValue, Damaged, NotFound, KeyError):
            return False
        tag = session.served_files.tag
        return all(name in given and given[name].etag == tag(file.etag) for name, file in made.items())


async def _given(session: Session, phone: Phone) -> dict[str, Attempt]:
    """What a phone, and no other of its hardware ID, was given last, by the name of the file."""
    last = await session.check_in_log.last_runs([phone.hardware_id])
    return {
        file: run
        for (_, file, proven), run in last.items()
        if proven and run.status == 200 and run.made_of and run.made_of.phone == phone.id
    }


def _said(phone: Phone, reason: str) -> str:
    return f"it is blocked: nothing it shows is a proof; {reason}" if phone.proofs == () else reason


def _which(had: str, has: str, revision: int) -> str:
    return f"revision {revision}" if had == has else f"{had} (revision {revision})"


def _from(address: str) -> str:
    return f" from {address}" if address else ""
