"""Accounts for a registrar: every value comes back as it was, or phone and field are named."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.conftest import ADMIN, HOSTILE_PASSWORD, VVX, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.domain.access import Actor, granted
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue, Forbidden, NotFound

QUOTES = 'O\'Brien; -- "x"'
SUBSCRIBER = "CREATE TABLE subscriber (username, domain, password, ha1, ha1b, UNIQUE (username, domain));"
ALIASES = "CREATE TABLE dbaliases (alias_username, alias_domain, username, domain);"


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Any]:
    """The common phones, one of each other category, and one that is blocked."""
    services = await open_data(new_data(tmp_path / "data"))
    await fill(services)
    await services.users.add(ADMIN, "eva", "Eva", "4001")
    for phone in (
        _other("Desk", "unmanaged", lines=(Line("7", "auth'7", QUOTES, QUOTES),)),
        _other("Home", "remote", user="eva", remote_address="+34600000000"),
        _other("Hut", "remote", remote_address="sip:hut@mountain.example.org:5070"),
        sample_phone("0004f2777777", lines=(Line("1009", password="p"),), line_keys=()),
    ):
        await services.phones.add(ADMIN, phone)
    await services.phone_proofs.block(ADMIN, "0004f2777777")
    yield services
    await services.close()


def _other(name: str, category: str, **fields: Any) -> Phone:
    return Phone(name, "", "", "madrid", "", category=category, **fields)


async def _export(services: Any, name: str, filters: Any = None, **options: Any) -> str:
    found = await services.registrar_export.export(ADMIN, name, filters or {}, **{"reason": "new platform", **options})
    return b"".join([piece async for piece in found.pieces]).decode()


def _rows(sql: str, schema: str, table: str) -> list[Any]:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(schema + sql)
    return database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _ini(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Sections by name and type, read as Asterisk's reader does: `;` begins a comment unless a backslash is before."""
    sections: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        kept, rest = "", line
        while ";" in rest:
            before, _, rest = rest.partition(";")
            if not before.endswith("\\"):
                kept, rest = kept + before, ""
                break
            kept += before[:-1] + ";"
        kept = (kept + rest).strip()
        if kept.startswith("["):
            sections.append((kept[1:].partition("]")[0], {}))
        elif kept:
            name, _, value = kept.partition("=")
            sections[-1][1][name.strip()] = value.strip()
    return {(name, values.get("type", "endpoint")): values for name, values in sections}


async def test_every_line_is_a_row_of_subscriber_and_its_hash_is_that_of_the_password(services: Any) -> None:
    rows = _rows(await _export(services, "kamailio"), SUBSCRIBER, "subscriber")

    domain = "sip.example.net"
    accounts = {
        "1002": "second",
        "1005": "p5",
        "2001": HOSTILE_PASSWORD,
        "auth'7": QUOTES,
        "auth1001": HOSTILE_PASSWORD,
    }
    assert rows == [
        (user, domain, "", _md5(f"{user}:{domain}:{secret}"), _md5(f"{user}@{domain}:{domain}:{secret}"))
        for user, secret in sorted(accounts.items())
    ]


async def test_passwords_come_back_from_every_format(services: Any) -> None:
    sql = _rows(await _export(services, "kamailio", passwords="plain"), SUBSCRIBER, "subscriber")
    ini = _ini(await _export(services, "asterisk", passwords="plain"))
    xml = etree.fromstring((await _export(services, "freeswitch", passwords="plain")).encode())

    assert {row[0]: row[2] for row in sql}["auth'7"] == QUOTES
    assert ini["7-auth", "auth"] | {} == {
        "type": "auth",
        "auth_type": "userpass",
        "username": "auth'7",
        "password": QUOTES,
        "realm": "sip.example.net",
    }
    assert ini["2001-auth", "auth"]["password"] == HOSTILE_PASSWORD
    assert ini["1001", "endpoint"]["callerid"] == '"Sales & Co <\\"1\'> é😀" <1001>'
    (user,) = xml.xpath("//user[@id=$id]", id="auth'7")
    assert user.get("number-alias") == "7" and user.xpath("params/param[@name='password']/@value") == [QUOTES]
    assert user.xpath("variables/variable[@name='effective_caller_id_name']/@value") == [QUOTES]


async def test_hashes_stand_for_passwords_unless_those_are_asked_for(services: Any) -> None:
    for name in ("kamailio", "asterisk", "freeswitch"):
        text = await _export(services, name)
        assert "second" not in text and HOSTILE_PASSWORD not in text
        assert _md5("1002:sip.example.net:second") in text


async def test_remote_phones_are_forwarding_targets(services: Any) -> None:
    hut = next(phone for phone in await services.phones.all(ADMIN) if phone.name == "Hut")
    rows = _rows(await _export(services, "kamailio-aliases", reason=""), ALIASES, "dbaliases")
    ini = _ini(await _export(services, "asterisk"))

    assert sorted(rows) == sorted(
        [
            ("4001", "sip.example.net", "+34600000000", "sip.example.net;user=phone"),
            (hut.id, "sip.example.net", "hut", "mountain.example.org:5070"),
        ]
    )
    assert ini["remote-4001", "aor"]["contact"] == "sip:+34600000000@sip.example.net;user=phone"
    assert ini[f"remote-{hut.id}", "aor"]["contact"] == "sip:hut@mountain.example.org:5070"


