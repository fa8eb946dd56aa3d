"""A platform → the source that tells who is registered with it."""

from __future__ import annotations

from collections.abc import Sequence

from ztp_server.domain.platform import Platform
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Credentials
from ztp_server.sip.sources.asterisk_ami import AsteriskAmi
from ztp_server.sip.sources.freeswitch_esl import FreeswitchEsl
from ztp_server.sip.sources.kamailio_rpc import KamailioRpc
from ztp_server.sip.sources.reg_event import RegEvent
from ztp_server.sip.sources.source import Source
from ztp_server.sip.user_agent import UserAgent


def open_source(
    platform: Platform, agent: UserAgent, destination: Destination, credentials: Sequence[Credentials]
) -> Source | None:
    """Its source, not reached yet; None for a platform that has none. `agent`, `destination` and `credentials` are
    those for requests to the platform, and used by `reg_event` alone; the others go to `source_address` with a login of
    their own. Raises BadValue for an address that cannot be used."""
    if platform.source == "reg_event":
        return RegEvent(agent, destination, credentials)
    if platform.source == "kamailio_rpc":
        return KamailioRpc(platform)
    if platform.source == "asterisk_ami":
        return AsteriskAmi(platform)
    if platform.source == "freeswitch_esl":
        return FreeswitchEsl(platform)
    return None
