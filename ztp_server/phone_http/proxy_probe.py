"""Whether the proxy replaces what phones say of themselves: found out by asking it, not by reading how it is set up."""

from __future__ import annotations

import asyncio
from ssl import SSLError

import aiohttp
import structlog

from ztp_server.errors import ForgeableProxy
from ztp_server.phone_http.forwarded import ForwardedHeader, Report, Trial

_TIMEOUT = aiohttp.ClientTimeout(total=10)
# A proxy may be started after us, and set up anew while we run.
AGAIN_SECONDS = 30.0
_HOURLY_SECONDS = 3600.0

log = structlog.get_logger()


class ProxyProbe:
    """Asks `url` with a header that no phone may set, and lets certificates of the proxy count when it was replaced."""

    def __init__(self, url: str, header: ForwardedHeader, report: Report) -> None:
        self._url = url.rstrip("/") + "/"
        self._header = header
        self._report = report

    async def ask(self) -> str:
        """Ask once. What is wrong, or an empty text when the proxy is sound. Raises ForgeableProxy; from then on, as
        while nothing is known, no certificate of the proxy counts."""
        trial = self._header.trial = Trial(self._header.header)
        try:
            problem = await self._request(trial)
        finally:
            self._header.trial = None
        if trial.found == "forged":
            self._header.believed = False
            raise ForgeableProxy(
                f"--proxy-probe {self._url}: a forged {trial.header} or X-Forwarded-For came through the proxy; "
                "it must set both in every server block (deploy/proxy)"
            )
        if trial.found == "replaced":
            self._header.believed = True
            return ""
        return problem or "what it was asked did not come through to --phone-proxied"

    async def first(self) -> None:
        """At the start. Raises ForgeableProxy; a proxy that is not there yet is asked again by `run`."""
        self._tell(await self.ask())

    async def run(self) -> None:
        """Ask again for as long as the server runs: soon while the proxy was not reached, then every hour."""
        while True:
            await asyncio.sleep(_HOURLY_SECONDS if self._header.believed else AGAIN_SECONDS)
            try:
                self._tell(await self.ask())
            except ForgeableProxy as error:
                self._report("proxy.forgeable", self._url, str(error))

    def _tell(self, problem: str) -> None:
        if problem:
            log.warning("proxy.not_reached", url=self._url, reason=problem, believed=self._header.believed)

    async def _request(self, trial: Trial) -> str:
        # Its certificate may be of any CA: nothing is believed of the answer, only what arrives here counts.
        connector = aiohttp.TCPConnector(ssl=False)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
                session.get(self._url + trial.name, headers=trial.headers, allow_redirects=False) as answer,
            ):
                await answer.read()
        except (aiohttp.ClientError, SSLError, OSError, TimeoutError) as error:
            return f"cannot be reached: {type(error).__name__}"
        return ""
