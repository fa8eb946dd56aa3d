"""Tells phones to look for their files again, or to restart: plans it, sends it, and says what came of it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from ztp_server.domain.phone import Phone
from ztp_server.errors import ZtpError
from ztp_server.phone_interface import Answered, Asked, PhoneInterface
from ztp_server.pki.makers import MakerFolders
from ztp_server.services.address import ServerAddress
from ztp_server.services.notify_plan import Action, Plan, RestTry, SipTry, Try, When, make_plan
from ztp_server.services.phone_certificates import PhoneCertificates
from ztp_server.services.phone_reach import Road
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.shared_records import SharedRecords
from ztp_server.services.templates import Templates
from ztp_server.sip.outcome import Response
from ztp_server.store import Session

# So long a phone is not told the same again: two people, or a person and a change, at once.
QUIET_SECONDS = 60.0
_LONGEST_DETAIL = 200
_UNAUTHORIZED = 401
# Of these it is not known that the phone has seen anything: a platform says them of phones that it does not reach (404,
# 408, 480), or of us (403, 407).
_NOT_THE_PHONES = frozenset({403, 404, 407, 408, 410, 430, 480, 482, 483, 484, 485, 503, 504})
# The kinds of `Response` that are no answer, for people.
_UNANSWERED = {
    "no_answer": "no answer",
    "refused": "cannot be reached",
    "tls_failed": "TLS fails",
    "malformed": "what answers is not SIP",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it. `reached` when the phone itself has heard it, whether it does it (`ok`) or not. `detail` is
    for people; what stands in it of an answer is shortened and printable. `code` is the number of a SIP answer, 0 when
    there is none; `is_unsupported` when it was reached and knows no such thing."""

    ok: bool
    way: str
    detail: str
    reached: bool
    code: int = 0
    is_unsupported: bool = False


