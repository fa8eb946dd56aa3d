"""The rows of an import, checked against what is there: what each becomes, or why it is refused."""

from __future__ import annotations

import pickle
import re
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.logged_out import given_phone
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue, Forbidden
from ztp_server.services.belief import require_for_phone, require_to_lend
from ztp_server.services.checks import checked_phone
from ztp_server.services.effective import GroupChecks, check_given
from ztp_server.services.generated_lines import completed
from ztp_server.services.import_warnings import ImportWarnings
from ztp_server.services.lasting_proof import LET_IN, require_proof
from ztp_server.services.phone_cells import column_of, hardware_id_of, phone_of
from ztp_server.services.phone_csv import Row
from ztp_server.store import Session
from ztp_server.store.users import OnPhone

Mode = Literal["create", "update", "upsert"]
MODES: tuple[Mode, ...] = ("create", "update", "upsert")

_ID = re.compile("[0-9a-f]{32}")


class RowResult(NamedTuple):
    """What became of a row (or would have): `created`, `updated`, `unchanged`, or `refused` because of a column (empty:
    the row as a whole). `line` is where it begins in the file."""

    line: int
    phone_id: str
    label: str
    result: str
    column: str = ""
    reason: str = ""

    @property
    def problem(self) -> str:
        place = f"line {self.line}, column {self.column}" if self.column else f"line {self.line}"
        return f"{place}: {self.reason}"


@dataclass(slots=True)
class Writes:
    """Phones that are to be written: new ones, and changed ones as they were and as they will be."""

    new: list[Phone] = field(default_factory=list)
    changed: list[tuple[Phone, Phone]] = field(default_factory=list)

    def packed(self) -> bytes:
        """A hundred bytes a phone instead of thousands, for as long as they wait to be written. It never leaves this
        process."""
        return zlib.compress(pickle.dumps((self.new, self.changed), pickle.HIGHEST_PROTOCOL), 1)

    @classmethod
    def unpacked(cls, packed: bytes) -> Writes:
        return cls(*pickle.loads(zlib.decompress(packed)))


