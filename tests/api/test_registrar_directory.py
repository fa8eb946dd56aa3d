"""/registrars/freeswitch/directory: what mod_xml_curl asks, and what it is answered."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

from lxml import etree

from tests.api.conftest import Answered, Rest
from tests.conftest import ADMIN, HOSTILE_PASSWORD, VVX, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant, granted
from ztp_server.domain.phone import Line, Phone

PATH = "/registrars/freeswitch/directory"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# What it sends for a REGISTER besides, by its documentation.
EVENT = {
    "hostname": "pbx", "section": "directory", "tag_name": "domain", "key_name": "name", "key_value": "sip.example.net",
    "Event-Name": "REQUEST_PARAMS", "action": "sip_auth", "sip_profile": "internal", "key": "id",
}  # fmt: skip


async def ask(rest: Rest, user: str = "", domain: str = "sip.example.net", **more: Any) -> Answered:
    fields = {**EVENT, **({"user": user} if user else {}), "domain": domain, **more.pop("fields", {})}
    headers = {**FORM, **more.pop("headers", {})}
    return await rest.post(PATH, data=urlencode(fields), headers=headers, **more)


def users(answer: Answered) -> dict[str, dict[str, str]]:
    """The users of a directory by their id, with their attributes, parameters and variables."""
    assert answer.status == 200, answer.body
    document: Any = etree.fromstring(answer.body)
    assert document.tag == "document" and document.get("type") == "freeswitch/xml"
    if document.find("section").get("name") == "result":
        assert document.find("section/result").get("status") == "not found"
        return {}
    (domain,) = document.findall("section[@name='directory']/domain")
    assert domain.get("name") == "sip.example.net"
    found = {}
    for user in domain.findall("groups/group/users/user"):
        rows = user.findall("params/param") + user.findall("variables/variable")
        found[user.get("id")] = {**user.attrib, **{row.get("name"): row.get("value") for row in rows}}
    return found


def a1(user: str, password: str) -> str:
    return hashlib.md5(f"{user}:sip.example.net:{password}".encode(), usedforsecurity=False).hexdigest()


async def test_one_account_is_given_by_its_authentication_user_or_its_number(rest: Rest) -> None:
    await rest.services.users.add(ADMIN, "eva", "Eva", "3001", lines=[Line("3001", password="hot & desk")])
    await rest.services.phones.add(ADMIN, sample_phone("0004f2777777", lines=(), line_keys=(), user="eva"))
    # As FreeSWITCH looks for it: by its id, and by number-alias.
    for asked in ("auth1001", "1001"):
        (found,) = users(await ask(rest, asked)).values()
        assert (found["id"], found["number-alias"], found["a1-hash"]) == (
            *("auth1001", "1001"),
            a1("auth1001", HOSTILE_PASSWORD),
        )
    answer = await ask(rest, "1002", domain="SIP.Example.NET")
    assert users(answer)["1002"]["a1-hash"] == a1("1002", "second") and b">second<" not in answer.body
    assert users(await ask(rest, "3001"))["3001"]["a1-hash"] == a1("3001", "hot & desk")
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"


async def test_what_is_not_there_or_not_clear_is_not_found_in_its_own_words(rest: Rest) -> None:
    twice = sample_phone("0004f2777777", lines=(Line("1002", password="another"), Line("1008")), line_keys=())
    await rest.services.phones.add(ADMIN, twice)
    desk = Phone("Desk", "", "", "madrid", "", category="unmanaged", lines=(Line("${x}", "ok", "p"),))
    await rest.services.phones.add(ADMIN, desk)
    hostile = ("nobody", "1002", "1008", "${x}", "' OR 1=1 --", "<user>&", "é😀", "x" * 9000, "%", "_")
    for user in hostile:
        assert users(await ask(rest, user)) == {}, user
    assert users(await ask(rest, "1001", domain="elsewhere.example.net")) == {}
    assert users(await ask(rest, "1001", fields={"section": "dialplan"})) == {}
    assert users(await ask(rest)) == {}  # purpose=gateways and network-list name no user
    await rest.services.phone_proofs.block(ADMIN, VVX)
    assert users(await ask(rest, "1001")) == {}


async def test_lines_that_many_phones_share_are_one_account_and_so_is_the_one_of_nobody(rest: Rest) -> None:
    shared = Line("5000", password="all", shared=True)
    for mac in ("0004f2777771", "0004f2777772"):
        await rest.services.phones.add(ADMIN, sample_phone(mac, lines=(shared,), line_keys=()))
    assert list(users(await ask(rest, "5000"))) == ["5000"]
    profile = {"line": {"user": "9000", "password": "for all"}}
    assert (await rest.patch("/sites/madrid", {"logged_out": profile})).status == 200
    assert users(await ask(rest, "9000"))["9000"]["a1-hash"] == a1("9000", "for all")


async def test_the_token_may_be_the_password_of_basic_here_and_nowhere_else(rest: Rest) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    assert users(await ask(rest, "1001", token=None, headers=basic("freeswitch:admin-token")))
    assert (await rest.get("/phones", token=None, headers=basic("freeswitch:admin-token"))).status == 401
    wrong = [
        basic("freeswitch:none"),
        basic("admin-token"),
        {"Authorization": "Basic !"},
        {"Authorization": "Basic YQ==="},
    ]
    for header in [*wrong, {}]:
        assert (await ask(rest, "1001", token=None, headers=header)).status == 401, header


async def test_only_who_may_reveal_is_told_and_of_their_sites_alone(rest: Rest) -> None:
    assert (await ask(rest, "1001", token="viewer-token")).status == 403
    assert (await ask(rest, "1001", token="madrid-token")).status == 403  # an editor
    rest.tokens.actors["here"] = Actor("token:here", granted(ROLES["admin"], "madrid"))
    rest.tokens.actors["there"] = Actor("token:there", granted(ROLES["admin"], "oslo"))
    assert users(await ask(rest, "1001", token="here")) and users(await ask(rest, "1001", token="there")) == {}


async def test_a_body_that_is_no_form_is_refused(rest: Rest) -> None:
    async def sent(data: bytes, media: str = FORM["Content-Type"]) -> int:
        return (await rest.post(PATH, data=data, headers={"Content-Type": media})).status

    assert await sent(b"user=%ff%fe&domain=x") == 422 and await sent(b"\xff") == 422
    assert await sent(b"&".join([b"a=1"] * 2000)) == 422 and await sent(b"a=" + b"x" * 70_000) == 413
    assert await sent(b"{}", "application/json") == 415 and await sent(b"") == 200
    assert await sent(b"user=a%00b&domain=sip.example.net") == 200


async def test_a_day_of_answers_is_two_records_however_many_there_are(rest: Rest) -> None:
    rest.tokens.actors["pbx"] = Actor("token:pbx", (Grant(ROLES["admin"]),), "192.0.2.9", "pbx")
    await ask(rest, "nobody", token="pbx")
    for _ in range(30):  # more than may be revealed by hand in an hour
        assert users(await ask(rest, "1001", token="pbx"))

    async def records() -> list[tuple[str, Any]]:
        async with rest.services.store.read() as session:
            found = await session.audit.page(below=None, limit=9, actor="token:pbx")
        return [(record.action, record.after) for record in found]

    ((action, after),) = await records()
    assert action == "directory.revealed" and list(after) == ["day"]
    await rest.services.registrar_directory.reveals.close()
    (counted, _) = await records()
    assert counted == ("directory.counted", {**after, "answers": 30})

    # A server that starts again the same day begins no second record.
    assert users(await ask(rest, "1001", token="pbx")) and len(await records()) == 2
