"""Phones that went offline, as events: one for a site, however many went together."""

from __future__ import annotations

from collections.abc import Callable

from ztp_server.domain.registration import RollUp
from ztp_server.store.registrations import Registering

# So long phones of a site are collected; who is back by then is not spoken of.
COLLECT_SECONDS = 10.0
_NAMED = 3
# Of a site; with more, that it is many is all there is to say.
_MOST = 10_000

Report = Callable[[str, str, str], None]


class OfflineEvents:
    """Tells, with `report` (action, subject, reason), of phones that were registered and are no more."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._gone: dict[str, dict[str, str]] = {}
        self._since: dict[str, float] = {}

    def note(self, phone: Registering, before: str, after: RollUp, now: float) -> None:
        """A phone's registration is another now."""
        of_site = self._gone.get(phone.site, {})
        if after.state != "offline":
            of_site.pop(phone.id, None)
        elif before in ("online", "degraded") and len(of_site) < _MOST:
            self._gone.setdefault(phone.site, {})[phone.id] = f"{phone.name} ({phone.hardware_id or phone.category})"
            self._since.setdefault(phone.site, now)

    def tell(self, now: float) -> None:
        """Report the sites whose time is over."""
        for site in [site for site, since in self._since.items() if now - since >= COLLECT_SECONDS]:
            del self._since[site]
            names = list(self._gone.pop(site, {}).values())
            if names:
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                which = "phone is" if len(names) == 1 else "phones are"
                said = f"{len(names)} {which} not registered any more: {', '.join(names[:_NAMED])}{more}"
                self._report("phones.offline", f"site {site}", said)
