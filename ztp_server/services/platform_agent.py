"""SIP user agents for platforms: one for each, kept while its CA is the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import cast

from ztp_server.domain.platform import MOST_PLATFORMS, Platform, sip_place
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import BadValue
from ztp_server.sip.destination import Destination, TransportName
from ztp_server.sip.digest import Credentials
from ztp_server.sip.sources.opening import open_source
from ztp_server.sip.sources.source import Source
from ztp_server.sip.tls import TlsFiles
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

_NOWHERE = Destination("0.0.0.0")


class PlatformAgents:
    """Each platform has sockets of its own, so that over TLS the CA of one counts for no other. Everything else about a
    platform is asked anew for each request, and needs no other user agent."""

    def __init__(self) -> None:
        self._agents: OrderedDict[str, tuple[str, UserAgent]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def destination(self, platform: Platform) -> Destination:
        """Where requests to the phones of a platform go. Raises BadValue when it has no address."""
        if not platform.address:
            raise BadValue("address", f"platform {platform.id} has none, so nothing is sent by way of it")
        place = sip_place("address", platform.address)
        return Destination(place.host, place.port, cast("TransportName", place.transport))

    def credentials(self, platform: Platform) -> tuple[Credentials, ...]:
        """What a platform is shown when it asks who we are; for its own address alone. Nothing when it has no login,
        or the password does not open."""
        if not platform.user or is_unreadable(platform.password):
            return ()
        return (Credentials(platform.user, platform.password),)

    def source(self, platform: Platform) -> Source | None:
        """Who tells which of its lines are registered, None where nobody does. Raises BadValue and Misconfigured."""
        # A source with a door of its own needs no other address.
        destination = self.destination(platform) if platform.address or platform.source == "reg_event" else _NOWHERE
        return open_source(platform, self.agent(platform), destination, self.credentials(platform))

    def agent(self, platform: Platform) -> UserAgent:
        """Its user agent, which whoever asks leaves open. Raises Misconfigured when the CA cannot be used."""
        known = self._agents.get(platform.id)
        if known is None or known[0] != platform.ca:
            made = UserAgent(UserAgentOptions(Binding(tls=TlsFiles(ca_pem=platform.ca))))
            self._agents[platform.id] = (platform.ca, made)
            if known:
                self._close_later(known[1])
        self._agents.move_to_end(platform.id)
        if len(self._agents) > MOST_PLATFORMS:  # some of them are removed by now
            self._close_later(self._agents.popitem(last=False)[1][1])
        return self._agents[platform.id][1]

    async def close(self) -> None:
        """Close all sockets; what is under way ends as `no_answer`."""
        while self._agents:
            await self._agents.popitem()[1][1].close()
        await asyncio.gather(*self._closing)

    def _close_later(self, agent: UserAgent) -> None:
        task = asyncio.create_task(agent.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
