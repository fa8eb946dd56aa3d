"""Told by Asterisk: the Manager Interface, for lines of res_pjsip.

Written from the documentation of Asterisk 18 to 22 (docs.asterisk.org, API Documentation; AMI Actions: Challenge,
Login, Ping, PJSIPShowContacts, PJSIPShowEndpoint; AMI Events: ContactList, ContactListComplete, ContactStatus,
AorDetail, ContactStatusDetail, EndpointDetailComplete). Not tried against a running Asterisk.

An event says whose contacts changed, and not what of them is left: so the endpoint is looked at. Contacts that do not
answer Asterisk's own OPTIONS (`qualify_frequency`) count as none, and those of its configuration are no registrations.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

from ztp_server.domain.platform import Platform, source_place
from ztp_server.sip.sources.door import QUIET_SECONDS, Door, Quiet, opened
from ztp_server.sip.sources.source import MOST_TOLD, MOST_WAITING, Everything, Lost, Place, Reached, Told
from ztp_server.sip.sources.uris import LONGEST, split_address, transport_of

# Everything is listed again after so long, should an event have been missed.
_LIST_SECONDS = 600.0
# For a list, and for one endpoint.
_ANSWER_SECONDS = 30.0
_MOST_PLACES = 32
# Before the hash of a contact that was registered, and of one of the configuration (res_pjsip, location.c).
_REGISTERED, _CONFIGURED = ";@", "@@"
_NO_CONTACTS = "No Contacts found"

_Block = dict[str, str]


class AsteriskAmi(Reached):
    """At `source_address`, with the login of a manager user who may `read` and `write` the class `system`."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self._platform = platform
        self._place = source_place("asterisk_ami", platform.source_address)

    async def _listen(self) -> None:
        async with opened(self._place, self._platform, "\r\n") as door:
            banner = await door.line()
            if not banner.startswith("Asterisk Call Manager"):
                raise Lost("no Asterisk Manager Interface")
            await self._log_in(door)
            await self._followed(door)

    async def _log_in(self, door: Door) -> None:
        """Without showing the password, but to who cannot do so over TLS."""
        await door.send("Action: Challenge", "ActionID: challenge", "AuthType: MD5")
        challenge = (await _response(door, "challenge")).get("challenge", "")
        password = self._platform.source_password
        if challenge:
            key = hashlib.md5((challenge + password).encode(), usedforsecurity=False).hexdigest()
            proof = ["AuthType: MD5", f"Key: {key}"]
        elif self._place.transport == "tls":
            proof = [f"Secret: {password}"]
        else:
            raise Lost("it offers no challenge, and a password goes over TLS alone")
        user = f"Username: {self._platform.source_user}"
        await door.send("Action: Login", "ActionID: login", user, *proof, "Events: system")
        if (await _response(door, "login")).get("response") != "Success":
            raise Lost("the login was refused")

    async def _followed(self, door: Door) -> None:
        asked = _Asked(door, self)
        is_pinged = False
        while True:
            await asked.go_on(is_anew=self._anew.is_set())
            self._anew.clear()
            try:
                block = await door.block(QUIET_SECONDS)
            except Quiet:
                if is_pinged:
                    raise
                is_pinged = True
                await door.send("Action: Ping")
                continue
            is_pinged = False
            asked.take(block)

    def told(self, report: Told | Everything) -> None:
        """What was asked for."""
        self._tell(report)


