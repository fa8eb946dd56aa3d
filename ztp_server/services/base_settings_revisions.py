"""What base settings were, who changed them, what that made of a phone's files; and what a model begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings, BaseSettingsRevision
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import Value, resolve
from ztp_server.domain.vendor import Support
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.checks import known_model
from ztp_server.services.edits import FieldChange, changes_between
from ztp_server.services.effective import catalog_layers
from ztp_server.services.known_phones import hidden
from ztp_server.services.records import base_settings_record
from ztp_server.services.sample_diffs import Sample, SampleDiffs, Shared
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store


@dataclass(frozen=True, slots=True)
class RevisionDiff:
    """What is different between two revisions. `sample`: what that makes of one phone's files, when asked for and
    there is a phone."""

    before: int
    after: int
    changes: tuple[FieldChange, ...]
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Default:
    """What a setting is for a model before any administrator speaks, and what the family makes of it."""

    value: Value
    support: Support


class BaseSettingsRevisions:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._samples = SampleDiffs(templates, address)

    async def page(
        self, who: Actor, base_id: str, before: int | None = None, limit: int = 100
    ) -> list[BaseSettingsRevision]:
        """Who made the revisions and why, the newest first; `before`: those with a smaller number. Raises NotFound and
        Forbidden."""
        who.sites("base_settings:view")
        async with self._store.read() as session:
            await session.base_settings.get(base_id)
            return await session.base_settings.revisions(base_id, before, limit)

    async def get(self, who: Actor, base_id: str, number: int) -> tuple[BaseSettings, BaseSettingsRevision]:
        """One revision, and who made it. Raises NotFound and Forbidden."""
        who.sites("base_settings:view")
        async with self._store.read() as session:
            base = await session.base_settings.get(base_id, number)
            [made] = await session.base_settings.revisions(base_id, number + 1, 1)
        return base, made

    async def diff(
        self,
        who: Actor,
        base_id: str,
        before: int,
        after: int | None = None,
        *,
        files: bool = False,
        phone: str | None = None,
    ) -> RevisionDiff:
        """What changed from one revision to another (None: the current one). With `files` or a `phone` (a hardware ID)
        also what that makes of the files of that phone, or of one that has these base settings. Raises NotFound,
        Forbidden, and BadValue for a phone of another family."""
        who.sites("base_settings:view")
        async with self._store.read() as session:
            old = await session.base_settings.get(base_id, before)
            new = await session.base_settings.get(base_id, after)
            sample = await self._sample(who, session, old, new, phone) if files or phone else None
        table = self._templates.catalog.settings
        changes = changes_between(table, *(base_settings_record(base, table, str) for base in (old, new)))
        return RevisionDiff(old.revision, new.revision, changes, sample)

    async def template(self, who: Actor, model_id: str) -> Mapping[str, Default]:
        """Every setting as it is for a model by itself, each with its source: what base settings for it begin with.
        Raises NotFound and Forbidden."""
        who.sites("base_settings:view")
        catalog = self._templates.catalog
        model = catalog.models.get(model_id)
        if model is None:
            raise NotFound(f"no model {model_id[:64]}{catalog.nearest_model(model_id)}")
        family, table = catalog.family_of(model), catalog.settings
        found = resolve(catalog_layers(catalog, model))
        return {
            name: Default(replace(value, value=hidden(table.is_secret(name), value.value)), family.support(name))
            for name, value in found.items()
        }

    async def _sample(
        self, who: Actor, session: Session, old: BaseSettings, new: BaseSettings, hardware_id: str | None
    ) -> Sample | None:
        if hardware_id is None:
            groups = await session.phone_groups.groups(base_settings=new.id)
            samples = await self._samples.samples(who, session, groups, Shared(base=old), Shared(base=new))
            return samples[0] if samples else None
        wanted = HardwareId.parse(hardware_id).value
        found = (await session.phones.find_running([wanted])).get(wanted)
        if found is None or not who.may("phones:view", found[0].site):
            raise NotFound(f"no phone {wanted}")
        self._check_family(found[0], new)
        return await self._samples.sample(session, found[0], found[1], Shared(base=old), Shared(base=new))

    def _check_family(self, phone: Phone, base: BaseSettings) -> None:
        catalog = self._templates.catalog
        own, wanted = (catalog.family_of(known_model(catalog, model)) for model in (phone.model, base.model))
        if own is not wanted:
            raise BadValue("phone", f"{base.id} is for {wanted.name}, {phone.hardware_id} is of {own.name}")
