"""One dialog of a subscription (RFC 6665): what is asked in it, and what we are told in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import sipmessage

from ztp_server.sip.channel import Channel
from ztp_server.sip.inbound import Answer
from ztp_server.sip.message import LARGEST_CSEQ, Malformed, address, split
from ztp_server.sip.requester import Call


@dataclass(frozen=True, slots=True)
class Notified:
    """What a NOTIFY said. `state` is `active`, `pending`, `terminated` or a word of the notifier's."""

    body: bytes
    content_type: str
    state: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a dialog is over, as the notifier or the network said. `retry_after` is in seconds, None when nothing was
    said of it; `is_final` when asking again would be wrong (RFC 6665, section 4.1.3)."""

    reason: str
    retry_after: int | None = None
    is_final: bool = False


_LONGEST_ROUTE = 2048
_FINAL_REASONS = ("rejected", "noresource", "invariant")


class SubscribeCall:
    """A dialog, made by the first NOTIFY or the 2xx, whichever comes first. Of a forked SUBSCRIBE one dialog counts:
    the others are told that there is none, which ends them.

    `tell` is given what each NOTIFY says. `changed` is set when something is to be done: `ended` says that the dialog
    is over; `granted` is how long the subscription lasts from now, if a NOTIFY said so.
    """

    def __init__(self, call: Call, event: str, tell: Callable[[Notified], None]) -> None:
        self.call = call
        self.changed = asyncio.Event()
        self.ended: Ended | None = None
        self.granted: int | None = None
        self.was_told = False
        self.channel: Channel | None = None
        self._event = _event_key(event)
        self._tell = tell
        self._last = -1

    def accepted(self, response: sipmessage.Response, channel: Channel) -> None:
        """A 2xx to our SUBSCRIBE. Raises Malformed."""
        if self.channel is not channel:
            self.drop_channel()
            self.channel = channel
            channel.hold()
        tag = address(response.headers["To"]).tag
        if not self.call.remote_tag and tag:
            self._begin(tag, response, backwards=True)
        elif tag == self.call.remote_tag:
            self._aim(response)

    def drop_channel(self) -> None:
        if self.channel is not None:
            self.channel.release()
            self.channel = None

    def notify(self, request: sipmessage.Request) -> Answer:
        """Take in a NOTIFY that came with our Call-ID and tag; what it is answered. Raises Malformed."""
        tag = address(request.headers["From"]).tag
        state, parameters = _state(request.headers.get("Subscription-State") or "")
        if _event_key(request.headers.get("Event") or "") != self._event:
            return 489, "Bad Event", ()
        if not tag or not state:
            return 400, "Bad Request", ()
        if self.ended or tag != (self.call.remote_tag or tag):
            return 481, "Subscription does not exist", ()
        if request.cseq.sequence <= self._last:
            # Out of order, or one that was answered so long ago that the answer is forgotten.
            is_again = request.cseq.sequence == self._last
            return (200, "OK", ()) if is_again else (500, "Out of Order", ())
        self._last = request.cseq.sequence
        if not self.call.remote_tag:
            self._begin(tag, request, backwards=False)
        self._aim(request)
        self._take(request, state, parameters)
        return 200, "OK", ()

    def lost(self, channel: Channel, reason: str) -> None:
        """The connection on which we would be told is gone."""
        if channel is self.channel:
            self.end(Ended(reason, retry_after=0))

    def _take(self, request: sipmessage.Request, state: str, parameters: dict[str, str]) -> None:
        self.was_told = True
        self.granted = _seconds(parameters.get("expires", ""))
        self._tell(Notified(request.body, request.headers.get("Content-Type") or "", state))
        if state == "terminated":
            reason = parameters.get("reason", "")[:64]
            retry_after = _seconds(parameters.get("retry-after", ""))
            if retry_after is None and reason in ("deactivated", "timeout"):
                retry_after = 0
            self.end(Ended(reason or "terminated", retry_after, reason in _FINAL_REASONS))
        self.changed.set()

    def end(self, ended: Ended) -> None:
        """The dialog is over, for the first reason that is given."""
        self.ended = self.ended or ended
        self.changed.set()

    def _begin(self, tag: str, message: sipmessage.Request | sipmessage.Response, *, backwards: bool) -> None:
        """The dialog is made (RFC 3261, sections 12.1.1 and 12.1.2)."""
        routes = split(message.headers.getlist("Record-Route"))
        if sum(map(len, routes)) > _LONGEST_ROUTE or not all(route.isascii() for route in routes):
            raise Malformed("too long a route, or a strange one")
        for route in routes:
            address(route)
        self.call.remote_tag = tag
        self.call.routes = tuple(reversed(routes) if backwards else routes)
        self._aim(message)

    def _aim(self, message: sipmessage.Request | sipmessage.Response) -> None:
        """Where the dialog is spoken to: what Contact says becomes the address in a request, never where we send it."""
        contacts = split(message.headers.getlist("Contact")[:1])
        if contacts:
            self.call.target = _sip_address(address(contacts[0]).uri)


def _sip_address(uri: str) -> str:
    if not uri.isascii() or not uri.lower().startswith(("sip:", "sips:")) or len(uri) > 512:
        raise Malformed("a Contact that is no SIP address")
    return uri


def _event_key(value: str) -> tuple[str, str]:
    """The package of an Event header, and its `id` (RFC 6665, section 8.2.1)."""
    package, _, rest = value.partition(";")
    return package.strip().lower(), _parameters(rest).get("id", "")


def _state(value: str) -> tuple[str, dict[str, str]]:
    state, _, rest = value.partition(";")
    return state.strip().lower()[:64], _parameters(rest)


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs if name.strip()}


def _seconds(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return min(int(text), LARGEST_CSEQ) if is_number else None
