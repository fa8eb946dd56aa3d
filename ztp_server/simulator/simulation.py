"""A phone's whole way: it boots, goes where it is sent with the CA it was given, and boots again until it stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.errors import BadValue, NotFound
from ztp_server.simulator.address import folder_of, same_folder
from ztp_server.simulator.boot import BootResult, boot
from ztp_server.simulator.client import Client, new_session
from ztp_server.simulator.failure import SimulationFailed, shown
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.registration import Registration
from ztp_server.simulator.trust import Trust

MAX_STAGES = 3


@dataclass
class Stage:
    """One boot at one address. `comes_back_to` is where the phone was sent, if that is another one."""

    folder: str
    boot: BootResult
    comes_back_to: str = ""
    ca_installed: bool = False

    @property
    def outcome(self) -> str:
        """What the stage was for, in one line; empty when the phone stays."""
        if not self.comes_back_to:
            return ""
        kind = "" if self.boot.registrations else "bootstrap: "
        return f"{kind}{'CA installed, ' if self.ca_installed else ''}comes back to {shown(self.comes_back_to)}"


@dataclass
class SimulationReport:
    """What came of a simulation. `failure` is empty when the phone would register every line it was given."""

    mac: str
    stages: list[Stage] = field(default_factory=list)
    failure: str = ""

    @property
    def registrations(self) -> list[Registration]:
        return self.stages[-1].boot.registrations


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
) -> SimulationReport:
    """Boot the phone `mac` at `url` until it stays where it is.

    It trusts the CAs in the files `roots` (from its factory) and `ca` (given to it earlier; a CA it is given now takes
    that one's place), and shows the certificate in `cert`. Raises NotFound for a model, BadValue for a MAC, and
    SimulationFailed for an address or a file that cannot be used; whatever the server does is in the report.
    """
    model = catalog.models.get(model_id)
    if model is None:
        raise NotFound(f"no model {model_id}{catalog.nearest_model(model_id)}")
    hardware_id = HardwareId.parse(mac)
    if not hardware_id.is_mac:
        raise BadValue("hardware_id", f"{mac!r} is not a MAC address (12 hex digits)")
    phone = SimulatedPhone(catalog.vendor_of(model), model, hardware_id.value)
    return await simulate(phone, folder_of(url), Trust.read(roots, ca, cert, key), whole_images=whole_firmware)


async def simulate(phone: SimulatedPhone, folder: str, trust: Trust, *, whole_images: bool = False) -> SimulationReport:
    """The same for a phone that is made already. Raises SimulationFailed when its certificate cannot be used."""
    report = SimulationReport(phone.mac)
    while True:
        stage, trust = await _stage(phone, folder, trust, whole_images)
        report.stages.append(stage)
        if not stage.comes_back_to or len(report.stages) == MAX_STAGES:
            break
        folder = stage.comes_back_to
    report.failure = _failure(report)
    return report


async def _stage(phone: SimulatedPhone, folder: str, trust: Trust, whole_images: bool) -> tuple[Stage, Trust]:
    """One boot, and where to go after it with which trust."""
    async with new_session(trust.context()) as session:
        client = Client(session, phone.user_agent)
        stage = Stage(folder, await boot(client, phone, folder, whole_images=whole_images))
        if stage.boot.failure:
            return stage, trust
        try:
            steady = _steady_folder(phone, stage.boot)
            if steady and not same_folder(steady, folder):
                given = await _given_ca(client, phone, stage.boot, trust)
                stage.ca_installed, trust = given is not None, given or trust
                stage.comes_back_to = steady
        except SimulationFailed as error:
            stage.boot.failure = str(error)
    return stage, trust


def _steady_folder(phone: SimulatedPhone, result: BootResult) -> str:
    address = result.parameters.get(phone.family.reading.address, "")
    return folder_of(address) if address else ""


async def _given_ca(client: Client, phone: SimulatedPhone, result: BootResult, trust: Trust) -> Trust | None:
    """The trust with the CA a phone was given: in a parameter, or at an address that one names."""
    reading = phone.family.reading
    pem, address = result.parameters.get(reading.ca, ""), result.parameters.get(reading.ca_url, "")
    if pem:
        return trust.with_ca(pem.encode(), reading.ca)
    if not address:
        return None
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
        places = [*(shown(stage.folder) for stage in report.stages), shown(last.comes_back_to)]
        return f"the phone would reboot for ever: sent on each time, {' → '.join(places)}"
    if not report.registrations:
        return (
            f"no line would register: the server knows no phone {report.mac}, or it was not proven (nothing but the "
            "bootstrap file came), or it has no lines"
        )
    missing = [registration.line for registration in report.registrations if not registration.has_server]
    return f"line {missing[0]} has no SIP server: set sip_server at the phone's site" if missing else ""
