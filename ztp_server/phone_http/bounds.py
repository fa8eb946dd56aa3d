"""How much of this machine those that connect may take."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections, and for how many seconds. Those `of_one` are of one source: the phones of a large building
    come through one address, after a power cut all at once."""

    waiting: int = 8192
    waiting_of_one: int = 1024
    # About 60 KB each; a core finishes some 500 in a second.
    handshakes: int = 1200
    handshakes_of_one: int = 100
    # Those of sources that have more going on than they have brought to an end so far.
    handshakes_of_doubtful: int = 400
    seats: int = 4096
    seats_of_one: int = 1024
    silent_seconds: float = 10
    ready_seconds: float = 30
    handshake_seconds: float = 10
    # What is left of that when others wait and no place is free.
    pressed_seconds: float = 4

    def within(self, files: int) -> Bounds:
        """The same for a process that may open so many files, of which a part is for what is no connection."""
        left = max(files - 256, 64)
        return replace(self, waiting=min(self.waiting, left // 2), seats=min(self.seats, left // 3))
