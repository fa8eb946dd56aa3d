"""What the rest of the program uses of SIP: say something to a phone or registrar, or be told something by it.

    async with UserAgent() as agent:
        response = await agent.notify("sip:100@pbx.example", Destination("pbx.example"), "check-sync")

Everything is sent to the destination that the caller names (a registrar, an outbound proxy, a phone), never to where an
answer points: a hostile one cannot turn us against others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ztp_server.errors import BadValue
from ztp_server.sip.client_transactions import ClientTransactions
from ztp_server.sip.clock import Clock, Intervals
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Credentials, Login
from ztp_server.sip.inbound import Inbound
from ztp_server.sip.message import check_name, check_value
from ztp_server.sip.outcome import Response, Unanswered
from ztp_server.sip.requester import Part, Requester, as_outcome, check_call, check_headers
from ztp_server.sip.subscription import Subscription, Wanted
from ztp_server.sip.transports import Binding, Transports

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class UserAgentOptions:
    """`user` stands before the @ of our own addresses; `contact_host` is given to others as our address where they
    cannot reach the one we see."""

    binding: Binding = field(default_factory=Binding)
    user: str = "ztp"
    product: str = "ztp-server"
    contact_host: str = ""


class UserAgent:
    """All its sockets are made when first needed, and closed at the end. Methods raise BadValue for what must not be
    sent, before anything is; the rest is an outcome. Raises Misconfigured when the TLS files cannot be used.

    `sender` is the address in From: a registrar may want the one that the credentials are of. `recipient` is the
    address in To, where it is another than `target`.
    """

    def __init__(
        self, options: UserAgentOptions | None = None, clock: Clock | None = None, intervals: Intervals | None = None
    ) -> None:
        options = options or UserAgentOptions()
        self._clock = clock or asyncio.get_running_loop()
        self._intervals = intervals or Intervals()
        self._transactions = ClientTransactions(self._clock, self._intervals)
        self._inbound = Inbound(self._transactions, self._clock, self._intervals)
        self._transports = Transports(self._inbound, options.binding, self._clock, self._intervals)
        self._requester = Requester(
            self._transports, self._transactions, options.user, options.product, options.contact_host
        )

    async def __aenter__(self) -> UserAgent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def dropped(self) -> int:
        """How much came that was of no use: garbage, answers nobody waits for."""
        return self._inbound.dropped

    async def close(self) -> None:
        """Close all sockets at once; what is under way ends as `no_answer`. Subscriptions are left before."""
        self._transports.close()
        self._transactions.close()
        # asyncio closes what is given up in its next round.
        await asyncio.sleep(0)

    async def request(
        self,
        method: str,
        target: str,
        destination: Destination,
        *,
        headers: Headers = (),
        body: bytes = b"",
        content_type: str = "",
        credentials: Sequence[Credentials] = (),
        sender: str = "",
        recipient: str = "",
        contact: bool = False,
        asker: str = "",
    ) -> Response:
        """Send a request of any method but INVITE, ACK and CANCEL. `contact` adds our Contact. With `asker`, an address
        of the destination's own, the credentials are for it alone, and not for whoever is behind it."""
        if check_name(method) != method.upper() or method in ("INVITE", "ACK", "CANCEL"):
            raise BadValue("method", "must be in capitals, and none of INVITE, ACK and CANCEL")
        given = check_headers(headers)
        if content_type:
            given += (("Content-Type", content_type),)
        elif body:
            raise BadValue("content_type", "must say what the body is")
        call = check_call(target, recipient, sender)
        try:
            part, login = Part(method, given, body, contact), Login(credentials)
            if asker and credentials:
                asker = check_call(asker, "", "").target
                final = await self._requester.send_behind(call, part, destination, login, asker)
            else:
                final, _ = await self._requester.send(call, part, destination, login)
        except Unanswered as error:
            return error.as_response()
        return as_outcome(final)

    async def options(
        self, target: str, destination: Destination, *, credentials: Sequence[Credentials] = (), sender: str = ""
    ) -> Response:
        """Ask whether somebody is there (RFC 3261, section 11)."""
        headers = [("Accept", "application/sdp")]
        return await self.request(
            "OPTIONS", target, destination, headers=headers, credentials=credentials, sender=sender, contact=True
        )

    async def notify(
        self,
        target: str,
        destination: Destination,
        event: str,
        *,
        state: str = "terminated",
        headers: Headers = (),
        body: bytes = b"",
        content_type: str = "",
        credentials: Sequence[Credentials] = (),
        sender: str = "",
        recipient: str = "",
        asker: str = "",
    ) -> Response:
        """Say something to who did not subscribe to it, as phones know it: `event` is `check-sync`, or
        `check-sync;reboot=true`. 481 and 489 mean that a phone was reached and does not know it. `asker` is as in
        `request`."""
        return await self.request(
            *("NOTIFY", target, destination),
            headers=[("Event", _event(event)), ("Subscription-State", state), *headers],
            body=body,
            content_type=content_type,
            credentials=credentials,
            sender=sender,
            recipient=recipient,
            contact=True,
            asker=asker,
        )

    def subscribe(
        self,
        target: str,
        destination: Destination,
        event: str,
        *,
        accept: str = "application/reginfo+xml",
        expires: int = 3600,
        credentials: Sequence[Credentials] = (),
        sender: str = "",
        recipient: str = "",
        gate: asyncio.Semaphore | None = None,
    ) -> Subscription:
        """Be told of something as long as `async with` lasts: see Subscription. `expires` is in seconds."""
        if not 10 <= expires <= 86_400:
            raise BadValue("expires", "must be between 10 and 86400 seconds")
        call = check_call(target, recipient, sender)
        accept = check_value("accept", accept)
        wanted = Wanted(target, call.recipient, sender, _event(event), accept, expires)
        return Subscription(
            *(self._requester, self._inbound, self._clock, self._intervals),
            *(destination, wanted, Login(credentials), gate),
        )


def _event(event: str) -> str:
    """An Event header. Raises BadValue."""
    check_name(event.partition(";")[0])
    return check_value("event", event)
