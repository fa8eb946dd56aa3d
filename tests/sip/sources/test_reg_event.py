"""A subscription for each line: what is told, what is refused, and a registrar that forgets or falls silent. The
registrar is scripted; a real one is in test_real_kamailio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.sip.conftest import LOOPBACK
from tests.sip.peer import Heard, UdpPeer, until
from tests.sip.sources.scripted import report, silent, told, untold
from ztp_server.sip.clock import Intervals
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Credentials
from ztp_server.sip.sources import reg_event, reg_line
from ztp_server.sip.sources.reg_event import RegEvent
from ztp_server.sip.sources.source import Place, Told, Untold
from ztp_server.sip.user_agent import UserAgent

CONTACT = (
    '<contact id="{id}" state="{state}" event="registered" expires="600">'
    "<uri>sip:{id}@192.0.2.7;transport=tcp</uri>"
    '<unknown-param name="user-agent">Acme/1</unknown-param></contact>'
)


def document(*contacts: str, aor: str = "sip:100@example.org", state: str = "full", version: int = 0) -> str:
    return (
        f'<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="{state}">'
        f'<registration aor="{aor}" id="r" state="active">{"".join(contacts)}</registration></reginfo>'
    )


def contact(name: str, state: str = "active") -> str:
    return CONTACT.format(id=name, state=state)


class Registrar:
    """Answers SUBSCRIBE and OPTIONS as `answers` says for each user, until it is told to say nothing."""

    def __init__(self, peer: UdpPeer) -> None:
        self.peer = peer
        self.bodies: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.dialogs: dict[str, Heard] = {}
        self.numbers: dict[str, int] = {}
        self.asked: list[str] = []
        self.most_at_once = 0
        self.is_silent = self.knows_nobody = False
        self.task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            heard = await self.peer.heard.get()
            if self.is_silent or heard.first.startswith("SIP/2.0"):
                continue
            if heard.method == "OPTIONS":
                heard.reply("200 OK")
            elif heard.method == "SUBSCRIBE":
                self._subscribe(heard)

    def _subscribe(self, heard: Heard) -> None:
        user, call = heard["To"].partition(":")[2].partition("@")[0], heard["Call-ID"]
        self.asked.append(user)
        is_known = "tag=" in heard["To"]
        if user in self.refusals:
            heard.reply(self.refusals[user])
        elif is_known and (self.knows_nobody or call not in self.dialogs):
            heard.reply("481 Gone")
        else:
            heard.reply("200 OK", f"Expires: {heard['Expires']}", "Contact: <sip:registrar@pbx1:5060>")
            self.dialogs[call] = heard
            self.tell(call)

    def tell(self, call: str) -> None:
        """What is known of a line."""
        heard = self.dialogs[call]
        user = heard["To"].partition(":")[2].partition("@")[0]
        self.numbers[call] = self.numbers.get(call, 0) + 1
        body = self.bodies.get(user, "")
        lines = [
            f"NOTIFY {heard['Contact'].strip('<>')} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{call}{self.numbers[call]};rport",
            f"From: {heard['To'].partition(';')[0]};tag=peer",
            f"To: {heard['From']}",
            f"Call-ID: {call}",
            f"CSeq: {self.numbers[call]} NOTIFY",
            "Contact: <sip:registrar@pbx1:5060>",
            "Event: reg",
            "Subscription-State: active;expires=3600",
            "Content-Type: application/reginfo+xml",
            f"Content-Length: {len(body.encode())}",
        ]
        heard.back(("\r\n".join([*lines, "", ""]) + body).encode())

    def tell_all(self) -> None:
        for call in self.dialogs:
            self.tell(call)

    def forget(self) -> None:
        self.dialogs.clear()


@pytest.fixture
async def registrar(peer: UdpPeer) -> AsyncIterator[Registrar]:
    registrar = Registrar(peer)
    yield registrar
    registrar.task.cancel()
    await asyncio.gather(registrar.task, return_exceptions=True)


@pytest.fixture
async def caller() -> AsyncIterator[UserAgent]:
    async with UserAgent(LOOPBACK, intervals=Intervals(t1=0.05, t2=0.2, most_pause=0.2)) as agent:
        yield agent


@pytest.fixture
async def source(caller: UserAgent, there: Destination, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegEvent]:
    monkeypatch.setattr(reg_event, "_PROBE_SECONDS", 0.2)
    monkeypatch.setattr(reg_event, "_OPTIONS_SECONDS", 0.2)
    monkeypatch.setattr(reg_event, "_PATIENCE", 0.4)
    monkeypatch.setattr(reg_event, "_LEAST_BETWEEN", 0.0)
    async with RegEvent(caller, there, (Credentials("ztp", "secret"),)) as source:
        yield source


async def until_told(source: RegEvent, wanted: Told) -> None:
    while (found := await report(source)) != wanted and not _same(found, wanted):
        assert isinstance(found, Told), found


def _same(found: object, wanted: Told) -> bool:
    """But for when contacts end."""
    return isinstance(found, Told) and (found.user, [one.uri for one in found.contacts]) == (
        wanted.user,
        [one.uri for one in wanted.contacts],
    )


def line(user: str, *names: str) -> Told:
    return Told(user, "example.org", tuple(Place(f"sip:{name}@192.0.2.7;transport=tcp") for name in names))


async def test_lines_are_told_of_as_they_are_wanted(registrar: Registrar, source: RegEvent) -> None:
    registrar.bodies["100"] = document(contact("a"), contact("b"), contact("c", "terminated"))
    source.want({"100@example.org"})
    found = await told(source)
    assert _same(found, line("100", "a", "b")) and found.domain == "example.org"
    place = found.contacts[0]
    assert (place.transport, place.user_agent) == ("tcp", "Acme/1") and place.expires_at
    # It is asked for anew every now and then; a repeated document does not say that it lasts longer.
    again = await told(source)
    assert len(registrar.asked) > 1 and again.contacts[0].expires_at == place.expires_at
    source.want({"100@example.org", "200@example.org", "per%cent@example.org", "a b😀@example.org"})
    waiting = {"200", "per%cent", "a b😀"}
    while waiting:
        if not (found := await told(source)).contacts:
            waiting.discard(found.user)
    assert {"per%25cent", "a%20b%F0%9F%98%80"} <= set(registrar.asked)
    # What is not wanted any more is given back, and said no more of.
    source.want({"100@example.org"})
    registrar.bodies["100"] = document()
    registrar.tell_all()
    await until_told(source, line("100"))


async def test_a_document_about_others_is_believed_of_nobody_else(registrar: Registrar, source: RegEvent) -> None:
    other = document(contact("x"), aor="sip:boss@example.org").partition("<registration")[2]
    registrar.bodies["100"] = document(contact("a")).replace(
        "</reginfo>", "<registration" + other.replace('"r"', '"s"')
    )
    source.want({"100@example.org"})
    assert _same(await told(source), line("100", "a"))


async def test_a_line_that_is_refused_is_unknown_and_asked_for_again_later(
    registrar: Registrar, source: RegEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reg_line, "_REFUSED_SECONDS", 0.2)
    registrar.refusals = {"100": "404 Not Found", "300": "489 Bad Event"}
    registrar.bodies["200"] = "<!DOCTYPE x><reginfo/>"
    source.want({"100@example.org"})
    assert await untold(source) == Untold("100", "example.org", "404 Not Found")
    source.want({"200@example.org"})
    found = await untold(source)
    while found.user != "200":
        found = await untold(source)
    assert "cannot be read" in found.reason and "DOCTYPE" in found.reason
    source.want({"300@example.org"})
    found = await untold(source)
    while found.user != "300":
        found = await untold(source)
    assert found.reason == "489 Bad Event"
    # Somebody made the account.
    registrar.refusals.clear()
    registrar.bodies["300"] = document(contact("a"), aor="sip:300@example.org")
    while isinstance(found, Untold):
        found = await report(source)  # type: ignore[assignment]
    assert _same(found, line("300", "a"))


async def test_a_line_that_cannot_be_an_address_says_so(source: RegEvent) -> None:
    source.want({"100@no host"})
    assert "no SIP address" in (await untold(source)).reason


MANY = [str(number) for number in range(100, 130)]


async def all_told(registrar: Registrar, source: RegEvent, *names: str) -> int:
    """Until each of many lines is told to be there; how often they were asked for meanwhile."""
    asked, waiting = len(registrar.asked), set(MANY)
    while waiting:
        found = await report(source)
        if isinstance(found, Told) and _same(found, line(found.user, *names)):
            waiting.discard(found.user)
    return len(registrar.asked) - asked


def registered(registrar: Registrar, *names: str) -> None:
    contacts = [contact(name) for name in names]
    registrar.bodies = {user: document(*contacts, aor=f"sip:{user}@example.org") for user in MANY}


async def test_a_registrar_that_forgot_us_is_asked_again_for_all(registrar: Registrar, source: RegEvent) -> None:
    registered(registrar, "a")
    source.want({f"{user}@example.org" for user in MANY})
    await all_told(registrar, source, "a")
    # It starts anew, knows no dialog, and nobody is registered: without a word.
    registrar.forget()
    registered(registrar)
    # All at once, and not each when its turn has come to be tried.
    assert await all_told(registrar, source) < 3 * len(MANY)


async def test_silence_is_told_and_afterwards_everything_anew(registrar: Registrar, source: RegEvent) -> None:
    registered(registrar, "a")
    source.want({f"{user}@example.org" for user in MANY})
    await all_told(registrar, source, "a")
    registrar.is_silent = True
    found = await report(source)
    while isinstance(found, Told):
        found = await report(source)
    assert "no answer" in str(found)
    # What happens meanwhile is not heard of.
    registered(registrar, "b")
    registrar.is_silent = False
    assert await all_told(registrar, source, "b") < 3 * len(MANY)


async def test_nobody_there_is_silence_from_the_start(source: RegEvent, registrar: Registrar) -> None:
    registrar.is_silent = True
    source.want({"100@example.org"})
    assert "no answer" in await silent(source)
    registrar.is_silent = False
    registrar.bodies["100"] = document(contact("a"))
    await until_told(source, line("100", "a"))


async def test_a_part_that_was_missed_is_asked_for(registrar: Registrar, source: RegEvent) -> None:
    registrar.bodies["100"] = document(contact("a"), state="partial", version=7)
    source.want({"100@example.org"})
    await until(lambda: len(registrar.asked) >= 2)
    registrar.bodies["100"] = document(contact("a"), contact("b"), version=8)
    registrar.tell_all()
    await until_told(source, line("100", "a", "b"))


async def test_requests_under_way_are_bounded(
    caller: UserAgent, there: Destination, peer: UdpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reg_event, "_AT_ONCE", 5)
    async with RegEvent(caller, there, ()) as source:
        source.want({f"{number}@example.org" for number in range(50)})
        calls = set()
        while len(calls) < 5:
            heard = await peer.next("SUBSCRIBE")
            calls.add(heard["Call-ID"])
            assert heard["Expires"] == "3600" and heard["Event"] == "reg"
        # What comes besides is said again, not more.
        for _ in range(10):
            calls.add((await peer.next("SUBSCRIBE"))["Call-ID"])
        assert len(calls) == 5