class Messenger:
    """One for a server. Plans are made in a session, and sent without one: sending takes as long as phones do."""

    def __init__(
        self,
        templates: Templates,
        address: ServerAddress,
        agents: PlatformAgents,
        *,
        makers: MakerFolders | None = None,
        interface: PhoneInterface | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._templates = templates
        self._agents = agents
        self._interface = interface or PhoneInterface()
        self._certificates = PhoneCertificates(templates, address, makers)
        self._clock = clock
        self._shared: WeakKeyDictionary[Session, SharedRecords] = WeakKeyDictionary()
        self._told: OrderedDict[tuple[str, Action], float] = OrderedDict()

    async def plan(self, session: Session, phone: Phone, action: Action, *, when: When = "now") -> Plan:
        """How a phone would be told. Raises Refused with a reason that people understand, and what to do about it. What
        phones share is read once a session, which must not change it."""
        shared = self._shared.setdefault(session, SharedRecords())
        return await make_plan(session, shared, self._templates, phone, action, when)

    async def send(self, plan: Plan, *, is_news: bool = False) -> Sent:
        """Tell a phone, in the first way that it takes; also again within the minute where there `is_news`: it was told
        of an earlier change. Never raises for what a network or a phone does."""
        key, now = (plan.phone_id, plan.action), self._clock()
        while self._told and next(iter(self._told.values())) <= now - QUIET_SECONDS:
            self._told.popitem(last=False)
        told = self._told.get(key)
        if told is not None and not is_news:
            said = f"it was told the same {now - told:.0f} s ago, and is not told again within {QUIET_SECONDS:.0f} s"
            return Sent(False, plan.way, said, False)
        self._told[key] = now
        self._told.move_to_end(key)
        sent = await self._send(plan)
        if not sent.reached:
            self._told.pop(key, None)
        return sent

    async def close(self) -> None:
        """Forget whom it told; the user agents belong to who made them."""
        self._told.clear()

    async def _send(self, plan: Plan) -> Sent:
        """Each way in turn, until the phone does it or may be doing it."""
        failed: list[Sent] = []
        # What was said in vain: the same words by another road, and other words by the same silent road, are no use.
        heard: set[str] = set()
        silent: set[Road] = set()
        for attempt in plan.tries:
            if attempt.name in heard or (isinstance(attempt, SipTry) and attempt.road in silent):
                continue
            sent, is_final = await self._try(attempt)
            if is_final:
                return _after(failed, sent)
            failed.append(sent)
            if sent.reached:
                heard.add(attempt.name)
            elif isinstance(attempt, SipTry):
                silent.add(attempt.road)
        best = next((sent for sent in failed if sent.reached), failed[-1])
        return _after([sent for sent in failed if sent is not best], best)

    async def _try(self, attempt: Try) -> tuple[Sent, bool]:
        """What came of one way, and whether no other is to be tried: it is done, or may be, or not now."""
        try:
            if isinstance(attempt, RestTry):
                answered = await self._ask(attempt)
                sent = Sent(answered.ok, attempt.says, _shown(answered.detail), answered.reached)
                return sent, answered.ok or answered.is_unsure
            response = await self._notify(attempt)
        except (ZtpError, OSError) as error:
            return Sent(False, attempt.says, _shown(str(error)), False), False
        sent = _of(attempt, response)
        unknown = response.is_reached_but_unsupported or response.code == _UNAUTHORIZED
        return sent, sent.reached and not unknown

    async def _ask(self, attempt: RestTry) -> Answered:
        proof = await self._certificates.proof_of(attempt)
        return await self._interface.ask(Asked(attempt.address, attempt.row, attempt.password, proof))

    async def _notify(self, attempt: SipTry) -> Response:
        road = attempt.road
        agents, platform = self._agents, road.platform
        # A platform's login is for its own address, a line's for where the line is registered; neither for the other.
        by_platform = road.destination is None
        return await agents.agent(platform).notify(
            road.target,
            road.destination or agents.destination(platform),
            attempt.event,
            body=attempt.body.encode(),
            content_type=attempt.content_type,
            credentials=agents.credentials(platform) if by_platform else road.credentials,
            sender=road.sender,
            # What a phone behind the platform asks for is none of the platform's login.
            asker=f"sip:{road.target.rpartition('@')[2]}" if by_platform else "",
        )


def _of(attempt: SipTry, response: Response) -> Sent:
    says, shown = attempt.says, _shown(str(response))
    if response.kind != "answered":
        return Sent(False, says, _unanswered(attempt.road, response), False)
    if response.ok:
        return Sent(True, says, shown, True, response.code)
    if response.is_reached_but_unsupported:
        said = f"reached, and it does not know this: {shown}"
        return Sent(False, says, said, True, response.code, is_unsupported=True)
    is_straight = attempt.road.destination is not None
    if response.code == _UNAUTHORIZED:
        by = "it" if is_straight else "the platform, or the phone behind it,"
        return Sent(False, says, f"{by} does not take our login: {shown}", is_straight, response.code)
    later = response.number("Retry-After")
    if later is not None:
        shown = f"{shown}; it asks to come back in {later} s"
    return Sent(False, says, shown, is_straight or response.code not in _NOT_THE_PHONES, response.code)


def _unanswered(road: Road, response: Response) -> str:
    """Where nobody answered, why, and for a platform what to do."""
    what = f"{_UNANSWERED[response.kind]}: {_shown(response.reason)}"
    if road.destination is not None:
        return f"{road.destination}: {what}"
    return f"platform {road.platform.id}, {road.platform.address}: {what}: see ztp platform check {road.platform.id}"


def _after(before: list[Sent], last: Sent) -> Sent:
    """An outcome, with what else was tried in vain."""
    vain = [f"in vain {one.way}: {one.detail}" for one in before]
    return replace(last, detail="; ".join([last.detail, *vain]))


def _shown(text: str) -> str:
    """What came over the network, as it may stand in a table or a log."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_LONGEST_DETAIL])[: 2 * _LONGEST_DETAIL]
