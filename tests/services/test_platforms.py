"""SIP platforms: what each field may hold, who is shown a password, and that it stays sealed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN
from ztp_server.domain.platform import MOST_PLATFORMS, Platform
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import BadValue, Conflict, NotFound, Stale
from ztp_server.pki.authority import make_device_authority
from ztp_server.services.opening import Services

PASSWORD, DOOR = 's3cret "&😀', "d00r's"
FIELDS = {
    "domains": ["SIP.Example.NET.", "192.0.2.7", "[2001:DB8::7]"],
    "address": "udp:192.168.1.5",
    "user": "ztp & co",
    "password": PASSWORD,
    "source": "asterisk_ami",
    "source_address": "tcp:[::1]",
    "source_user": "ztp",
    "source_password": DOOR,
}


def new_ca(folder: Path) -> str:
    make_device_authority(folder, "ca")
    return next(folder.glob("*.pem")).read_text()


async def refused(services: Services, changes: dict[str, Any], **edit: Any) -> str:
    """The field that is named; nothing is changed."""
    before = await services.platforms.page(ADMIN)
    with pytest.raises(BadValue) as error:
        if edit:
            await services.platforms.edit(ADMIN, edit["id"], None, changes)
        else:
            await services.platforms.add(ADMIN, "new", "", {"domains": ["new.example.net"], **changes})
    assert await services.platforms.page(ADMIN) == before
    assert "s3cret" not in str(error.value)
    return error.value.field


async def test_a_platform_is_kept_in_one_spelling_and_tells_no_password(services: Services, data: Path) -> None:
    kept = await services.platforms.add(ADMIN, "pbx", "Head & office", FIELDS)
    assert kept == Platform(
        "pbx",
        "Head & office",
        ("sip.example.net", "192.0.2.7", "2001:db8::7"),
        "udp:192.168.1.5:5060",
        "ztp & co",
        PASSWORD,
        source="asterisk_ami",
        source_address="tcp:[::1]:5038",
        source_user="ztp",
        source_password=DOOR,
        revision=1,
    )
    assert await services.platforms.get(ADMIN, "pbx") == kept and "s3cret" not in repr(kept)
    assert kept.serves("Sip.Example.net") and not kept.serves("") and not kept.serves("example.net")
    async with services.store.read() as session:
        (record,) = await session.audit.page(below=None, limit=9, action="platform.added")
    assert PASSWORD not in str(record) and record.after["password"].startswith("digest:")
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        assert "s3cret" not in str(database.execute("SELECT * FROM platforms").fetchall())


async def test_each_field_that_cannot_be_is_named(services: Services) -> None:
    await services.platforms.add(ADMIN, "pbx", "", FIELDS)
    for changes, field in (
        ({"domains": []}, "domains"),
        ({"domains": None}, "domains"),
        ({"domains": ["new.example.net", "a b"]}, "domains.2"),
        ({"domains": ["new.example.net", "SIP.example.net"]}, "domains.2"),  # of the other
        ({"domains": [f"{n}.example.net" for n in range(101)]}, "domains"),
        ({"address": "192.0.2.5:5060"}, "address"),
        ({"address": "sctp:192.0.2.5"}, "address"),
        ({"address": "udp:192.0.2.5:0"}, "address"),
        ({"address": "udp:192.0.2.5:65536"}, "address"),
        ({"address": "udp:user:s3cret@pbx"}, "address"),
        ({"address": "udp:2001:db8::1"}, "address"),
        ({"address": "tls:169.254.169.254"}, "address"),  # what a cloud tells a machine of itself
        ({"address": "udp:[::ffff:169.254.169.254]:5060"}, "address"),
        ({"address": "udp:pbx\r\nX: y"}, "address"),
        ({"address": 7}, "address"),
        ({"password": "s3cret"}, "user"),
        ({"user": "a\nb"}, "user"),
        ({"user": "x" * 129}, "user"),
        ({"ca": "no certificate"}, "ca"),
        ({"ca": "-----BEGIN PRIVATE KEY-----\ns3cret"}, "ca"),
        ({"direct": "perhaps"}, "direct"),
        ({"source": "carrier_pigeon"}, "source"),
        ({"source": "reg_event"}, "address"),
        ({"source_address": "tcp:192.0.2.5:1"}, "source_address"),
        ({"source_user": "x"}, "source_user"),
        ({"source": "freeswitch_esl"}, "source_address"),
        ({"source": "freeswitch_esl", "source_address": "udp:192.0.2.5:1"}, "source_address"),
        ({"source": "freeswitch_esl", "source_address": "tcp:192.0.2.5"}, "source_password"),
        ({"source": "asterisk_ami", "source_address": "tcp:192.0.2.5"}, "source_user"),
        ({"source": "kamailio_rpc"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "http://u:s3cret@192.0.2.5/"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "http://192.0.2.5:99999/"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "file:///etc/passwd"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "http://[fd00:ec2::254]/"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "http://[::1/"}, "source_address"),
        ({"source": "kamailio_rpc", "source_address": "http://a/", "source_password": "s3cret"}, "source_user"),
        ({"colour": "red"}, "colour"),
    ):
        assert await refused(services, changes) == field, changes


async def test_a_password_is_not_shown_at_another_address_than_it_was_given_for(
    services: Services, tmp_path: Path
) -> None:
    ca = new_ca(tmp_path)
    await services.platforms.add(ADMIN, "pbx", "", FIELDS)
    for changes, field in (
        ({"address": "udp:198.51.100.66"}, "password"),
        ({"address": "tcp:192.168.1.5"}, "password"),
        ({"source_address": "tcp:198.51.100.66"}, "source_password"),
        ({"source": "freeswitch_esl"}, "source_password"),
        ({"ca": ca}, "password"),
    ):
        assert await refused(services, changes, id="pbx") == field, changes
    given = {"address": "udp:198.51.100.66", "ca": ca, "password": "new", "source_password": "new"}
    moved = await services.platforms.edit(ADMIN, "pbx", None, given)
    assert (moved.address, moved.password, moved.ca, moved.revision) == ("udp:198.51.100.66:5060", "new", ca, 2)
    # Who is told where to send is not who is shown a password.
    assert (await services.platforms.edit(ADMIN, "pbx", "New", {"direct": True, "domains": "a,b"})).revision == 3


async def test_an_edit_changes_what_is_said_and_only_what_was_read(services: Services) -> None:
    await services.platforms.add(ADMIN, "pbx", "", FIELDS)
    assert (await services.platforms.edit(ADMIN, "pbx", None, {"user": "ztp & co"})).revision == 1
    with pytest.raises(Stale):
        await services.platforms.edit(ADMIN, "pbx", "New", {}, revision=7)
    emptied = dict.fromkeys(("address", "user", "password", "source", "source_address", "source_user"), None)
    bare = await services.platforms.edit(ADMIN, "pbx", None, {**emptied, "source_password": None})
    assert bare == Platform("pbx", "pbx", ("sip.example.net", "192.0.2.7", "2001:db8::7"), revision=2)
    with pytest.raises(Stale):
        await services.platforms.remove(ADMIN, "pbx", revision=1)
    await services.platforms.remove(ADMIN, "pbx", reason="gone")
    with pytest.raises(NotFound):
        await services.platforms.get(ADMIN, "pbx")
    async with services.store.read() as session:
        found = await session.audit.page(below=None, limit=9, subject="platform:pbx")
    assert [(row.action, row.reason) for row in found] == [
        ("platform.removed", "gone"),
        ("platform.changed", ""),
        ("platform.added", ""),
    ]


async def test_there_are_no_more_than_can_be_asked(services: Services) -> None:
    async with services.store.write() as session:
        for number in range(MOST_PLATFORMS):
            await session.platforms.add(Platform(f"p{number:03}", "", (f"{number}.example.net",)))
    with pytest.raises(Conflict):
        await services.platforms.add(ADMIN, "more", "", {"domains": ["more.example.net"]})
    with pytest.raises(Conflict):
        await services.platforms.add(ADMIN, "p000", "", {"domains": ["more.example.net"]})
    page, more = await services.platforms.page(ADMIN, "p097", 1)
    assert [one.id for one in page] == ["p098"] and more


async def test_a_password_that_does_not_open_is_shown_to_nobody_and_can_be_set_anew(
    services: Services, data: Path
) -> None:
    await services.platforms.add(ADMIN, "pbx", "", FIELDS)
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        (sealed,) = database.execute("SELECT password FROM platforms").fetchone()
        database.execute("UPDATE platforms SET password = ?", (sealed[:-6] + "AAAAA=",))
        database.commit()
    damaged = await services.platforms.get(ADMIN, "pbx")
    assert is_unreadable(damaged.password) and services.platform_agents.credentials(damaged) == ()
    assert await refused(services, {"direct": True}, id="pbx") == "password"
    assert (await services.platforms.edit(ADMIN, "pbx", None, {"password": "new"})).password == "new"


async def test_each_platform_has_a_user_agent_of_its_own_as_long_as_its_ca_is_the_same(
    services: Services, tmp_path: Path
) -> None:
    ca = new_ca(tmp_path)
    agents = services.platform_agents
    pbx = await services.platforms.add(ADMIN, "pbx", "", FIELDS)
    other = await services.platforms.add(ADMIN, "other", "", {"domains": ["other"], "ca": ca})
    first = agents.agent(pbx)
    assert agents.agent(pbx) is first is not agents.agent(other)
    assert (str(agents.destination(pbx)), agents.credentials(pbx)[0].user) == ("udp:192.168.1.5:5060", "ztp & co")
    given = {"address": "tls:pbx.example.net", "ca": ca, "password": "new", "source_password": "new"}
    moved = await services.platforms.edit(ADMIN, "pbx", None, given)
    assert agents.agent(moved) is not first and str(agents.destination(moved)) == "tls:pbx.example.net:5061"
    with pytest.raises(BadValue):
        agents.destination(other)
