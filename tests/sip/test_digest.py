"""Logins: 401 and 407, the strongest algorithm known, nonces counted, nothing shown twice or to the wrong realm."""

from __future__ import annotations

import asyncio
import hashlib
import time
from urllib.request import parse_http_list

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import examples
from tests.sip.peer import Heard, UdpPeer, soon
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Credentials, Login, parameters
from ztp_server.sip.message import compose, parse
from ztp_server.sip.user_agent import UserAgent

PHONE = "sip:100@127.0.0.1"
PASSWORD = "p<a\"s&s'%41;#= é"
ALICE = Credentials('al"ice', PASSWORD)
HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def read(value: str) -> dict[str, str]:
    """The parameters of an Authorization header, read by other means than ours: values as they were quoted."""
    assert value.startswith("Digest ")
    pairs = (part.partition("=") for part in parse_http_list(value.removeprefix("Digest ")))
    return {name: text[1:-1] if text.startswith('"') else text for name, _, text in pairs}


def expected(given: dict[str, str], method: str, body: bytes = b"", password: str = PASSWORD) -> str:
    """What the response must be (RFC 7616, section 3.4.1)."""
    algorithm = given.get("algorithm", "MD5")
    name = HASHES[algorithm.removesuffix("-sess")]

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    who = digest(f"{given['username']}:{given['realm']}:{password}")
    if algorithm.endswith("-sess"):
        who = digest(f"{who}:{given['nonce']}:{given['cnonce']}")
    what = f"{method}:{given['uri']}"
    if given.get("qop") == "auth-int":
        what += ":" + hashlib.new(name, body).hexdigest()
    if "qop" not in given:
        return digest(f"{who}:{given['nonce']}:{digest(what)}")
    return digest(f"{who}:{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}:{digest(what)}")


def challenge(realm: str = "a, b", nonce: str = "n1", more: str = ', qop="auth"') -> str:
    return f'Digest realm="{realm}", nonce="{nonce}"{more}'


