"""One request: written, sent, asked for a login, sent again, answered."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sipmessage

from ztp_server.errors import BadValue
from ztp_server.sip.channel import Channel
from ztp_server.sip.client_transactions import ClientTransactions
from ztp_server.sip.destination import Destination, bracketed
from ztp_server.sip.digest import Login
from ztp_server.sip.message import COOKIE, check_name, check_uri, compose, names
from ztp_server.sip.outcome import Response
from ztp_server.sip.transports import Transports

# A proxy and the phone behind it, each with a nonce that was too old.
_MOST_ROUNDS = 6
_OURS = frozenset(
    (
        *("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "contact", "m", "user-agent"),
        *("content-length", "l", "content-type", "c", "authorization", "proxy-authorization"),
    )
)


@dataclass(slots=True)
class Call:
    """What all requests of one exchange have in common, and in a dialog what was learnt of the other side (RFC 3261,
    section 12). `sender` becomes our own address where it is empty. `routes` are Route values, nearest first."""

    target: str
    recipient: str
    sender: str = ""
    call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    remote_tag: str = ""
    routes: tuple[str, ...] = ()
    cseq: int = field(default_factory=lambda: secrets.randbelow(1 << 20) + 1)


@dataclass(frozen=True, slots=True)
class Part:
    """What a request says besides where it goes."""

    method: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    contact: bool = False


class Requester:
    """`user` stands in our own addresses, `product` in User-Agent, `contact_host` in Contact instead of the address
    that the kernel would send from."""

    def __init__(
        self, transports: Transports, transactions: ClientTransactions, user: str, product: str, contact_host: str
    ) -> None:
        self._transports = transports
        self._transactions = transactions
        self._user = user
        self._product = product
        self._contact_host = contact_host

    async def send(
        self, call: Call, part: Part, destination: Destination, login: Login
    ) -> tuple[sipmessage.Response, Channel]:
        """The final response, and what it came on. Raises Unanswered, and BadValue before anything is sent."""
        login.begin()
        for _ in range(_MOST_ROUNDS):
            final, channel = await self._once(call, part, destination, login)
            if not login.learn(final):
                break
        return final, channel

    async def send_behind(
        self, call: Call, part: Part, destination: Destination, login: Login, asker: str
    ) -> sipmessage.Response:
        """The final response of somebody behind the destination, to whom the login is not for. A proxy hands on who is
        asked by whom, and whoever is asked chooses the words: so what the login answers is what the destination itself
        asks for at `asker`, an address of its own, and nothing where it asks for nothing. Raises as `send`."""
        login.begin()
        final, _ = await self._once(call, part, destination, login)
        if login.is_asked(final):
            own = replace(call, target=asker, recipient=asker)
            asked, _ = await self._once(own, part, destination, login)
            call.cseq = own.cseq
            if asked.code == final.code and login.learn(asked):
                final, _ = await self._once(call, part, destination, login)
        return final

    async def _once(
        self, call: Call, part: Part, destination: Destination, login: Login
    ) -> tuple[sipmessage.Response, Channel]:
        channel = await self._transports.open(destination)
        branch = COOKIE + secrets.token_hex(16)
        call.cseq += 1
        raw = self._written(call, part, channel, branch, login)
        return await self._transactions.run(channel, branch, raw, call.call_id, call.cseq, part.method), channel

    def _written(self, call: Call, part: Part, channel: Channel, branch: str, login: Login) -> bytes:
        host, port = bracketed(channel.local[0]), channel.local[1]
        call.sender = call.sender or f"sip:{self._user}@{host}"
        parameters = "" if channel.transport == "UDP" else f";transport={channel.transport.lower()}"
        contact = f"<sip:{self._user}@{bracketed(self._contact_host) or host}:{port}{parameters}>"
        return compose(
            f"{check_name(part.method)} {call.target} SIP/2.0",
            [
                ("Via", f"SIP/2.0/{channel.transport} {host}:{port};rport;branch={branch}"),
                *(("Route", route) for route in call.routes),
                ("Max-Forwards", "70"),
                ("From", f"<{call.sender}>;tag={call.tag}"),
                ("To", f"<{call.recipient}>" + (f";tag={call.remote_tag}" if call.remote_tag else "")),
                ("Call-ID", call.call_id),
                ("CSeq", f"{call.cseq} {part.method}"),
                *([("Contact", contact)] if part.contact else []),
                ("User-Agent", self._product),
                *part.headers,
                *login.headers(part.method, call.target, part.body),
            ],
            part.body,
        )


def check_call(target: str, recipient: str, sender: str) -> Call:
    """A new exchange. Raises BadValue naming the address that is none."""
    check_uri("target", target)
    for field_name, uri in (("recipient", recipient), ("sender", sender)):
        if uri:
            check_uri(field_name, uri)
    return Call(target, recipient or target, sender)


def check_headers(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers that callers may add. Raises BadValue for those that are written here."""
    for name, _ in headers:
        if check_name(name).lower() in _OURS:
            raise BadValue(f"headers.{name}", "is written by the user agent itself")
    return tuple(headers)


def as_outcome(final: sipmessage.Response) -> Response:
    """A final response as callers see it."""
    headers = tuple((name, value) for name in names(final) for value in final.headers.getlist(name))
    return Response("answered", final.code, final.phrase, headers, final.body)
