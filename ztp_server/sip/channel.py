"""What a transaction sends on, whichever transport it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from ztp_server.sip.outcome import Kind


class Channel(ABC):
    """A way to one destination. `local` and `remote` are address and port; `transport` is as Via names it."""

    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]

    @property
    def is_reliable(self) -> bool:
        return self.transport != "UDP"

    @abstractmethod
    def send(self, raw: bytes) -> None:
        """Raises Unanswered when it cannot be sent."""

    @abstractmethod
    def hold(self) -> None:
        """Somebody waits for something on this channel: it is kept open, and alive."""

    @abstractmethod
    def release(self) -> None:
        """One who held it does no more."""

    @abstractmethod
    def doubt(self) -> None:
        """A request got no answer: a connection that says nothing is given up, so that the next one is a new one."""


class Receiver(Protocol):
    """Who is told what came. Nothing of this raises."""

    def received(self, raw: bytes, channel: Channel) -> None:
        """A message; what is answered goes back on `channel`."""

    def garbled(self, raw: bytes, channel: Channel) -> None:
        """What came is beyond understanding."""

    def lost(self, channel: Channel, kind: Kind, reason: str) -> None:
        """A connection is gone."""