class RowChecks:
    """Checks the rows of one file, some at a time: `look_up` what they speak of, then `take` each of them."""

    def __init__(self, catalog: Catalog, who: Actor, mode: Mode, *, opens_windows: bool = False) -> None:
        """With `opens_windows` a new phone is taken only if a window can be opened for it."""
        self._opens_windows = opens_windows
        self._catalog = catalog
        self._who = who
        self._mode = mode
        self.sites: dict[str, Site] = {}
        self.bases: dict[str, BaseSettings] = {}
        self._extensions: dict[str, str] = {}
        self._user_lines: dict[str, tuple[Line, ...]] = {}
        self._logged_in: list[OnPhone] = []
        self._desks: dict[str, str] = {}
        self._by_id: dict[str, Phone] = {}
        self._by_hardware_id: dict[str, Phone] = {}
        self._removed: set[str] = set()
        self._lines_of: dict[str, int] = {}
        self._groups = GroupChecks(catalog)
        self.warnings = ImportWarnings(catalog)
        self.writes = Writes()

    async def begin(self, session: Session) -> None:
        self.sites = {site.id: site for site in await session.sites.all()}
        self.bases = {base.id: base for base in await session.base_settings.all()}

    async def look_up(self, session: Session, rows: Sequence[Row]) -> None:
        """Read the phones and users that rows speak of, in place of those of the rows before."""
        self.writes = Writes()
        ids = {row.text("id") for row in rows} - {""}
        targets = await session.phone_targets.of_hardware_ids(sorted({h for row in rows if (h := _spoken_of(row))}))
        found = await session.phones.get_many(sorted(ids | {target.id for target in targets}))
        self._by_id = {phone.id: phone for phone in found}
        self._by_hardware_id = {phone.hardware_id: phone for phone in found if phone.hardware_id}
        self._removed = {phone.id for phone in await session.removed_phones.get_many(sorted(ids - set(self._by_id)))}
        users = {row.text("user") for row in rows} | {phone.user for phone in found}
        self._extensions = await session.users.extensions(sorted(users - {""}))
        self._user_lines = await session.users.lines_of(users - {""})
        self._logged_in = await session.users.logged_in(users - {""})

    def take(self, row: Row) -> RowResult:
        """Check a row and keep what it writes. Never raises for what stands in it."""
        label = row.text("hardware_id") or row.text("id") or row.text("name")
        try:
            return self._taken(row)
        except BadValue as error:
            return RowResult(row.number, "", label[:253], "refused", column_of(error.field), error.reason)

    def _taken(self, row: Row) -> RowResult:
        if row.problem:
            raise row.problem
        before = self._found(row)
        after = phone_of(row, before, self._catalog.settings)
        if before is None:
            made = self._checked(replace(after, id=after.id or uuid.uuid4().hex), None)
            self.writes.new.append(made)
            result = "created"
        else:
            made = after if after == before else self._checked(after, before)
            result = "unchanged" if made == before else "updated"
            if made != before:
                self.writes.changed.append((before, made))
        if result != "unchanged":
            self.warnings.look_at(row, before, made)
        return RowResult(row.number, made.id, made.hardware_id or made.name, result)

    def _found(self, row: Row) -> Phone | None:
        """The phone a row speaks of, by its id, else by its hardware ID. Raises BadValue where the mode does not allow
        it, and where a row before was about the same phone."""
        phone_id, hardware_id = row.text("id"), hardware_id_of(row)
        if phone_id and not _ID.fullmatch(phone_id):
            raise BadValue("id", "is no id of a phone, 32 hexadecimal digits")
        of_hardware_id = self._by_hardware_id.get(hardware_id) if hardware_id else None
        before = self._by_id.get(phone_id, of_hardware_id)
        self._note_line(row, [(hardware_id, "hardware_id"), (before.id if before else phone_id, "id")], hardware_id)
        hidden = before is not None and not self._who.may("phones:view", before.site)
        column, name = ("id", phone_id) if phone_id and not hardware_id else ("hardware_id", hardware_id)
        if self._mode == "update" and (before is None or hidden):
            raise BadValue(column, f"no phone {name}" if name else "an update needs it, or the id of a phone")
        if before is not None and (self._mode == "create" or hidden):
            raise BadValue(column, f"phone {name} exists already")
        if of_hardware_id not in (None, before):
            raise BadValue("hardware_id", f"phone {hardware_id} exists already, and is another one than {phone_id}")
        if before is None and phone_id in self._removed:
            raise BadValue("id", "was removed: bring it back, or leave the id empty")
        return before

    def _note_line(self, row: Row, keys: Sequence[tuple[str, str]], hardware_id: str) -> None:
        for key, column in keys:
            if key in self._lines_of:
                shown = "hardware_id" if hardware_id else column
                raise BadValue(shown, f"{hardware_id or key} is on line {self._lines_of[key]} as well")
        self._lines_of |= {key: row.number for key, _ in keys if key}

    def _checked(self, phone: Phone, before: Phone | None) -> Phone:
        if phone.site:
            self._require(phone, before)
        site = self.sites.get(phone.site)
        if site is None:
            raise BadValue("site", f"no site {phone.site[:64]!r}")
        base = self.bases.get(phone.base_settings)
        if base is None and (phone.base_settings or phone.category == "managed"):
            raise BadValue("base_settings", f"no base settings {phone.base_settings[:64]!r}")
        extension = self._extensions.get(phone.user) if phone.user else ""
        if extension is None:
            raise BadValue("user", f"no user {phone.user[:64]!r}")
        phone, _ = completed(phone, before, extension)
        phone = checked_phone(self._catalog, phone, site, base, self._groups)
        if phone.borrows_from and base:
            self._check_borrowed(phone, site, base)
        if self._opens_windows and before is None and phone.category == "managed":
            require_proof(phone, site, "window")
        return phone

    def _check_borrowed(self, phone: Phone, site: Site, base: BaseSettings) -> None:
        """Who is logged in on a phone without lines of its own is on no other, and their lines suit it."""
        user = phone.borrows_from
        elsewhere = {on.phone_id for on in self._logged_in if on.user == user and not on.is_fixed}
        if {*elsewhere, self._desks.setdefault(user, phone.id)} - {phone.id}:
            raise BadValue("user", f"{user} is logged in on another phone")
        given = given_phone(phone, site.logged_out, self._user_lines.get(user, ()))
        check_given(self._catalog, phone, given, site, base)

    def _require(self, phone: Phone, before: Phone | None) -> None:
        """Who moves a phone needs the permission at both sites."""
        try:
            if before is None:
                self._who.require("phones:add", phone.site)
                require_to_lend(self._who, None, phone)
                if self._opens_windows:
                    self._who.require(LET_IN, phone.site)
            else:
                self._who.require("phones:edit", before.site)
                self._who.require("phones:edit", phone.site)
                if phone.site in self.sites:
                    require_for_phone(self._who, before, phone, self.sites[before.site], self.sites[phone.site])
        except Forbidden as error:
            raise BadValue("site", str(error)) from None


def _spoken_of(row: Row) -> str:
    try:
        return hardware_id_of(row)
    except BadValue:
        return ""