async def test_the_answer_is_right_for_each_algorithm_and_quality(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    for algorithm in ("", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"):
        for qop in ("", "auth", "auth-int", "auth-int,auth", "future, auth-int"):
            if algorithm.endswith("-sess") and not qop:
                continue
            more = (f", algorithm={algorithm}" if algorithm else "") + (f', qop="{qop}", opaque="o\\"p"' if qop else "")
            asked = asyncio.create_task(
                agent.request(
                    "MESSAGE", PHONE, there, body=b"hi", content_type="text/plain", credentials=[ALICE], sender=PHONE
                )
            )
            first = await peer.next()
            assert "authorization" not in first.headers
            first.reply("401 Unauthorized", f"WWW-Authenticate: {challenge(more=more)}")
            second = await peer.next("MESSAGE")
            found = read(second["Authorization"])
            assert found["response"] == expected(found, "MESSAGE", b"hi")
            assert (found["username"], found["realm"], found["uri"]) == ('al"ice', "a, b", PHONE)
            assert found.get("qop", "") == {"auth-int,auth": "auth", "future, auth-int": "auth-int"}.get(qop, qop)
            assert found.get("opaque") == ('o"p' if qop else None) and found.get("nc") == ("00000001" if qop else None)
            assert found.get("algorithm", "") == algorithm
            assert second["Call-ID"] == first["Call-ID"] and second["From"] == first["From"]
            assert int(second["CSeq"].split()[0]) == int(first["CSeq"].split()[0]) + 1
            assert second["Via"] != first["Via"] and second.body == b"hi"
            second.reply("200 OK")
            assert (await soon(asked)).ok


async def test_of_several_challenges_the_strongest_is_answered_and_none_after_it(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    offers = [
        "Basic realm=x",
        challenge(more=', algorithm=MD5, qop="auth"'),
        challenge(more=', algorithm=UNHEARD-OF, qop="auth"'),
        challenge(more=', algorithm=SHA-256, qop="auth"'),
        challenge(more=', algorithm=SHA-512-256, qop="unheard-of"'),
    ]
    asked = asyncio.create_task(agent.options(PHONE, there, credentials=[ALICE]))
    for tries in range(2):
        heard = await peer.next()
        assert ("authorization" in heard.headers) == bool(tries)
        heard.reply("401 Unauthorized", *(f"WWW-Authenticate: {offer}" for offer in offers))
    assert read(heard["Authorization"])["algorithm"] == "SHA-256"
    response = await soon(asked)
    assert (response.kind, response.code) == ("answered", 401)
    assert peer.heard.empty()


async def test_a_proxy_and_the_phone_behind_it_each_get_their_own_answer(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    logins = [Credentials("proxy", "p1", frozenset({"proxy"})), Credentials("phone", "p2", frozenset({"phone"}))]
    asked = asyncio.create_task(agent.notify(PHONE, there, "check-sync", credentials=logins))
    (await peer.next()).reply("407 Proxy Authentication Required", f"Proxy-Authenticate: {challenge('proxy')}")
    heard = await peer.next()
    assert "authorization" not in heard.headers
    heard.reply("401 Unauthorized", f"WWW-Authenticate: {challenge('phone', 'n2')}")
    heard = await peer.next()
    proxy, phone = read(heard["Proxy-Authorization"]), read(heard["Authorization"])
    # The proxy sees its nonce a second time.
    assert (proxy["username"], proxy["nc"], phone["username"], phone["nc"]) == (
        "proxy",
        "00000002",
        "phone",
        "00000001",
    )
    assert proxy["response"] == expected(proxy, "NOTIFY", password="p1")
    assert phone["response"] == expected(phone, "NOTIFY", password="p2")
    heard.reply("200 OK")
    assert (await soon(asked)).ok


async def test_a_realm_that_was_not_allowed_gets_nothing(agent: UserAgent, peer: UdpPeer, there: Destination) -> None:
    only = [Credentials("alice", PASSWORD, frozenset({"example.org"}))]
    asked = asyncio.create_task(agent.options(PHONE, there, credentials=only))
    (await peer.next()).reply("401 Unauthorized", f"WWW-Authenticate: {challenge('evil.example')}")
    assert (await soon(asked)).code == 401
    assert peer.heard.empty() and PASSWORD not in repr(only)


async def test_an_old_nonce_is_replaced_once_and_endless_challenges_end(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there, credentials=[ALICE]))
    nonces = []
    for number in range(3):
        heard = await peer.next()
        nonces += [read(value)["nonce"] for value in heard.headers.get("authorization", [])]
        heard.reply("401 Unauthorized", f"WWW-Authenticate: {challenge(nonce=f'n{number}', more=', stale=TRUE')}")
    assert (await soon(asked)).code == 401 and nonces == ["n0", "n1"]
    # A new realm each time comes to an end as well.
    asked = asyncio.create_task(agent.options(PHONE, there, credentials=[ALICE]))
    for number in range(6):
        heard = await peer.next()
        heard.reply("401 Unauthorized", f"WWW-Authenticate: {challenge(realm=f'r{number}')}")
    assert (await soon(asked)).code == 401 and peer.heard.empty()


async def test_challenges_that_are_none_get_no_answer(agent: UserAgent, peer: UdpPeer, there: Destination) -> None:
    too_long = (challenge(nonce="n" * 3000), "Digest a=" + " " * 4000)
    unusable = (challenge(more=", algorithm=MD5-sess"), challenge(nonce="\u2028"), "Digest ,,,=,", 'Digest realm="x"')
    for value in ("", "Digest", "Digest realm", 'Digest nonce="x"', 'Digest realm="x", nonce=""', *unusable, *too_long):
        asked = asyncio.create_task(agent.options(PHONE, there, credentials=[ALICE]))
        (await peer.next()).reply("401 Unauthorized", f"WWW-Authenticate: {value}")
        assert (await soon(asked)).code == 401
    asked = asyncio.create_task(agent.options(PHONE, there, credentials=[ALICE]))
    (await peer.next()).reply("401 Unauthorized")
    assert (await soon(asked)).code == 401 and peer.heard.empty()


def test_a_nonce_is_counted_from_request_to_request() -> None:
    login = Login([ALICE])
    heard = Heard("", {name: ["x"] for name in ("via", "from", "to", "call-id")} | {"cseq": ["1 OPTIONS"]}, b"", print)
    raw = heard.answer("401 No", f"WWW-Authenticate: {challenge()}")
    login.begin()
    assert login.headers("OPTIONS", PHONE, b"") == [] and login.learn(parse(raw))
    counts = [read(login.headers("OPTIONS", PHONE, b"")[0][1])["nc"]]
    login.begin()
    counts.append(read(login.headers("OPTIONS", PHONE, b"")[0][1])["nc"])
    # A server may forget its nonces without a word of `stale`.
    assert login.learn(parse(raw)) and not login.learn(parse(raw))
    counts.append(read(login.headers("OPTIONS", PHONE, b"")[0][1])["nc"])
    assert counts == ["00000001", "00000002", "00000001"]
    assert not login.learn(parse(heard.answer("403 Forbidden", f"WWW-Authenticate: {challenge()}")))


@given(st.text(max_size=200))
def test_any_text_is_read_as_parameters_or_not(text: str) -> None:
    assert all(name and name == name.strip() for name in parameters(text))


@given(
    st.lists(
        st.sampled_from(['realm="', '"', ",", "=", " ", "nonce", "qop", "a", "\\", '"auth,auth-int"']), max_size=60
    )
)
def test_what_looks_like_a_challenge_never_makes_a_message_that_cannot_be_sent(parts: list[str]) -> None:
    login = Login([ALICE])
    heard = Heard("", {name: ["x"] for name in ("via", "from", "to", "call-id")} | {"cseq": ["1 OPTIONS"]}, b"", print)
    raw = heard.answer("401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", ' + "".join(parts))
    if login.learn(parse(raw)):
        compose("OPTIONS sip:x SIP/2.0", login.headers("OPTIONS", "sip:x", b""))


@pytest.mark.parametrize("hostile", ["Digest a=" + " " * 2000 + "x", "Digest " + 'a="\\' * 500, "Digest " + "," * 2000])
def test_a_hostile_challenge_costs_no_time(hostile: str) -> None:
    login = Login([ALICE])
    heard = Heard("", {name: ["x"] for name in ("via", "from", "to", "call-id")} | {"cseq": ["1 OPTIONS"]}, b"", print)
    message = parse(heard.answer("401 No", f"WWW-Authenticate: {hostile}"))
    begin = time.process_time()
    assert not login.learn(message)
    # A cubic reader takes seconds for this.
    assert time.process_time() - begin < examples(1, 1)
