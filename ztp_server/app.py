"""The one place where the parts are put together: store, rules, doors."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from ztp_server.api.listener import AdminListener
from ztp_server.api.opening import open_admin
from ztp_server.certificates import CertificateFiles, Certificates
from ztp_server.config import Address, ServeOptions, shipped_folder
from ztp_server.domain.login_place import login_prefixes
from ztp_server.domain.request import Listener
from ztp_server.domain.template_context import Server
from ztp_server.errors import StoreUnavailable, ZtpError
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics
from ztp_server.phone_http.digest import Logins
from ztp_server.phone_http.doors import PhoneDoors
from ztp_server.phone_http.forwarded import ForwardedHeader
from ztp_server.phone_http.listeners import PhoneListener, bind
from ztp_server.phone_http.routes import PhoneDoor
from ztp_server.services.address import keep_address
from ztp_server.services.ca_pins import report_changed_cas
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.demo import make_demo
from ztp_server.services.failures import Failures
from ztp_server.services.firmware_offers import FirmwareOffers
from ztp_server.services.firmware_requests import FirmwareRequests
from ztp_server.services.fleet import Fleet
from ztp_server.services.hand_over import HandOver
from ztp_server.services.last_good_writer import LastGoodWriter
from ztp_server.services.opening import Services, open_services, see_folder
from ztp_server.services.provisioning import Provisioning
from ztp_server.services.retention import forget_old
from ztp_server.services.rule_approvals import RuleApprovals
from ztp_server.services.serving import keep_serving, note_stopped
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
        self._certificate_files = CertificateFiles(
            options.data.data / "tls", self._names(), options.data.makers.counted(options.demo)
        )
        certificates = self._certificate_files.load(services.templates.catalog)
        self.address = services.address
        self.address.is_demo = options.demo
        self.address.logins = login_prefixes((*options.digest, *options.basic))
        self.check_ins = CheckIns(services.store, services.templates)
        self.rule_approvals = RuleApprovals(services.store, services.templates, self.address, self.check_ins.report)
        self.check_ins.knocked = self.rule_approvals.consider
        self.metrics.knocks_left_out.set_function(lambda: self.check_ins.knocks.left_out)
        self.fleet = Fleet(services.store, services.templates, self.address)
        kept = services.last_good
        self.last_good = LastGoodWriter(services.store, services.templates, kept, self.check_ins.report)
        self._requests = RequestLog(as_json=options.json_log)
        header = options.proxied.header if options.proxied else ""
        forwarded = ForwardedHeader(header, certificates.forwarded, self.check_ins.report)
        self._door = PhoneDoor(
            self._provisioning(),
            certificates,
            forwarded,
            options.trusted_proxies,
            self.metrics,
            self._requests,
            Logins(options.digest, options.basic),
        )
        self.doors = PhoneDoors(options, self._door, forwarded, self.check_ins.report, self.metrics)
        self.address.server, self.address.trusted_makers = self._server(certificates), certificates.makers
        self._certificates = certificates
        self._admin: AdminListener | None = None
        self.admin_address: Address | None = None
        # What makes the first account; empty when there is one, or nobody could bring it.
        self.first_token = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def listeners(self) -> dict[Listener, PhoneListener]:
        """Those for phones that are open."""
        return self.doors.listeners

    @property
    def admin_url(self) -> str:
        """Where administrators connect, without a slash at its end; empty when they cannot."""
        if not self.admin_address:
            return ""
        address = Address(self.options.admin_host or self.options.name, self.admin_address.port)
        return f"{'https' if self.options.admin_uses_tls else 'http'}://{address}"

    @classmethod
    async def start(cls, options: ServeOptions) -> App:
        """Open the data, bind every listener, serve; without its database, if that cannot be opened and phones have
        last good files. Raises Misconfigured; then nothing is left running."""
        data = options.data
        where = data.data, data.database_url, shipped_folder("templates"), data.own_templates, data.makers
        services = await open_services(*where, data.secret_key, to_serve=True)
        try:
            see_folder(data.own_certs)
            if options.demo and services.store.is_open:
                await make_demo(services, data.data)
            app = cls(options, services)
            await app._open_doors()
        except BaseException:
            await services.close()
            raise
        phones = (app.check_ins.run(), app.rule_approvals.run(), app.doors.run(), services.job_runner.run_forever())
        of_data = (services.tokens.run(), services.logins.run(), app.last_good.run(), app._open_database())
        sip = services.dynamic_reload.run(), services.registrations.run(app.check_ins.report)
        app._tasks = [asyncio.create_task(w) for w in (*phones, *of_data, *sip, app._watch(), app._daily())]
        return app

    async def stop(self) -> None:
        """Finish what was begun (at most 10 s a listener), write down what waits, close."""
        await self._close_doors()
        self._requests.flush()
        with suppress(TimeoutError):
            # Not wait_for, which takes turns of the loop in which a job may have begun its next step.
            async with asyncio.timeout(REST_SECONDS):
                await self.services.store.rest()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.close()
        await asyncio.to_thread(note_stopped, self.options.data.data)

    async def _open_database(self) -> None:
        """Go on to open a database that did not open at the start."""
        if await self.services.opening.later(self.services.store, self.check_ins.report):
            await _undisturbed("address", self._write_down)

    def _provisioning(self) -> Provisioning:
        services = self.services
        offers = FirmwareOffers(self.fleet, self.check_ins)
        firmware = FirmwareRequests(self.fleet, services.templates, services.firmware_files, offers, self.check_ins)
        uploads = Uploads(services.store, self.check_ins)
        hand_over = HandOver(services.store, services.templates, self.check_ins)
        self.provisioning = Provisioning(
            services.templates, self.address, self.fleet, firmware, offers, uploads, self.check_ins, hand_over
        )
        self.provisioning.last_good, self.provisioning.made = self.last_good.last_good, self.last_good.note
        self.fleet.forgotten = self.last_good.last_good.forget
        self.provisioning.failures = Failures(self.fleet.hardware_ids, self.check_ins.report, self.metrics)
        return self.provisioning

    def _names(self) -> list[str]:
        options = self.options
        # Not those of a plain listener: what is in the certificate is for all phones to read.
        admin = (options.admin_host, *options.admin_door.names) if options.admin_uses_tls else ()
        return list(dict.fromkeys(name for name in (options.name, *options.own_names, *admin) if name))

    def _server(self, certificates: Certificates) -> Server:
        return Server(self.doors.urls(), certificates.ca_pem, self.options.ntp_server)

    async def _open_doors(self) -> None:
        try:
            await self.doors.open(self._certificates)
            await self._open_admin()
        except BaseException:
            await self._close_doors()
            raise
        self.address.server = self._server(self._certificates)
        try:
            await self._write_down()
        except StoreUnavailable as error:
            log.error("address.not_written", reason=str(error))
        await asyncio.to_thread(keep_serving, self.options.data.data, self._facts())

    async def _write_down(self) -> None:
        """What a server tells its database when it starts. Raises StoreUnavailable."""
        if self.options.admin:
            self.first_token = await self.services.tokens.new_first()
        await keep_address(self.services.store, self.address)
        await self._report_changed_cas()

    def _facts(self) -> dict[str, Any]:
        """What `ztp doctor` is told of this server."""
        listening = {str(kind): str(one.address) for kind, one in self.listeners.items()}
        admin = {"admin": str(self.admin_address)} if self.admin_address else {}
        return {**self.options.facts(), "listeners": listening | admin, "urls": self.doors.urls()}

    async def _open_admin(self) -> None:
        if not self.options.admin:
            return
        sock = bind("--admin", self.options.admin)
        self.admin_address = Address(self.options.admin.host, sock.getsockname()[1])
        self._admin = await open_admin(sock, self.options, self.services, self.metrics, self._requests)

    async def _close_doors(self) -> None:
        if self._admin:
            await self._admin.stop()
        await self.doors.close()

    async def _watch(self) -> None:
        """Take up changed templates and certificates."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            # Also while no phone asks: once one does, the database may be gone.
            await _undisturbed("changes", self.fleet.catch_up)
            await _undisturbed("templates", self._refresh_templates)
            await _undisturbed("certificates", self._refresh_certificates)
            if self._admin:
                await _undisturbed("admin certificate", self._admin.refresh)

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
        await self.doors.replace(certificates)
        self._certificates = certificates
        self.address.server, self.address.trusted_makers = self._server(certificates), certificates.makers
        log.info("certificates.loaded", makers=sorted(certificates.makers))
        await keep_address(self.services.store, self.address)
        await self._report_changed_cas()

    async def _report_changed_cas(self) -> None:
        folders = self.options.data.makers.counted(self.options.demo)
        await report_changed_cas(self.services.store, folders, self.check_ins.report)

    async def _daily(self) -> None:
        """At start and once a day: hash every firmware image, remove what is past keeping, and renew our own
        certificate when it is time."""
        while True:
            await _undisturbed("listeners", self.doors.look_at_the_date)
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
    with suppress(OSError):  # standard output on a full disk
        started(app)
    try:
        await stop.wait()
    finally:
        await app.stop()
