from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sip.peer import ManualClock, StreamPeer, UdpPeer, udp_peer
from ztp_server.sip.destination import Destination
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

LOOPBACK = UserAgentOptions(Binding(ipv4="127.0.0.1", ipv6="::1"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def agent(clock: ManualClock) -> AsyncIterator[UserAgent]:
    async with UserAgent(LOOPBACK, clock) as agent:
        yield agent


@pytest.fixture
async def peer() -> AsyncIterator[UdpPeer]:
    peer = await udp_peer()
    yield peer
    await peer.close()


@pytest.fixture
async def stream() -> AsyncIterator[StreamPeer]:
    peer = await StreamPeer().start()
    yield peer
    await peer.stop()


@pytest.fixture
def there(peer: UdpPeer) -> Destination:
    return Destination("127.0.0.1", peer.port)
