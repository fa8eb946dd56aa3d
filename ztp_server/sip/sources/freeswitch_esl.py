"""Told by FreeSWITCH: its Event Socket.

Written from its documentation (developer.signalwire.com/freeswitch: mod_event_socket, commands auth, userauth, api and
event; mod_commands, `show registrations`; Sofia SIP Stack, Custom Events). Not tried against a running FreeSWITCH.

An event tells of one contact, and whether it took the place of another depends on the profile: where that may be, all
are listed again in a moment.
"""

from __future__ import annotations

import json
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from ztp_server.domain.platform import Platform, source_place
from ztp_server.sip.sources.door import QUIET_SECONDS, Door, Quiet, opened
from ztp_server.sip.sources.source import MOST_TOLD, Everything, Lost, Place, Reached, Told
from ztp_server.sip.sources.uris import LONGEST, transport_of

LARGEST = 32 << 20
_EVENTS = "event plain CUSTOM sofia::register sofia::unregister sofia::expire"
_LIST = "api show registrations as json"
_PING = "api uptime s"
# Everything is listed again after so long, should an event have been missed; and not more often than.
_LIST_SECONDS = 600.0
_LEAST_BETWEEN = 10.0
_ANSWER_SECONDS = 30.0
_MOST_PLACES = 32
_MOST_SECONDS = 1 << 30

_Block = dict[str, str]
_Key = tuple[str, str]


class FreeswitchEsl(Reached):
    """At `source_address`, with the password of its event socket; with `source_user`, that of a user of its directory
    (`userauth`)."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self._platform = platform
        self._place = source_place("freeswitch_esl", platform.source_address)
        self._lines: dict[_Key, dict[str, Place]] = {}
        self._next_list = 0.0
        # What was asked and not answered yet, oldest first, and until when it is to be.
        self._asked: deque[tuple[str, float]] = deque()

    async def _listen(self) -> None:
        self._lines, self._next_list = {}, 0.0
        self._asked.clear()
        async with opened(self._place, self._platform, "\n") as door:
            await self._log_in(door)
            # Events first: what happens while all are listed is not missed.
            await door.send(_EVENTS)
            await _accepted(door, "its events are refused")
            await self._followed(door)

    async def _log_in(self, door: Door) -> None:
        kind = (await door.block()).get("content-type")
        if kind == "text/rude-rejection":
            raise Lost("refused by its access list")
        if kind != "auth/request":
            raise Lost("no event socket")
        platform = self._platform
        user = f"userauth {platform.source_user}:" if platform.source_user else "auth "
        await door.send(user + platform.source_password)
        await _accepted(door, "the login was refused")

    async def _followed(self, door: Door) -> None:
        while True:
            now = time.monotonic()
            if self._anew.is_set() or (now >= self._next_list and not self._asked):
                self._anew.clear()
                self._next_list = now + _LIST_SECONDS
                await self._ask(door, _LIST)
            if self._asked and now > self._asked[0][1]:
                raise Lost("no answer in time")
            try:
                block = await door.block(min(QUIET_SECONDS, max(self._next_list - now, 0.1)))
            except Quiet:
                if not self._asked:
                    await self._ask(door, _PING)
                continue
            self._take(block, await _body(door, block))

    async def _ask(self, door: Door, question: str) -> None:
        self._asked.append((question, time.monotonic() + _ANSWER_SECONDS))
        await door.send(question)

    def _take(self, block: _Block, body: bytes) -> None:
        kind = block.get("content-type", "")
        if kind == "api/response" and self._asked:
            question, _ = self._asked.popleft()
            if question == _LIST:
                self._take_list(body)
        elif kind == "text/event-plain":
            self._take_event(_event(body))
        elif kind in ("text/disconnect-notice", "text/rude-rejection"):
            raise Lost("it ends the connection")

    def _take_list(self, body: bytes) -> None:
        """`{"row_count": 1, "rows": [{"reg_user": …}]}`; no rows where there are none."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        rows = found.get("rows", []) if isinstance(found, dict) and "row_count" in found else None
        if not isinstance(rows, list) or len(rows) > MOST_TOLD:
            raise Lost("it does not list registrations")
        before, self._lines = self._lines, {}
        for row in rows:
            if isinstance(row, dict) and (user := _text(row, "reg_user")):
                key, token = (user, _text(row, "realm")), _text(row, "token")
                known = before.get(key, {}).get(token)
                self._put(key, token, _listed(row, known))
        self._tell(Everything(tuple(self._told(key) for key in self._lines)))

    def _take_event(self, event: _Block) -> None:
        kind = event.get("event-subclass", "")
        names = ("user", "host") if kind == "sofia::expire" else ("from-user", "from-host")
        user, domain = (event.get(name, "")[:LONGEST] for name in names)
        if not user or not kind.startswith("sofia::"):
            return
        key, token, places = (user, domain), event.get("call-id", "")[:LONGEST], self._lines.get((user, domain), {})
        if kind == "sofia::register":
            self._put(key, token, _registered(event))
            is_sure = places.keys() <= {token}
        else:
            is_sure = places.pop(token, None) is not None and not places
        if not is_sure:
            # Another contact took the place of one, or is left, or is not: the list knows.
            self._next_list = min(self._next_list, time.monotonic() + _LEAST_BETWEEN)
        self._tell(self._told(key))
        if not self._lines.get(key):
            self._lines.pop(key, None)

    def _put(self, key: _Key, token: str, place: Place) -> None:
        if key not in self._lines and len(self._lines) >= MOST_TOLD:
            raise Lost(f"more than {MOST_TOLD} addresses of record")
        places = self._lines.setdefault(key, {})
        if token in places or len(places) < _MOST_PLACES:
            places[token] = place

    def _told(self, key: _Key) -> Told:
        return Told(*key, tuple(self._lines.get(key, {}).values()))


