"""The one place where the parts are put together: store, rules, doors."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiohttp import web

from ztp_server.api.application import admin_app
from ztp_server.api.server import AdminRunner
from ztp_server.certificates import CertificateFiles, Certificates
from ztp_server.config import Address, ServeOptions, shipped_folder
from ztp_server.domain.template_context import Server
from ztp_server.errors import ZtpError
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics
from ztp_server.phone_http.listeners import PhoneListener, bind
from ztp_server.phone_http.routes import PhoneDoor
from ztp_server.pki.makers import DEMO_CERTS
from ztp_server.services.address import keep_address
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.demo import make_demo
from ztp_server.services.firmware_offers import FirmwareOffers
from ztp_server.services.firmware_requests import FirmwareRequests
from ztp_server.services.fleet import Fleet
from ztp_server.services.opening import Services, open_services, see_folder
from ztp_server.services.provisioning import Provisioning
from ztp_server.services.retention import forget_old
from ztp_server.services.uploads import Uploads

WATCH_SECONDS = 0.5
# How long a stop waits for a moment without a transaction.
REST_SECONDS = 10.0
DAY = 24 * 3600.0

log = structlog.get_logger()


class App:
    """A running server."""

    def __init__(self, options: ServeOptions, services: Services) -> None:
        self.options = options
        self.services = services
        self.metrics = Metrics()
        self.metrics.template_problems.set_function(lambda: len(services.templates.snapshot.problems))
        self.metrics.certificate_days.set_function(lambda: self._certificates.days_left)
        self.listeners: dict[str, PhoneListener] = {}
        self._certificate_files = CertificateFiles(options.data.data / "tls", self._names(), self._maker_folders())
        certificates = self._certificate_files.load(services.templates.catalog)
        self.address = services.address
        self.address.server, self.address.trusted_makers = self._server(certificates), certificates.makers
        self.check_ins = CheckIns(services.store, services.templates)
        self.fleet = Fleet(services.store, services.templates, self.address)
        self._requests = RequestLog(as_json=options.json_log)
        self._door = PhoneDoor(
            self._provisioning(), certificates.devices, options.trusted_proxies, self.metrics, self._requests
        )
        self._certificates = certificates
        self._admin: web.AppRunner | None = None
        self.admin_address: Address | None = None
        # What makes the first account; empty when there is one, or nobody could bring it.
        self.first_token = ""
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, options: ServeOptions) -> App:
        """Open the data, bind every listener, serve. Raises Misconfigured; then nothing is left running."""
        data = options.data
        services = await open_services(
            data.data, data.database_url, shipped_folder("templates"), data.own_templates, data.makers
        )
        try:
            see_folder(data.own_certs)
            if options.demo:
                await make_demo(services, data.data)
            app = cls(options, services)
            if options.admin:
                app.first_token = await services.tokens.new_first()
            await app._open_doors()
        except BaseException:
            await services.close()
            raise
        jobs = services.job_runner.run_forever()
        works = (app.check_ins.run(), services.tokens.run(), app._watch(), app._daily(), jobs)
        app._tasks = [asyncio.create_task(work) for work in works]
        return app

    async def stop(self) -> None:
        """Finish what was begun (at most 10 s a listener), write down what waits, close."""
        await self._close_doors()
        self._requests.flush()
        with suppress(TimeoutError):
            # Not wait_for, which takes turns of the loop in which a job may have begun its next step.
            async with asyncio.timeout(REST_SECONDS):
                await self.services.store.database.rest()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.close()

    def _provisioning(self) -> Provisioning:
        services = self.services
        offers = FirmwareOffers(self.fleet, self.check_ins)
        firmware = FirmwareRequests(self.fleet, services.templates, services.firmware_files, offers, self.check_ins)
        uploads = Uploads(services.store, self.check_ins)
        self.provisioning = Provisioning(
            services.templates, self.address, self.fleet, firmware, offers, uploads, self.check_ins
        )
        return self.provisioning

    def _names(self) -> list[str]:
        return list(dict.fromkeys([self.options.name, *self.options.own_names]))

    def _maker_folders(self) -> list[Path]:
        folders = [shipped_folder("certs"), self.options.data.own_certs]
        # Demonstration phones are believed in a demonstration only.
        return [*folders, self.options.data.data / DEMO_CERTS] if self.options.demo else folders

    def _server(self, certificates: Certificates) -> Server:
        return Server(self._urls(), certificates.ca_pem, self.options.ntp_server)

    def _urls(self) -> dict[str, str]:
        name = f"[{self.options.name}]" if ":" in self.options.name else self.options.name
        listeners = {
            "http": self.options.phone_http,
            "https": self.options.phone_https,
            "mtls": self.options.phone_mtls,
        }
        return {
            kind: f"{'http' if kind == 'http' else 'https'}://{name}:{self._port(kind, address)}/"
            for kind, address in listeners.items()
            if address
        }

    def _port(self, kind: str, address: Address) -> int:
        return self.listeners[kind].address.port if kind in self.listeners else address.port

    async def _open_doors(self) -> None:
        options, certificates = self.options, self._certificates
        self.listeners = {
            kind: PhoneListener(f"--phone-{kind}", address, self._door.handler(kind), context)  # type: ignore[arg-type]
            for kind, address, context in (
                ("http", options.phone_http, None),
                ("https", options.phone_https, certificates.https),
                ("mtls", options.phone_mtls, certificates.mtls),
            )
            if address
        }
        try:
            for listener in self.listeners.values():
                await listener.start()
            await self._open_admin()
        except BaseException:
            await self._close_doors()
            raise
        self.address.server = self._server(certificates)
        await keep_address(self.services.store, self.address)

    async def _open_admin(self) -> None:
        if not self.options.admin:
            return
        sock = bind("--admin", self.options.admin)
        self.admin_address = Address(self.options.admin.host, sock.getsockname()[1])
        data, proxies = self.options.data.data, self.options.trusted_proxies
        app = admin_app(self.services, self.services.tokens, self.metrics, self._requests, data, proxies)
        self._admin = AdminRunner(app, shutdown_timeout=10)
        await self._admin.setup()
        await web.SockSite(self._admin, sock).start()

    async def _close_doors(self) -> None:
        if self._admin:
            await self._admin.cleanup()
        await asyncio.gather(*(listener.stop() for listener in self.listeners.values()))

    async def _watch(self) -> None:
        """Take up changed templates and certificates."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await _undisturbed("templates", self._refresh_templates)
            await _undisturbed("certificates", self._refresh_certificates)

    async def _refresh_templates(self) -> None:
        templates = self.services.templates
        if not await asyncio.to_thread(templates.refresh):
            return
        # What a vendor.toml says of certificates may be another thing now.
        await self._load_certificates()
        for problem in templates.snapshot.problems:
            self.check_ins.report("template.left_out", problem.file, f"{problem.file}:{problem.line}: {problem.reason}")
        log.info("templates.loaded", problems=len(templates.snapshot.problems), number=templates.snapshot.number)

    async def _refresh_certificates(self) -> None:
        if await asyncio.to_thread(self._certificate_files.changed):
            await self._load_certificates()

    async def _load_certificates(self) -> None:
        """Take certificates into service: first the listeners, then what phones are told of them."""
        certificates = await asyncio.to_thread(self._certificate_files.load, self.services.templates.catalog)
        for kind, context in (("https", certificates.https), ("mtls", certificates.mtls)):
            if kind in self.listeners:
                await self.listeners[kind].replace_context(context)
        self._certificates = certificates
        self._door.certificates = certificates.devices
        self.address.server, self.address.trusted_makers = self._server(certificates), certificates.makers
        log.info("certificates.loaded", makers=sorted(certificates.makers))
        await keep_address(self.services.store, self.address)

    async def _daily(self) -> None:
        """At start and once a day: hash every firmware image, remove what is past keeping, and renew our own
        certificate when it is time."""
        while True:
            await _undisturbed("firmware", self._scrub)
            await _undisturbed("retention", self._forget_old)
            await asyncio.sleep(DAY)
            await _undisturbed("certificates", self._load_certificates)

    async def _forget_old(self) -> None:
        await forget_old(self.services.store)
        await self.services.removed_phones.purge(datetime.now(UTC))

    async def _scrub(self) -> None:
        for sha256 in await self.services.firmware.scrub():
            self.check_ins.report("firmware.damaged", sha256, "bytes on disk differ from what was added")


async def _undisturbed(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """A mistake in a file is told and changes nothing that is in service; nothing ends the watch."""
    try:
        await work()
    except (ZtpError, OSError) as error:
        log.error(f"{what}.refused", reason=str(error))
    except Exception:
        log.exception(f"{what}.failed")


async def serve(options: ServeOptions, started: Callable[[App], object]) -> None:
    """Serve until SIGTERM or SIGINT. `started` is called once every listener is up."""
    app = await App.start(options)
    # Templates and catalogue stay as long as the process: looking through them for garbage, each time, would hold up
    # every phone for some hundred milliseconds.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started(app)
    try:
        await stop.wait()
    finally:
        await app.stop()
