"""What the platforms told, put together for phones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import AtServer, LineRegistration, RollUp, roll_up
from ztp_server.services.line_servers import LineServers
from ztp_server.store.registrations import Registering, Told

Known = Mapping[tuple[str, str], Sequence[Told]]


class Platforms:
    """Which platform has a SIP server."""

    def __init__(self, platforms: Iterable[Platform]) -> None:
        self.by_id = {platform.id: platform for platform in platforms}
        self._of_domain: dict[str, Platform] = {}
        for platform in self.by_id.values():
            for domain in platform.domains:
                self._of_domain.setdefault(folded(domain), platform)

    @property
    def telling(self) -> list[Platform]:
        """Those that have a source."""
        return [platform for platform in self.by_id.values() if platform.source != "none"]

    def of(self, server: str) -> Platform | None:
        """The platform of a SIP server, None when no platform has it."""
        return self._of_domain.get(folded(server))


class RollUps:
    """Phones → their lines at their servers → what that comes to."""

    def __init__(self, platforms: Platforms, servers: LineServers) -> None:
        self.platforms = platforms
        self.servers = servers

    def lines(self, phone: Registering, known: Known) -> list[LineRegistration]:
        """What is known of each line of a phone. `known` is what platforms told, by platform and user."""
        servers = self.servers.of(phone)
        if not servers.primary:
            return []
        found = []
        for user in self.servers.users(phone):
            first = self._at(user, servers.primary, "", known)
            has_two = servers.secondary and not self._tells_no_domain(first, user, servers.secondary, known)
            second = self._at(user, servers.secondary, servers.primary, known) if has_two else None
            found.append(LineRegistration(user, first, second))
        return found

    def roll_up(self, phone: Registering, known: Known) -> RollUp:
        """The registration of a phone."""
        if phone.category == "remote":
            return RollUp("unknown", "a remote phone registers elsewhere")
        servers = self.servers.of(phone)
        if not servers.primary:
            return RollUp("unknown", "it has no SIP server")
        lines = self.lines(phone, known)
        once = any(told.ever_registered for line in lines for told in self._rows(line, known))
        return roll_up(lines, servers, was_registered=once)

    def aors(self, phone: Registering) -> list[tuple[str, str]]:
        """The addresses of record of a phone's lines, each with the platform that is to tell of it."""
        servers = self.servers.of(phone)
        found = []
        for server in filter(None, (servers.primary, servers.secondary)):
            platform = self.platforms.of(server)
            if platform and platform.source != "none":
                found += [(platform.id, f"{user}@{server}") for user in self.servers.users(phone)]
        return found

    def _rows(self, line: LineRegistration, known: Known) -> Iterable[Told]:
        """What was told of a line by the platforms that have its servers."""
        for at in filter(None, (line.primary, line.secondary)):
            platform = self.platforms.of(at.server)
            yield from known.get((platform.id, line.user), ()) if platform else ()

    def _tells_no_domain(self, first: AtServer, user: str, secondary: str, known: Known) -> bool:
        """Whether a platform has both servers of a line that is registered, and does not tell with which of them."""
        platform = self.platforms.of(secondary)
        if not first.contacts or platform is None or platform.id != first.platform:
            return False
        return any(told.contacts and not told.domain for told in known.get((platform.id, user), ()))

    def _at(self, user: str, server: str, primary: str, known: Known) -> AtServer:
        """A line at a server; `primary` is its first one when this is its second. On another platform than the first,
        a line has the domain of the first at the second, too."""
        platform = self.platforms.of(server)
        if platform is None:
            return AtServer(server, untold=f"no platform has the SIP server {server}")
        if platform.source == "none":
            return AtServer(server, untold=f"platform {platform.id} has nobody who tells who is registered")
        first = self.platforms.of(primary) if primary else None
        is_own = first is not None and first.id == platform.id
        domains = {folded(server)} if is_own else {folded(server), folded(primary), ""}
        rows = [told for told in known.get((platform.id, user), ()) if folded(told.domain) in domains]
        contacts = tuple(contact for told in rows for contact in told.contacts)
        if contacts:
            return AtServer(server, platform.id, contacts)
        untold = next((told.untold for told in rows if told.untold), "")
        if not rows and platform.source == "reg_event":  # which has no whole picture to be missing in
            untold = f"platform {platform.id} has not told of line {user} yet"
        return AtServer(server, platform.id, (), untold)


def by_user(told: Iterable[Told]) -> dict[tuple[str, str], list[Told]]:
    """What was told, by platform and user."""
    found: dict[tuple[str, str], list[Told]] = {}
    for one in told:
        found.setdefault((one.platform, one.user), []).append(one)
    return found


def folded(name: str) -> str:
    return name.casefold().rstrip(".")
