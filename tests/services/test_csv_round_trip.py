"""What is exported and imported again changes nothing; and into an empty office, it makes the same phones."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX, examples, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue, Forbidden
from ztp_server.services.opening import Services

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
# Letters, and whatever means something to a table, to a spreadsheet or to a mark of ours.
_TEXT = st.text(
    st.one_of(st.sampled_from(list("'-=+@,;\" \u00a0[]a0é😀&<")), st.characters(exclude_categories=["C", "Zl", "Zp"])),
    min_size=1,
    max_size=12,
)
_MAYBE = st.one_of(st.just(""), _TEXT, st.sampled_from(["-", "'", "'-", "''", "'=1+1", "\u2212", "[]", '["a"]']))
_NAME = _TEXT.filter(str.strip)
_EXTENSION = st.from_regex(r"[1-9][0-9]{2,5}", fullmatch=True)


@st.composite
def _key(draw: Any, lines: int) -> LineKey:
    kind = draw(st.sampled_from(["line", "blf", "speed_dial", "none"] if lines else ["blf", "speed_dial", "none"]))
    if kind == "line":
        return LineKey("line", "", draw(_MAYBE), draw(st.integers(1, lines)))
    return LineKey(kind, draw(_MAYBE if kind == "none" else _TEXT), draw(_MAYBE))


_LINE = st.builds(Line, _TEXT, _MAYBE, _MAYBE, _MAYBE, _MAYBE, st.just(False))
_CONTACTS = st.lists(
    st.tuples(_NAME, _EXTENSION).map(lambda pair: f"{pair[0].strip()}={pair[1]}"), max_size=3, unique=True
)
_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "rtp_dscp": st.integers(0, 63),
        "mwi_enabled": st.booleans(),
        "codecs": st.just(["audio/G722", "audio/PCMA"]),
        "emergency_numbers": st.sampled_from([[], ["112"], ["112", "911"]]),
        "sip_server_secondary": st.sampled_from(["", "sip3.example.net"]),
        "admin_password": _MAYBE,
        "tls_ca": st.sampled_from(["", PEM, f"{PEM}\n{PEM}"]),
        "contacts": _CONTACTS,
        "custom.some.parameter": _MAYBE,
        "custom.some.password": _TEXT,
    },
)


@st.composite
def _managed(draw: Any) -> Phone:
    lines = tuple(draw(st.lists(_LINE, max_size=3)))
    keys = tuple(draw(st.lists(_key(len(lines)), max_size=4)))
    own = draw(_SETTINGS)
    return Phone(
        *(draw(_NAME), "", "vvx-411", "madrid", "vvx-standard"),
        lines=lines,
        line_keys=keys,
        settings=own,
        proofs=draw(st.sampled_from([None, (), ("token",), ("certificate", "network")])),
    )


_UNMANAGED = st.builds(
    lambda name, lines, server: Phone(
        name, "", "", "madrid", "", "unmanaged", tuple(lines), settings={"sip_server": server} if server else {}
    ),
    _NAME,
    st.lists(_LINE, min_size=1, max_size=2),
    st.sampled_from(["", "sip9.example.net"]),
)
_REMOTE = st.builds(
    lambda name, address: Phone(name, "", "", "madrid", "", "remote", remote_address=address),
    _NAME,
    st.sampled_from(["+34600000000", "sip:ana@example.net"]),
)
_WEBRTC = st.builds(lambda name: Phone(name, "", "", "madrid", "", "webrtc", user="ana"), _NAME)


class Offices:
    """An office with whatever phones an example has, and an empty one beside it, kept for all examples."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.first, self.second = (self.run(self._opened(new_data(folder / name))) for name in ("first", "second"))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _opened(self, data: Path) -> Services:
        office = await open_data(data)
        await office.sites.add(ADMIN, "madrid", "", {"sip_server": "sip.example.net"})
        await office.base_settings.add(ADMIN, "vvx-standard", "", "vvx-411", {})
        await office.users.add(ADMIN, "ana", "Ana", extension="1001")
        return office

    async def empty(self) -> None:
        for office in (self.first, self.second):
            async with office.store.write() as session:
                await session.phones.remove(await session.phones.all())

    async def fill(self, phones: list[Phone]) -> None:
        """Adds the phones that their category and model take; the others are no phones."""
        for number, phone in enumerate(phones):
            named = phone.category in ("managed", "unmanaged")
            try:
                await self.first.phones.add(ADMIN, replace(phone, hardware_id=f"0004f2{number:06x}" if named else ""))
            except BadValue:
                continue

    def close(self) -> None:
        for office in (self.first, self.second):
            self.run(office.close())
        self.loop.close()


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offices]:
    opened = Offices(tmp_path_factory.mktemp("offices"))
    yield opened
    opened.close()


async def exported(office: Services, filters: Mapping[str, str] | None = None, **how: Any) -> bytes:
    found = await office.phone_export.export(how.pop("who", ADMIN), filters or {}, **how)
    return b"".join([piece async for piece in found.pieces])


def read(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode(), newline="")))


REVEALED = {"reveal": True, "reason": "a test"}


async def every(office: Services) -> list[Phone]:
    return await office.phones.all(ADMIN)