class _Asked:
    """What is asked, one thing at a time, and what was said of it so far."""

    def __init__(self, door: Door, source: AsteriskAmi) -> None:
        self._door = door
        self._source = source
        self._next_list = 0.0
        # Endpoints whose contacts changed, in this order.
        self._due: dict[str, None] = {}
        self._number = 0
        self._endpoint: str | None = None
        self._deadline: float | None = None
        self._found: dict[str, list[Place]] = {}

    async def go_on(self, *, is_anew: bool) -> None:
        """Ask what is to be asked next. Raises Lost."""
        now = time.monotonic()
        if is_anew:
            self._next_list = now
        if self._deadline is not None:
            if now > self._deadline:
                raise Lost("no whole answer in time")
            return
        if now >= self._next_list:
            self._next_list, self._endpoint = now + _LIST_SECONDS, None
            self._due.clear()
            await self._ask("PJSIPShowContacts")
        elif self._due:
            self._endpoint = next(iter(self._due))
            del self._due[self._endpoint]
            await self._ask("PJSIPShowEndpoint", f"Endpoint: {self._endpoint}")

    async def _ask(self, action: str, *lines: str) -> None:
        self._number += 1
        self._found = {}
        self._deadline = time.monotonic() + _ANSWER_SECONDS
        await self._door.send(f"Action: {action}", f"ActionID: {self._number}", *lines)

    def take(self, block: _Block) -> None:
        """A message. Raises Lost."""
        event = block.get("event", "")
        if event == "ContactStatus":
            self._changed(block)
        elif self._deadline is None or block.get("actionid") != str(self._number):
            return
        elif block.get("response") == "Error":
            self._refused(block.get("message", ""))
        elif event == "AorDetail" and len(self._found) < MOST_TOLD:
            self._found.setdefault(block.get("objectname", "")[:LONGEST], [])
        elif event == "ContactList":
            self._note(block.get("objectname", ""), _listed(block))
        elif event == "ContactStatusDetail":
            identity = block.get("id", _REGISTERED)
            self._note(
                block.get("aor", "") + (_CONFIGURED if _CONFIGURED in identity else _REGISTERED), _detailed(block)
            )
        elif event in ("ContactListComplete", "EndpointDetailComplete"):
            self._complete()

    def _changed(self, block: _Block) -> None:
        name = block.get("endpointname") or block.get("aor", "")
        if len(self._due) >= MOST_WAITING:
            self._next_list = 0.0
        elif name and name.isprintable() and len(name) <= LONGEST:
            self._due[name] = None

    def _refused(self, message: str) -> None:
        if self._endpoint is not None:
            # It is not there any more, or goes by another name: the list knows.
            self._next_list = min(self._next_list, time.monotonic() + QUIET_SECONDS)
            self._deadline = None
        elif message.startswith(_NO_CONTACTS):
            self._complete()
        else:
            raise Lost(f"it does not list contacts: {message[:80]}")

    def _note(self, identity: str, place: Place | None) -> None:
        aor, is_registered, _ = identity[: 2 * LONGEST].partition(_REGISTERED)
        if not aor or not is_registered:
            return
        if aor not in self._found and len(self._found) >= MOST_TOLD:
            raise Lost(f"more than {MOST_TOLD} addresses of record")
        places = self._found.setdefault(aor[:LONGEST], [])
        if place is not None and len(places) < _MOST_PLACES:
            places.append(place)

    def _complete(self) -> None:
        told = [Told(*split_address(aor), tuple(places)) for aor, places in self._found.items() if aor]
        self._deadline, self._found = None, {}
        if self._endpoint is None:
            self._source.told(Everything(tuple(told)))
        else:
            for one in told:
                self._source.told(one)


async def _response(door: Door, action: str) -> _Block:
    """The answer to an action, passing over events. Raises Lost."""
    for _ in range(100):
        block = await door.block()
        if block.get("actionid") == action and "response" in block:
            return block
    raise Lost("no answer to a login")


def _listed(block: _Block) -> Place | None:
    received = f"{block.get('viaaddr', '')}:{block.get('viaport', '')}" if block.get("viaaddr") else ""
    return _place(block, block.get("expirationtime", ""), received)


def _detailed(block: _Block) -> Place | None:
    return _place(block, block.get("regexpire", ""), block.get("viaaddress", ""))


def _place(block: _Block, expires: str, received: str) -> Place | None:
    if block.get("status") == "Unreachable":
        return None
    uri = block.get("uri", "")[:LONGEST]
    is_number = expires.isascii() and expires.isdigit() and 0 < len(expires) <= 10
    until = datetime.fromtimestamp(int(expires), UTC) if is_number else None
    return Place(uri, transport_of(uri), block.get("useragent", "")[:LONGEST], until, received[:LONGEST])
