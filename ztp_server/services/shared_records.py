"""What many phones have in common, read once for all that are looked at in one session."""

from __future__ import annotations

from collections.abc import Sequence

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.platform import Platform
from ztp_server.domain.site import Site
from ztp_server.store import Session


class SharedRecords:
    """As they were when they were first asked for: not for a session that changes them. The session is not kept."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._bases: dict[str, BaseSettings] = {}
        self._platforms: Sequence[Platform] | None = None

    async def site(self, session: Session, site_id: str) -> Site:
        if site_id not in self._sites:
            self._sites[site_id] = await session.sites.get(site_id)
        return self._sites[site_id]

    async def base_settings(self, session: Session, base_id: str) -> BaseSettings:
        if base_id not in self._bases:
            self._bases[base_id] = await session.base_settings.get(base_id)
        return self._bases[base_id]

    async def platforms(self, session: Session) -> Sequence[Platform]:
        if self._platforms is None:
            self._platforms = await session.platforms.all()
        return self._platforms