async def _accepted(door: Door, refusal: str) -> None:
    """Raises Lost."""
    block = await door.block()
    if block.get("content-type") == "text/rude-rejection":
        raise Lost("refused by its access list")
    if not block.get("reply-text", "").startswith("+OK"):
        raise Lost(refusal)


async def _body(door: Door, block: _Block) -> bytes:
    length = block.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > LARGEST:
        raise Lost(f"an answer of more than {LARGEST} bytes, or of none that can be told")
    return await door.exactly(int(length))


def _event(body: bytes) -> _Block:
    """An event in plain: values are percent-encoded."""
    lines = body.decode(errors="replace").split("\n")[:512]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _registered(event: _Block) -> Place:
    """`contact` is as in a header: `"Name" <sip:…>`; `expires` in seconds from now."""
    contact = event.get("contact", "")
    uri = (contact.partition("<")[2].partition(">")[0] or contact)[:LONGEST]
    seconds = _number(event.get("expires", ""))
    until = datetime.now(UTC) + timedelta(seconds=min(seconds, _MOST_SECONDS)) if seconds else None
    received = f"{event.get('network-ip', '')}:{event.get('network-port', '')}" if event.get("network-ip") else ""
    return Place(uri, transport_of(uri), event.get("user-agent", "")[:LONGEST], until, received[:LONGEST])


def _listed(row: dict[str, Any], known: Place | None) -> Place:
    """A row says when it ends, in seconds since 1970, and nothing of the phone."""
    url = _text(row, "url")
    uri = url[max(url.find("sip:"), url.find("sips:"), 0) :]
    ends = _number(_text(row, "expires"))
    until = datetime.fromtimestamp(ends, UTC) if ends else None
    received = f"{_text(row, 'network_ip')}:{_text(row, 'network_port')}" if row.get("network_ip") else ""
    transport = _text(row, "network_proto").lower() or transport_of(uri)
    return Place(uri, transport, known.user_agent if known else "", until, received)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return str(value)[:LONGEST] if isinstance(value, str | int) else ""
