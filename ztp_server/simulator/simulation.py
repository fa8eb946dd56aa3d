"""A phone's whole way: it boots, goes where it is sent with the CA it was given, and boots until nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.errors import BadValue, NotFound
from ztp_server.simulator.address import folder_of, same_folder
from ztp_server.simulator.boot import BootResult, boot
from ztp_server.simulator.client import Client, new_session
from ztp_server.simulator.failure import SimulationFailed, shown
from ztp_server.simulator.flash import Change, Flash, split_flash
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.registration import Registration
from ztp_server.simulator.trust import Trust

# One address that sends on, another that does, and the one where the phone stays.
MAX_PLACES = 3
# Boots in a row at one address. Two are normal: one that writes to flash, and one that finds nothing changed.
MAX_BOOTS = 5


@dataclass
class Stage:
    """One boot at one address. `changes` are those in flash, after which the phone reboots; `comes_back_to` is where
    it was sent, if that is another address."""

    folder: str
    boot: BootResult
    changes: list[Change] = field(default_factory=list)
    comes_back_to: str = ""
    ca_installed: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the phone stays, or got no further."""
        return bool(self.boot.failure) or not (self.comes_back_to or self.changes)

    @property
    def reason(self) -> str:
        """What in flash made the phone reboot; empty when nothing did. Without the values of secrets."""
        others = f", and {len(self.changes) - 1} more" if len(self.changes) > 1 else ""
        return f"{self.changes[0]}{others}" if self.changes else ""

    @property
    def outcome(self) -> str:
        """What the stage was for, in one line; empty when the phone was not sent elsewhere."""
        if not self.comes_back_to:
            return ""
        kind = "" if self.boot.registrations else "bootstrap: "
        return f"{kind}{'CA installed, ' if self.ca_installed else ''}comes back to {shown(self.comes_back_to)}"


@dataclass
class SimulationReport:
    """What came of a simulation. `failure` is empty when the phone would register every line it was given. `flash` is
    what it holds in the end: passwords among it, never to be printed as a whole."""

    mac: str
    flash: Flash
    stages: list[Stage] = field(default_factory=list)
    failure: str = ""

    @property
    def registrations(self) -> list[Registration]:
        return self.stages[-1].boot.registrations

    @property
    def places(self) -> list[list[Stage]]:
        """The stages in a row at one address together."""
        return [list(stages) for _, stages in groupby(self.stages, key=lambda stage: stage.folder)]

    @property
    def is_over(self) -> bool:
        """Whether the phone stays, fails, or was given up because it goes round for ever."""
        last, places = self.stages[-1], self.places
        goes_round = len(places) == MAX_PLACES if last.comes_back_to else len(places[-1]) == MAX_BOOTS
        return last.is_last or goes_round


async def run_simulation(
    catalog: Catalog,
    mac: str,
    model_id: str,
    url: str,
    *,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    roots: Path | None = None,
    whole_firmware: bool = False,
    flash: Flash | None = None,
) -> SimulationReport:
    """Boot the phone `mac` at `url` until it stays where it is and nothing in its flash changes.

    `flash` is what it holds before, None where that is not known. It trusts the CAs in the files `roots` (from its
    factory) and `ca` (given to it earlier; a CA it is given now takes that one's place), and shows the certificate in
    `cert`. Raises NotFound for a model, BadValue for a MAC, and SimulationFailed for an address or a file that cannot
    be used; whatever the server does is in the report.
    """
    model = catalog.models.get(model_id)
    if model is None:
        raise NotFound(f"no model {model_id}{catalog.nearest_model(model_id)}")
    hardware_id = HardwareId.parse(mac)
    if not hardware_id.is_mac:
        raise BadValue("hardware_id", f"{mac!r} is not a MAC address (12 hex digits)")
    phone = SimulatedPhone(catalog.vendor_of(model), model, hardware_id.value)
    trust = Trust.read(roots, ca, cert, key)
    return await simulate(phone, folder_of(url), trust, flash, whole_images=whole_firmware)


async def simulate(
    phone: SimulatedPhone, folder: str, trust: Trust, flash: Flash | None = None, *, whole_images: bool = False
) -> SimulationReport:
    """The same for a phone that is made already. Raises SimulationFailed when its certificate cannot be used."""
    report = SimulationReport(phone.mac, flash or Flash())
    while True:
        stage, trust = await _stage(phone, folder, trust, report.flash, whole_images)
        report.stages.append(stage)
        if report.is_over:
            break
        folder = stage.comes_back_to or folder
    report.failure = _failure(report)
    return report


async def _stage(
    phone: SimulatedPhone, folder: str, trust: Trust, flash: Flash, whole_images: bool
) -> tuple[Stage, Trust]:
    """One boot, and where to go after it with which trust."""
    async with new_session(trust.context()) as session:
        client = Client(session, phone.user_agent, *_login(phone, flash))
        stage = Stage(folder, await boot(client, phone, folder, whole_images=whole_images))
        if stage.boot.failure:
            return stage, trust
        to_flash, others = split_flash(phone.family.reading.flash, stage.boot.parameters)
        stage.changes = flash.write(to_flash)
        try:
            parameters = {**others, **flash.held}
            steady = _steady_folder(phone, parameters)
            stage.comes_back_to = steady if steady and not same_folder(steady, folder) else ""
            if not stage.is_last:
                given = await _given_ca(client, phone, parameters, trust)
                stage.ca_installed, trust = given != trust, given
        except SimulationFailed as error:
            stage.boot.failure = str(error)
    return stage, trust


def _login(phone: SimulatedPhone, flash: Flash) -> tuple[str, str]:
    """User and password that the phone holds for where it boots from."""
    reading = phone.family.reading
    return flash.held.get(reading.login_user, ""), flash.held.get(reading.login_password, "")


def _steady_folder(phone: SimulatedPhone, parameters: Mapping[str, str]) -> str:
    address = parameters.get(phone.family.reading.address, "")
    return folder_of(address) if address else ""


async def _given_ca(client: Client, phone: SimulatedPhone, parameters: Mapping[str, str], trust: Trust) -> Trust:
    """The trust with the CA a phone was given, if it was: in a parameter, or at an address that one names."""
    reading = phone.family.reading
    pem, address = parameters.get(reading.ca, ""), parameters.get(reading.ca_url, "")
    if pem:
        return trust.with_ca(pem.encode(), reading.ca)
    if not address:
        return trust
    exchange, body = await client.ask("GET", address)
    if not exchange.succeeded:
        reason = f"{exchange.url}: {exchange.status}" if exchange.status else exchange.note
        raise SimulationFailed(f"the CA that the phone should install cannot be had: {reason}")
    exchange.note = "CA"
    return trust.with_ca(body, exchange.url)


def _failure(report: SimulationReport) -> str:
    last = report.stages[-1]
    if last.boot.failure:
        return last.boot.failure
    if last.comes_back_to:
        places = [*(shown(stages[0].folder) for stages in report.places), shown(last.comes_back_to)]
        return f"the phone would reboot for ever: sent on each time, {' → '.join(places)}"
    if last.changes:
        change = last.changes[0]
        return f"the phone would reboot for ever: {change.name} changes at every boot ({change.values})"
    if not report.registrations:
        return (
            f"no line would register: the server knows no phone {report.mac}, or it was not proven (nothing but the "
            "bootstrap file came), or it has no lines"
        )
    missing = [registration.line for registration in report.registrations if not registration.has_server]
    return f"line {missing[0]} has no SIP server: set sip_server at the phone's site" if missing else ""
