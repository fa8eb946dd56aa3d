"""What comes in: answers go to who waits for them, requests are answered. Nothing raises out of this loop."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Protocol

import sipmessage
import structlog

from ztp_server.errors import BadValue
from ztp_server.sip.channel import Channel
from ztp_server.sip.client_transactions import ClientTransactions
from ztp_server.sip.clock import Clock, Intervals
from ztp_server.sip.message import Malformed, address, compose, parse, split, via, with_source
from ztp_server.sip.outcome import Kind, Unanswered
from ztp_server.sip.server_transactions import AnsweredRequests, key
from ztp_server.sip.udp import UdpChannel

log = structlog.get_logger()

# Status code and phrase, and headers besides those of every answer.
Answer = tuple[int, str, tuple[tuple[str, str], ...]]

_ALLOW = ("Allow", "OPTIONS, NOTIFY")
_GONE: Answer = (481, "Subscription does not exist", ())


class Subscriber(Protocol):
    """Who has a dialog in which NOTIFY comes."""

    def notify(self, request: sipmessage.Request) -> Answer:
        """Raises Malformed."""

    def lost(self, channel: Channel, reason: str) -> None:
        """A connection is gone."""


class Inbound:
    """`dropped` counts what came and was of no use: garbage, answers nobody waits for."""

    def __init__(self, transactions: ClientTransactions, clock: Clock, intervals: Intervals) -> None:
        self.dropped = 0
        # By Call-ID and our own tag.
        self.dialogs: dict[tuple[str, str], Subscriber] = {}
        self._transactions = transactions
        self._answered = AnsweredRequests(clock, intervals.give_up)

    def received(self, raw: bytes, channel: Channel) -> None:
        try:
            self._take(raw, channel)
        except Malformed:
            self.garbled(raw, channel)
        except (BadValue, Unanswered):
            # An answer that cannot be written, or not be sent: whoever asks will ask again.
            self.dropped += 1
        except Exception:
            log.exception("sip_message_not_handled")

    def garbled(self, raw: bytes, channel: Channel) -> None:
        self.dropped += 1
        self._transactions.garbled(raw, channel)

    def lost(self, channel: Channel, kind: Kind, reason: str) -> None:
        self._transactions.lost(channel, kind, reason)
        for dialog in list(self.dialogs.values()):
            dialog.lost(channel, reason)

    def _take(self, raw: bytes, channel: Channel) -> None:
        message = parse(raw)
        if isinstance(message, sipmessage.Response):
            self.dropped += 0 if self._transactions.response(message) else 1
        elif message.method != "ACK":
            self._reply(message, channel)

    def _reply(self, request: sipmessage.Request, channel: Channel) -> None:
        back = _way_back(request, channel)
        place = key(request)
        answer = self._answered.again(place)
        if answer is None:
            answer = _written(request, self._answer(request), channel)
            self._answered.remember(place, answer)
        back.send(answer)

    def _answer(self, request: sipmessage.Request) -> Answer:
        tag = address(request.headers["To"]).tag
        if request.method == "NOTIFY":
            dialog = self.dialogs.get((request.headers["Call-ID"], tag))
            return dialog.notify(request) if dialog else _GONE
        if request.method == "OPTIONS" and not tag:
            return 200, "OK", (_ALLOW, ("Accept", "application/reginfo+xml"))
        if tag or request.method == "CANCEL":
            return 481, "Call/Transaction Does Not Exist", ()
        return HTTPStatus.METHOD_NOT_ALLOWED.value, "Method Not Allowed", (_ALLOW,)


def _way_back(request: sipmessage.Request, channel: Channel) -> Channel:
    """Where an answer goes (RFC 3261, section 18.2.2; RFC 3581, section 4). Over UDP to the address it came from,
    whatever is written in it."""
    first = via(request)
    if isinstance(channel, UdpChannel) and not first.rport:
        return channel.back(first.port or 5060)
    return channel


def _written(request: sipmessage.Request, answer: Answer, channel: Channel) -> bytes:
    code, phrase, headers = answer
    first, *others = split(request.headers.getlist("Via"))
    to = request.headers["To"]
    return compose(
        f"SIP/2.0 {code} {phrase}",
        [
            ("Via", with_source(first, channel.remote[0].partition("%")[0], channel.remote[1])),
            *(("Via", other) for other in others),
            ("From", request.headers["From"]),
            ("To", to if address(to).tag else f"{to};tag={secrets.token_hex(8)}"),
            ("Call-ID", request.headers["Call-ID"]),
            ("CSeq", request.headers["CSeq"]),
            *headers,
        ],
    )
