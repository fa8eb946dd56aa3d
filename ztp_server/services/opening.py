"""The services of one data folder, ready for any door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ztp_server.errors import DataUnavailable, Misconfigured, StoreUnavailable
from ztp_server.pki.makers import MakerFolders
from ztp_server.services.accounts import Accounts
from ztp_server.services.address import ServerAddress, last_address, presumed_address
from ztp_server.services.annotations import Annotations
from ztp_server.services.approval_rules import ApprovalRules
from ztp_server.services.audit import Audit
from ztp_server.services.backups import Backups, Folders
from ztp_server.services.base_settings import BaseSettingsService
from ztp_server.services.base_settings_revisions import BaseSettingsRevisions
from ztp_server.services.bulk_edit import EditKind
from ztp_server.services.bulk_remove import RemoveKind
from ztp_server.services.bulk_windows import OpenWindowsKind
from ztp_server.services.connection import Connections
from ztp_server.services.database_opening import DatabaseOpening
from ztp_server.services.denied_certificates import DeniedCertificates
from ztp_server.services.device_cas import DeviceCas
from ztp_server.services.doctor import Doctor
from ztp_server.services.doctor_patient import Installation
from ztp_server.services.dynamic_reload import DynamicReload
from ztp_server.services.events import Events
from ztp_server.services.firmware import FirmwareService
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.history import History
from ztp_server.services.idempotency import Idempotency
from ztp_server.services.job_kinds import Kind
from ztp_server.services.job_runner import JobRunner
from ztp_server.services.job_undo import UndoKind
from ztp_server.services.jobs import Jobs
from ztp_server.services.keys import Keys
from ztp_server.services.logged_in import Asking, LoggedIn, LogOutKind
from ztp_server.services.logins import Logins
from ztp_server.services.messenger import Messenger
from ztp_server.services.migrate import MigrateKind
from ztp_server.services.models import Models
from ztp_server.services.overrides import Overrides
from ztp_server.services.passwords import Passwords
from ztp_server.services.phone_bulk import PhoneBulk
from ztp_server.services.phone_export import PhoneExport
from ztp_server.services.phone_import import ImportKind, PhoneImport
from ztp_server.services.phone_lines import PhoneLines
from ztp_server.services.phone_list import PhoneList
from ztp_server.services.phone_proofs import PhoneProofsService
from ztp_server.services.phones import Phones
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.platform_check import PlatformCheck
from ztp_server.services.platforms import Platforms
from ztp_server.services.registrar_directory import RegistrarDirectory
from ztp_server.services.registrar_export import RegistrarExport
from ztp_server.services.registrations import Registrations
from ztp_server.services.removed_phones import RemovedPhones
from ztp_server.services.restarts import Restarts
from ztp_server.services.roles import Roles
from ztp_server.services.settings_list import SettingsList
from ztp_server.services.sites import Sites
from ztp_server.services.status import PhoneStatus
from ztp_server.services.status_feed import StatusFeed
from ztp_server.services.tell_kind import TellKind
from ztp_server.services.templates import Templates
from ztp_server.services.tokens import Tokens
from ztp_server.services.unknown_phones import UnknownPhones
from ztp_server.services.users import Users
from ztp_server.services.why import Why
from ztp_server.store import Store
from ztp_server.store.database import place_of
from ztp_server.store.key_file import KEY_FILE, KeyFile
from ztp_server.store.last_good import LAST_GOOD, LastGoodFile


@dataclass(frozen=True)
class Services:
    """Every service over one store."""

    store: Store
    templates: Templates
    address: ServerAddress
    sites: Sites
    base_settings: BaseSettingsService
    base_settings_revisions: BaseSettingsRevisions
    phones: Phones
    phone_list: PhoneList
    phone_lines: PhoneLines
    connections: Connections
    denied_certificates: DeniedCertificates
    device_cas: DeviceCas
    phone_proofs: PhoneProofsService
    removed_phones: RemovedPhones
    annotations: Annotations
    phone_import: PhoneImport
    phone_export: PhoneExport
    registrar_export: RegistrarExport
    registrar_directory: RegistrarDirectory
    platforms: Platforms
    platform_agents: PlatformAgents
    platform_check: PlatformCheck
    messenger: Messenger
    overrides: Overrides
    firmware: FirmwareService
    firmware_files: FirmwareFiles
    history: History
    why: Why
    phone_status: PhoneStatus
    status_feed: StatusFeed
    registrations: Registrations
    models: Models
    idempotency: Idempotency
    audit: Audit
    events: Events
    settings_list: SettingsList
    jobs: Jobs
    job_runner: JobRunner
    phone_bulk: PhoneBulk
    restarts: Restarts
    dynamic_reload: DynamicReload
    users: Users
    logged_in: LoggedIn
    accounts: Accounts
    roles: Roles
    tokens: Tokens
    logins: Logins
    unknown_phones: UnknownPhones
    approval_rules: ApprovalRules
    keys: Keys
    backups: Backups
    doctor: Doctor
    last_good: LastGoodFile
    opening: DatabaseOpening

    async def close(self) -> None:
        await self.opening.stop()
        await self.messenger.close()
        await self.platform_agents.close()
        await self.registrar_directory.reveals.close()
        await self.store.close()


async def open_services(
    data: Path,
    database_url: str,
    shipped: Path,
    own_templates: Path,
    makers: MakerFolders,
    secret_key: Path | None = None,
    *,
    to_serve: bool = False,
) -> Services:
    """Open a data folder, making what is missing; `secret_key` is the key of secrets if it lies elsewhere. Where it is
    `to_serve`, a database that cannot be opened is left for later if phones can be given their last good files. Raises
    Misconfigured naming the folder, file or database."""
    last_good = LastGoodFile(data / LAST_GOOD, KeyFile(secret_key or data / KEY_FILE))
    try:
        make_folder(data)
    except DataUnavailable:
        if not to_serve or not last_good.has_phones():
            raise
    see_folder(own_templates)
    templates = Templates(shipped, own_templates, data / "templates.state")
    # The table may be another after a reload of the templates, so it is asked each time.
    opening = DatabaseOpening(
        *(database_url, last_good),
        lambda: Store.open(database_url, data, lambda name: templates.catalog.settings.is_secret(name), secret_key),
    )
    store = await (opening.soon_or_later() if to_serve else opening.now())
    files = FirmwareFiles(data / "firmware")
    try:
        address = await last_address(store)
    except StoreUnavailable:
        if not to_serve:
            raise
        address = presumed_address()  # until the listeners say
    passwords = Passwords()
    logins = Logins(store, passwords)
    status = PhoneStatus(store, templates, address)
    phones = Phones(store, templates, address, status)
    phone_list = PhoneList(store, templates, status)
    agents = PlatformAgents()
    messenger = Messenger(templates, address, agents, makers=makers)
    asking = Asking()
    kinds = _job_kinds(templates, address, messenger, status, asking)
    runner = JobRunner(store, kinds)
    jobs = asking.jobs = Jobs(store, kinds, runner)
    return Services(
        store=store,
        templates=templates,
        address=address,
        sites=Sites(store, templates, address),
        base_settings=BaseSettingsService(store, templates, address),
        base_settings_revisions=BaseSettingsRevisions(store, templates, address),
        phones=phones,
        phone_list=phone_list,
        phone_lines=PhoneLines(phones),
        connections=Connections(store, templates, phones),
        denied_certificates=DeniedCertificates(store),
        device_cas=DeviceCas(store, templates, address, makers),
        phone_proofs=PhoneProofsService(store, templates, address),
        removed_phones=RemovedPhones(store, templates),
        annotations=Annotations(store, templates, address),
        phone_import=PhoneImport(store, templates, address, jobs),
        phone_export=PhoneExport(store, templates, phone_list),
        registrar_export=RegistrarExport(store, templates, phone_list),
        registrar_directory=RegistrarDirectory(store, templates),
        platforms=Platforms(store),
        platform_agents=agents,
        platform_check=PlatformCheck(store, agents),
        messenger=messenger,
        overrides=Overrides(store, templates),
        firmware=FirmwareService(store, templates, files),
        firmware_files=files,
        history=History(store),
        why=Why(store, templates, address, files, makers),
        phone_status=status,
        status_feed=StatusFeed(store, templates, phone_list),
        registrations=Registrations(store, templates, agents),
        models=Models(templates),
        idempotency=Idempotency(store),
        audit=Audit(store),
        events=Events(store),
        settings_list=SettingsList(templates),
        jobs=jobs,
        job_runner=runner,
        phone_bulk=PhoneBulk(store, templates, address, jobs, phone_list),
        restarts=Restarts(store, templates, jobs, phone_list, messenger),
        dynamic_reload=DynamicReload(store, templates, status, jobs),
        users=Users(store, templates),
        logged_in=LoggedIn(store, templates, jobs, phone_list, asking),
        accounts=Accounts(store, passwords, logins),
        roles=Roles(store),
        tokens=Tokens(store),
        logins=logins,
        unknown_phones=UnknownPhones(store, templates, address),
        approval_rules=ApprovalRules(store, templates),
        keys=Keys(store),
        backups=Backups(store, Folders(data, own_templates, makers.own)),
        doctor=Doctor(store, templates, installation_of(data, database_url, own_templates, makers, secret_key)),
        last_good=last_good,
        opening=opening,
    )


def installation_of(
    data: Path, database_url: str, own_templates: Path, makers: MakerFolders, secret_key: Path | None = None
) -> Installation:
    """Where everything of an installation lies. Raises Misconfigured for what is no URL of a database."""
    place, file = place_of(database_url)
    return Installation(data, own_templates, makers, secret_key or data / KEY_FILE, place, file)


def _job_kinds(
    templates: Templates, address: ServerAddress, messenger: Messenger, status: PhoneStatus, asking: Asking
) -> dict[str, Kind]:
    """Every kind of job there is; a new one is added here."""
    made = (EditKind(templates), MigrateKind(templates), RemoveKind(templates), ImportKind(templates, address))
    others = (OpenWindowsKind(templates, address), LogOutKind(templates, asking))
    told = (TellKind("restart", messenger, status), TellKind("resync", messenger, status))
    kinds: dict[str, Kind] = {kind.name: kind for kind in (*made, *others, *told)}
    return {**kinds, UndoKind.name: UndoKind(kinds)}


def see_folder(folder: Path) -> None:
    """Make a folder that is only read, unless it is there. Raises Misconfigured naming it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        next(folder.iterdir(), None)
    except OSError as error:
        raise Misconfigured(f"folder {folder}: {error.strerror}") from None


def make_folder(folder: Path) -> None:
    """Make a folder for our eyes only, and see that it can be written. Raises DataUnavailable naming it."""
    probe = folder / ".ztp-write-probe"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataUnavailable(f"data folder {folder}: {error.strerror}") from None