async def test_a_remote_address_is_no_second_destination_of_a_dial_string(services: Any) -> None:
    harmless = await services.phones.add(ADMIN, _other("One, two", "remote", remote_address="sip:a%2Cb@x.example.org"))
    assert "sofia/external/sip:a%2Cb@x.example.org" in await _export(services, "freeswitch")
    await services.phones.edit(ADMIN, harmless.phone.id, {"remote_address": "sip:a,loopback/9999@x.example.org"}, {})
    with pytest.raises(BadValue, match="remote_address: FreeSWITCH takes no comma"):
        await _export(services, "freeswitch")
    assert "a,loopback/9999" in await _export(services, "asterisk")


async def test_a_part_of_the_phones_replaces_its_own_rows_alone(services: Any) -> None:
    both = (
        SUBSCRIBER
        + "INSERT INTO subscriber VALUES ('other', 'd', '', '', ''), ('1005', 'sip.example.net', 'old', '', '');"
    )
    part = _rows(await _export(services, "kamailio", {"line": "1005"}), both, "subscriber")
    whole = _rows(await _export(services, "kamailio"), both, "subscriber")

    assert [row[:3] for row in part] == [("1005", "sip.example.net", ""), ("other", "d", "")]
    assert "other" not in {row[0] for row in whole} and len(whole) == 5


async def test_two_phones_with_one_user_are_both_named(services: Any) -> None:
    await services.phones.add(ADMIN, _other("Twin", "unmanaged", lines=(Line("1005", password="x"),)))
    with pytest.raises(
        BadValue, match=r"Twin: lines\.1\.user: 1005 at sip\.example\.net is line 1 of phone 0004f2aabbcd"
    ):
        await _export(services, "kamailio")


async def test_a_shared_line_is_one_account_while_all_its_phones_have_the_same(services: Any) -> None:
    line = Line("5000", password="same", shared=True)
    for name in ("One", "Two"):
        await services.phones.add(ADMIN, _other(name, "unmanaged", lines=(line,)))
    assert (await _export(services, "kamailio")).count("'5000'") == 1
    await services.phones.add(ADMIN, _other("Three", "unmanaged", lines=(replace(line, password="else"),)))
    with pytest.raises(BadValue, match=r"Three: lines\.1\.user|Two: lines\.1\.user"):
        await _export(services, "kamailio")


@pytest.mark.parametrize(
    ("name", "line", "field", "options"),
    [
        ("kamailio", Line("9\\9", password="x"), "lines.1.user", {}),
        ("kamailio", Line("9", password="back\\slash"), "lines.1.password", {"passwords": "plain"}),
        ("kamailio", Line("9", "u" * 65, "x"), "lines.1.auth_user", {}),
        ("kamailio", Line("9", "a:b", "x"), "lines.1.auth_user", {}),
        ("kamailio", Line("9"), "lines.1.password", {}),
        ("asterisk", Line("9", password=" x"), "lines.1.password", {"passwords": "plain"}),
        ("asterisk", Line("[9]", password="x"), "lines.1.user", {}),
        ("freeswitch", Line("9", password="${x}"), "lines.1.password", {"passwords": "plain"}),
    ],
)
async def test_what_a_format_cannot_hold_is_refused_naming_phone_and_field(
    services: Any, name: str, line: Line, field: str, options: Any
) -> None:
    odd = _other("Odd one", "unmanaged", lines=(line,))
    if not line.password:  # one is made for those, so that only a managed phone has none
        odd = sample_phone("0004f2777778", name="Odd one", lines=(line,), line_keys=())
    await services.phones.add(ADMIN, odd)
    with pytest.raises(BadValue, match=f"Odd one: {field}") as refused:
        await _export(services, name, **options)
    assert line.password not in str(refused.value) or line.password in ("", "x")


async def test_an_export_takes_a_permission_and_a_reason_and_leaves_one_record(services: Any) -> None:
    with pytest.raises(BadValue, match="reason"):
        await _export(services, "kamailio", reason="")
    with pytest.raises(NotFound, match="did you mean kamailio"):
        await _export(services, "kamalio")
    looker = Actor("looker", granted(frozenset({"phones:view"})))
    with pytest.raises(Forbidden):
        await services.registrar_export.export(looker, "kamailio", {}, reason="why")

    before, _ = await services.audit.page(ADMIN)
    text = await _export(services, "kamailio", {"hardware_id": VVX})
    (newest, *older), _ = await services.audit.page(ADMIN)
    assert older == list(before) and text.count("INSERT") == 2
    assert (newest.action, newest.reason) == ("accounts.revealed", "new platform")
    assert HOSTILE_PASSWORD not in repr(newest)