@given(st.lists(st.one_of(_managed(), _UNMANAGED, _REMOTE, _WEBRTC), max_size=5))
@settings(max_examples=examples(25, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_export_and_import_again_changes_nothing(offices: Offices, phones: list[Phone]) -> None:
    async def check() -> None:
        await offices.empty()
        await offices.fill(phones)
        before = await every(offices.first)
        for how in (REVEALED, {}):
            table = await exported(offices.first, **how)
            report = await offices.first.phone_import.run(ADMIN, [table], "upsert")
            assert (report.unchanged, report.created, report.updated) == (len(before), 0, 0), report.rows
            assert await every(offices.first) == before

        await offices.second.phone_import.run(ADMIN, [await exported(offices.first, **REVEALED)], "create")
        copies = await every(offices.second)
        assert [replace(copy, revision=0) for copy in copies] == [replace(phone, revision=0) for phone in before]

    offices.run(check())


async def test_the_columns_are_those_of_the_widest_phone(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"rtp_dscp": "40", "custom.a.b": "x"})
    header = (await exported(office)).decode().split("\r\n")[0].split(",")
    assert header[:9] == ["id", "name", "category", "hardware_id", "model", "site", "base_settings", "user", "proofs"]
    assert header[9:15] == [f"line1_{n}" for n in ("user", "auth_user", "password", "display_name", "label", "shared")]
    assert [name for name in header if name.startswith("line") and name.endswith("user")][-1] == "line2_auth_user"
    assert header[-4:] == ["key4_label", "remote_address", "settings.custom.a.b", "settings.rtp_dscp"]


async def test_secrets_are_empty_unless_they_are_revealed_which_is_audited_once(office: Services) -> None:
    await office.phones.edit(ADMIN, VVX, {}, {"admin_password": "hunter2", "custom.x.password": "hunter3"})
    table = await exported(office)
    assert b"hunter" not in table and b"second" not in table
    assert "settings.admin_password" in read(table)[0]

    (row,) = read(await exported(office, {"hardware_id": VVX}, **REVEALED))
    assert (row["settings.admin_password"], row["line2_password"]) == ("hunter2", "second")
    async with office.store.read() as session:
        newest, before = await session.audit.page(below=None, limit=2)
    assert (newest.action, newest.reason) == ("phones.revealed", "a test")
    assert newest.after == {"count": 1, "filter": {"hardware_id": VVX}}
    assert before.action != "phones.revealed"


async def test_revealing_takes_a_reason_and_the_permission_at_every_site(office: Services) -> None:
    with pytest.raises(BadValue, match="reason"):
        await exported(office, reveal=True)
    await office.sites.add(ADMIN, "paris", "", {})
    await office.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    viewer, at_madrid = Grant(ROLES["viewer"]), Grant(frozenset({"phones:reveal"}), "madrid")
    with pytest.raises(Forbidden):
        await exported(office, who=Actor("x", (viewer,)), **REVEALED)
    who = Actor("x", (viewer, at_madrid))
    with pytest.raises(Forbidden, match="at site paris"):
        await exported(office, who=who, **REVEALED)
    assert HOSTILE_PASSWORD in [
        row["line1_password"] for row in read(await exported(office, {"site": "madrid"}, who=who, **REVEALED))
    ]


async def test_only_phones_that_one_may_see_are_exported_by_name(office: Services) -> None:
    await office.sites.add(ADMIN, "paris", "", {})
    await office.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    at_paris = Actor("x", (Grant(ROLES["viewer"], "paris"),))
    assert [row["hardware_id"] for row in read(await exported(office, who=at_paris))] == [OTHER_VVX]
    assert [row["name"] for row in read(await exported(office))] == ["Lobby", HOSTILE_NAME, HOSTILE_NAME]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "'"])
async def test_no_cell_begins_with_what_a_spreadsheet_would_run(office: Services, first: str) -> None:
    name = f"{first}HYPERLINK(1)"
    await office.phones.edit(ADMIN, VVX, {"name": name}, {"custom.a.b": name})
    (row,) = read(await exported(office, {"hardware_id": VVX}))
    assert row["name"] == row["settings.custom.a.b"] == f"'{name}"
    assert not [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


async def test_an_empty_office_exports_the_header_alone(services: Services) -> None:
    assert read(await exported(services)) == []


async def test_more_columns_than_an_import_takes_are_refused(office: Services) -> None:
    own = {f"custom.a{n}.b": "x" for n in range(1024)}
    async with office.store.write() as session:
        await session.phones.add([sample_phone("0004f2000001", settings=own)])
    with pytest.raises(BadValue, match="choose fewer phones"):
        await exported(office)


async def test_a_setting_that_no_folder_declares_any_more_comes_through(office: Services) -> None:
    async with office.store.write() as session:
        await session.phones.add([sample_phone("0004f2000001", settings={"acme.gone": "x"})])
    report = await office.phone_import.run(ADMIN, [await exported(office, **REVEALED)], "upsert")
    assert report.unchanged == 4


async def test_a_long_directory_comes_through(services: Services) -> None:
    await fill(services)
    contacts = [f'Surname {n}, "Name"={n}' for n in range(500)]
    await services.phones.edit(ADMIN, VVX, {}, {"contacts": contacts})
    table = await exported(services)
    await services.phones.edit(ADMIN, VVX, {}, {"contacts": None})
    assert (await services.phone_import.run(ADMIN, [table], "update")).updated == 1
    assert (await services.phones.get(ADMIN, VVX)).settings["contacts"] == contacts
