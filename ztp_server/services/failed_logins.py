"""Failed log-ins on their way to the audit: summed up, so that a flood of them is no flood of records."""

from __future__ import annotations

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry

# Records between two writings, one for each account and address; what comes beyond is in a last one, as a number.
_MOST_RECORDS = 10


class FailedLogins:
    """Counts, in memory, what failed since the audit was last told."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, str], int] = {}
        self._others = 0
        self._turned_away = 0

    def failed(self, subject: str, address: str) -> None:
        """A wrong password. What was typed is not repeated unless it is an account (`account:ana`): people type
        passwords in the wrong place."""
        key = (subject, address)
        if key in self._listed or len(self._listed) < _MOST_RECORDS:
            self._listed[key] = self._listed.get(key, 0) + 1
        else:
            self._others += 1

    def turned_away(self) -> None:
        """One who had to wait: no password was looked at."""
        self._turned_away += 1

    def take(self) -> list[tuple[Actor, AuditEntry]]:
        """What is to be written down, which is forgotten by that."""
        found = [
            (Actor("nobody", (), address), AuditEntry("login.failed", subject, after={"failures": count}))
            for (subject, address), count in self._listed.items()
        ]
        rest = {"failures": self._others, "turned_away": self._turned_away}
        if any(rest.values()):
            found.append((Actor("nobody"), AuditEntry("login.failed", "account", after=rest)))
        self._listed, self._others, self._turned_away = {}, 0, 0
        return found
