"""How fast things are sent: so many a second, never evenly, and never caught up in a burst."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

# Gaps are between half and one and a half of what they are at the mean: phones told in step would come in step.
_JITTER = 0.5
# Of a moment in which nothing could be sent, what is made up for afterwards, in seconds.
_BEHIND = 1.0


@dataclass
class Pace:
    """Moments at which to send, on the caller's clock in seconds."""

    per_second: float
    due: float = 0.0
    chance: random.Random = field(default_factory=random.Random, repr=False)

    def taken(self, now: float) -> None:
        """Something was sent at the moment that was due."""
        gap = self.chance.uniform(1 - _JITTER, 1 + _JITTER) / self.per_second
        self.due = max(self.due, now - _BEHIND) + gap


class Places:
    """How many are under way at each place."""

    def __init__(self) -> None:
        self._place_of: dict[int, str] = {}
        self._taken: Counter[str] = Counter()

    def has_room(self, place: str, room: int) -> bool:
        return self._taken[place] < max(room, 1)

    def take(self, position: int, place: str) -> None:
        self._place_of[position] = place
        self._taken[place] += 1

    def release(self, position: int) -> None:
        """Once or more often."""
        place = self._place_of.pop(position, None)
        if place is not None:
            self._taken[place] -= 1
