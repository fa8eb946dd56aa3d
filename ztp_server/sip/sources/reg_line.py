"""One line of a registrar that tells by subscription: kept subscribed to, and what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import quote, unquote

from ztp_server.errors import BadValue
from ztp_server.sip.destination import Destination, bracketed
from ztp_server.sip.digest import Credentials
from ztp_server.sip.reginfo import Contact, RegInfo, Registrations, read_reginfo
from ztp_server.sip.sources.source import Place, Told, Untold
from ztp_server.sip.sources.uris import LONGEST, transport_of
from ztp_server.sip.subscribe_call import Notified
from ztp_server.sip.subscription import Interrupted, Subscription
from ztp_server.sip.user_agent import UserAgent

# How long a subscription is asked for, and how long one that was lost has to come back, in seconds.
_EXPIRES = 3600
_PATIENCE = 15.0
_REFUSED_SECONDS = 900.0
# Before the rest of a document of which a part was missed is asked for again.
_LEAST_BETWEEN = 5.0
_MOST_PLACES = 32
# What the user of an address may hold unescaped (RFC 3261, section 25.1).
_USER_MARKS = "-_.!~*'()&=+$,;?/"

# What came of asking for a line anew.
Asked = Literal["told", "lost", "silent"]


class Line:
    """`report` is given this line and what is told of it, `lost` called when it is told no more."""

    def __init__(
        self, user: str, domain: str, report: Callable[[Line, Told | Untold], None], lost: Callable[[], None]
    ) -> None:
        self.is_told = False
        self.is_refused = False
        self._user = user
        self._domain = domain
        self._to = report
        self._lost = lost
        self._subscription: Subscription | None = None
        self._registrations = Registrations()
        self._places: dict[Contact, Place] = {}
        self._asked: asyncio.Future[Asked] | None = None
        self._is_repeated = False
        self._again = asyncio.Event()
        self._next_asking = 0.0

    async def live(
        self,
        agent: UserAgent,
        destination: Destination,
        credentials: Sequence[Credentials],
        gate: asyncio.Semaphore,
    ) -> None:
        """Subscribe, for as long as this is not cancelled."""
        host = bracketed(self._domain)
        address = f"sip:{quote(self._user, safe=_USER_MARKS)}@{host}"
        sender = f"sip:{quote(credentials[0].user, safe=_USER_MARKS)}@{host}" if credentials else ""
        while True:
            self._again.clear()
            try:
                async with agent.subscribe(
                    *(address, destination, "reg"),
                    expires=_EXPIRES,
                    credentials=credentials,
                    sender=sender,
                    gate=gate,
                ) as self._subscription:
                    reason = await self._listened(self._subscription)
            except BadValue:
                reason = "no SIP address can be made of it"
            finally:
                self._subscription, self.is_told = None, False
            self.is_refused = True
            self._report(reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFUSED_SECONDS * random.uniform(0.8, 1.2)):
                    await self._again.wait()
            self.is_refused = False

    def ask_anew(self, *, forgotten: bool = False) -> None:
        """Have it told again, or be refused again. `forgotten` begins a new dialog."""
        self._again.set()
        self._is_repeated = True
        if self._subscription is not None and forgotten:
            self._subscription.start_over()
        elif self._subscription is not None:
            self._subscription.refresh()

    async def asked_anew(self, seconds: float) -> Asked:
        """What came of it within so many seconds."""
        self._asked = asyncio.get_running_loop().create_future()
        self.ask_anew()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._asked
        return "silent"

    async def _listened(self, subscription: Subscription) -> str:
        """Tell what it tells, until it is over; why it is."""
        reason = ""
        while True:
            try:
                async with asyncio.timeout(_PATIENCE if reason else None):
                    item = await anext(subscription)
            except TimeoutError:
                self._report(reason)
                reason = ""
                continue
            except StopAsyncIteration:
                return reason or "the subscription ended"
            if isinstance(item, Interrupted):
                reason = item.reason
                self._interrupted()
            elif self._take(item):
                reason = ""
            # One that is refused says nothing of the others.
            self._settle("lost" if isinstance(item, Interrupted) and not item.is_over else "told")

    def _report(self, found: tuple[Place, ...] | str) -> None:
        """Where it is, or why nothing is told of it."""
        user, domain = self._user, self._domain
        self._to(self, Untold(user, domain, found) if isinstance(found, str) else Told(user, domain, found))

    def _interrupted(self) -> None:
        was_told, self.is_told = self.is_told, False
        self._registrations = Registrations()
        if was_told:
            self._lost()

    def _settle(self, outcome: Asked) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(outcome)

    def _take(self, item: Notified) -> bool:
        """Whether it tells how the line is."""
        is_repeated, self._is_repeated = self._is_repeated, False
        if item.state != "active":
            return False
        # Kamailio's presence server says nothing at all of an address that nobody registered since it started.
        document = RegInfo(0, True, {})
        if item.body:
            try:
                document = read_reginfo(item.body)
            except BadValue as error:
                self._report(f"what is told cannot be read: {error.reason}")
                return True
        if not self._registrations.take(document):
            return False
        if not self._registrations.is_complete:
            self._ask_for_the_rest()
            return False
        self.is_told = True
        self._report(self._found(is_repeated))
        return True

    def _ask_for_the_rest(self) -> None:
        if self._subscription is None:
            return
        loop = asyncio.get_running_loop()
        wait = max(0.0, self._next_asking - loop.time())
        self._next_asking = loop.time() + wait + _LEAST_BETWEEN
        loop.call_later(wait, self._subscription.refresh)

    def _found(self, is_repeated: bool) -> tuple[Place, ...]:
        """The contacts of this line: a document may speak of others too, which is not for us to believe."""
        known = list(self._registrations.known.values())
        of_user = [one for one in known if _user_of(one.aor) == self._user]
        contacts = [each for one in (of_user or known) for each in one.contacts.values()][:_MOST_PLACES]
        # What is repeated tells how long it lasts from when it was first told.
        before = self._places if is_repeated else {}
        self._places = {each: before.get(each) or _place(each) for each in contacts}
        return tuple(self._places.values())


def _user_of(aor: str) -> str:
    return unquote(aor.partition(":")[2].rpartition("@")[0])


def _place(contact: Contact) -> Place:
    uri = contact.uri[:LONGEST]
    until = None if contact.expires is None else datetime.now(UTC) + timedelta(seconds=min(contact.expires, 1 << 30))
    return Place(uri, transport_of(uri), contact.user_agent[:LONGEST], until)
