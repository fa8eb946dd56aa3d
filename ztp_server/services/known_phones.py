"""One phone with all that goes into its files, looked up for whoever wants to see what it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.firmware import Library
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import PhoneProofs
from ztp_server.domain.settings import SettingsTable
from ztp_server.errors import NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.checks import known_model
from ztp_server.services.edits import checked_reason
from ztp_server.services.given_phones import user_lines_of
from ztp_server.services.own_files import Known, known_phone, make_group, make_offer, own_rules
from ztp_server.services.phone_checks import seen_phone
from ztp_server.services.proof_index import read_proofs
from ztp_server.services.records import subject_of
from ztp_server.services.reveals import note_reveal
from ztp_server.services.templates import Templates
from ztp_server.store import Store


class KnownPhones:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address

    async def find(self, hardware_id: str) -> Known:
        """A phone with what its files are made of, secrets and all. Raises BadValue for what is no hardware ID, and
        NotFound, also for a phone of a category that is given no files."""
        async with self._store.read() as session:
            phone, running = await session.phones.get_running(HardwareId.parse(hardware_id).value)
            if phone.category != "managed":
                raise NotFound(f"phone {phone.hardware_id} is {phone.category}: it is given no files")
            site = await session.sites.get(phone.site)
            base = await session.base_settings.get(phone.base_settings)
            library = Library(await session.firmware.all())
            proofs, token = await read_proofs(session, phone)
            lines = await user_lines_of(session, phone)
        model = known_model(self._templates.catalog, phone.model)
        group = make_group(self._templates.catalog, model, site, base)
        known = known_phone(group, self._address, phone, running, lines)
        known.proofs, known.steady_token = proofs, token
        known.offer = make_offer(known, library, running)
        return known

    async def seen(self, who: Actor, text: str) -> Known:
        """As `find`, for somebody: by id or hardware ID. Raises NotFound also for a phone that they may not view."""
        async with self._store.read() as session:
            phone = await seen_phone(session, who, text)
        if phone.category != "managed":
            raise NotFound(f"phone {subject_of(phone)} is {phone.category}: it is given no files")
        return await self.find(phone.hardware_id)

    async def to_show(
        self, who: Actor, text: str, file: str | None, reveal: bool, reason: str
    ) -> tuple[Known, dict[str, FileRule]]:
        """A phone and its files by name, one or all of its own, as somebody may be shown them: with `***` for every
        secret, or with the secrets, which needs a permission and is written down. Raises NotFound and Forbidden."""
        known = await self.seen(who, text)
        wanted = files_of(known, file)
        if not reveal:
            return without_secrets(known, self._templates.catalog.settings), wanted
        who.require("phones:reveal", known.phone.site)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            shown = {"files": list(wanted)}
            await note_reveal(session, who, "phone.revealed", known.phone.hardware_id, after=shown, reason=reason)
        return known, wanted


def without_secrets(known: Known, table: SettingsTable) -> Known:
    """The same phone with `***` for every secret, by the settings there are."""
    found = known.effective.values.items()
    values = {name: replace(v, value="***") if v.value and table.is_secret(name) else v for name, v in found}
    effective = replace(known.effective, values=values)
    token, phone = hidden(True, known.steady_token), _without_passwords(known.phone)
    digest = known.proofs.digest
    proofs = PhoneProofs(digest=digest and replace(digest, password=hidden(True, digest.password)))
    return replace(known, phone=phone, effective=effective, proofs=proofs, steady_token=token)


def files_of(known: Known, file: str | None) -> dict[str, FileRule]:
    """The files of a phone by name: this one, or all of its own. Raises NotFound, saying which there are."""
    files = own_rules(known)
    wanted = {name: rule for name, rule in files.items() if file in (None, name)}
    if not wanted:
        raise NotFound(f"no file {file}; there are: {', '.join(files)}")
    return wanted


def hidden(secret: bool, value: Any) -> Any:
    """A value as it may be shown: an empty secret is none."""
    return "***" if secret and value else value


def _without_passwords(phone: Phone) -> Phone:
    return replace(phone, lines=tuple(replace(line, password="***" if line.password else "") for line in phone.lines))
