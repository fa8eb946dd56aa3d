"""What became of telling a phone something over the network: whether it heard, and whether it was seen to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

# `answered`: it agreed. `not_supported`: it was reached, and knows no such thing. `declined`: it was reached and did
# not agree. `not_reached`: nothing came back. `not_known`: the server stopped before it could note what came.
Answer = Literal["answered", "not_supported", "declined", "not_reached", "not_known"]


@dataclass(frozen=True, slots=True)
class Told:
    """`way` is how it was told, `sent_at` when (None: maybe never). `code` is the number of the answer, 0 when there is
    none. `fetched` and `registered` are the seconds after which it was seen to ask for a file, and to register, again;
    None: it was not, or nobody tells."""

    sent_at: datetime | None = None
    way: str = ""
    answer: Answer = "not_known"
    code: int = 0
    fetched: float | None = None
    registered: float | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> Told | None:
        """What `as_dict` made, by this version or another; None of nothing."""
        if not kept:
            return None
        known = {name: kept[name] for name in _NAMES if name in kept}
        if known.get("sent_at"):
            known["sent_at"] = datetime.fromisoformat(known["sent_at"])
        return cls(**known)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data; times as ISO 8601 in UTC."""
        return {**asdict(self), "sent_at": self.sent_at and self.sent_at.isoformat()}


_NAMES = tuple(field.name for field in fields(Told))
