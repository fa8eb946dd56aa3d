"""Sources take turns: one that has thousands waiting delays itself, one that finishes little comes after the others."""

from __future__ import annotations

from collections import OrderedDict

from ztp_server.phone_http.bounds import Bounds
from ztp_server.phone_http.sources import Source


class Turns:
    """Sources that have connections waiting, in the order in which one of each is let in. The doubtful ones have a
    queue of their own, and fewer places. One that is full is in neither until something about it changes."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._first: OrderedDict[Source, None] = OrderedDict()
        self._later: OrderedDict[Source, None] = OrderedDict()

    def __len__(self) -> int:
        """How many wait that are not doubtful."""
        return len(self._first)

    def put(self, source: Source) -> None:
        """Give it a turn, if it has use for one."""
        if not source.ready or source in self._first:
            return
        if source.is_doubtful:
            self._later[source] = None
        else:
            self._later.pop(source, None)
            self._first[source] = None

    def drop(self, source: Source) -> None:
        self._first.pop(source, None)
        self._later.pop(source, None)

    def next(self, handshakes: int) -> Source | None:
        """Whose turn it is, while so many handshakes go on; None when nobody can be let in."""
        bounds = self._bounds
        of_doubtful = min(bounds.handshakes_of_doubtful, bounds.handshakes)
        for queue, places in ((self._first, bounds.handshakes), (self._later, of_doubtful)):
            while queue and handshakes < places:
                source, _ = queue.popitem(last=False)
                if not source.ready or source.is_full(bounds):
                    continue
                if queue is self._first and source.is_doubtful:
                    self._later[source] = None
                    continue
                return source
        return None
