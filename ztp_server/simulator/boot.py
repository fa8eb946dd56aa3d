"""One boot of a phone: the requests that vendor.toml declares, in order, against one address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ztp_server.domain.vendor import BootStep
from ztp_server.simulator.address import address_of
from ztp_server.simulator.client import Client, Exchange, take_all, take_header, take_image
from ztp_server.simulator.failure import SimulationFailed
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.reading import read_parameters
from ztp_server.simulator.registration import Registration, registrations

_LOG = b"Simulated boot: no phone wrote this log.\n"


@dataclass
class BootResult:
    """What a boot came to. `failure` is empty, or says at which request the phone gave up and why.

    `parameters` hold what the phone read, secrets among them: never to be printed as a whole.
    """

    exchanges: list[Exchange]
    parameters: Mapping[str, str]
    registrations: list[Registration]
    failure: str = ""


async def boot(client: Client, phone: SimulatedPhone, folder: str, *, whole_images: bool = False) -> BootResult:
    """Boot a phone against `folder`, an address with its trailing slash.

    Never raises for what the server does: that is the result's `failure`. With `whole_images` firmware is downloaded
    to its end, otherwise only its header, as phones do that run it already.
    """
    walk = _Walk(client, phone, folder, whole_images)
    failure = ""
    try:
        for step in phone.family.boot:
            await walk.take(step)
    except SimulationFailed as error:
        failure = str(error)
    lines = registrations(phone.family.reading, phone.model.lines, walk.parameters)
    return BootResult(client.exchanges, walk.parameters, lines, failure)


class _Walk:
    def __init__(self, client: Client, phone: SimulatedPhone, folder: str, whole_images: bool) -> None:
        self._client = client
        self._phone = phone
        self._folder = folder
        self._take_image = take_image if whole_images else take_header
        self._of_files: dict[str, str] = {}
        self._overrides: dict[str, str] = {}

    @property
    def parameters(self) -> dict[str, str]:
        """What holds so far: a user's own changes go above every file."""
        return {**self._of_files, **self._overrides}

    async def take(self, step: BootStep) -> None:
        """Ask what a step says. A step that points to a parameter which no file gave asks nothing."""
        if step.firmware_in:
            await self._take_firmware(step, self.parameters.get(step.firmware_in, ""))
        elif step.listed_in:
            for name in filter(None, map(str.strip, self.parameters.get(step.listed_in, "").split(","))):
                self._use(step, *await self._ask(step, name))
        else:
            exchange, body = await self._ask(step, self._phone.fill(step.path))
            if exchange.status == 404 and step.otherwise:
                exchange.note = "not there: asks for the next name"
                exchange, body = await self._ask(step, self._phone.fill(step.otherwise))
            self._use(step, exchange, body)

    async def _take_firmware(self, step: BootStep, address: str) -> None:
        """The names that a phone makes of a firmware address, until one is there."""
        folder, slash, name = address.rpartition("/")
        words = {"dir": folder + slash, "name": name}
        # Who has no part number asks for no name made of it.
        patterns = [p for p in step.names or ("{dir}{name}",) if self._phone.model.part or "{part}" not in p]
        exchange = None
        for pattern in patterns if name else ():
            exchange, _ = await self._ask(step, self._phone.fill(pattern, **words))
            if exchange.succeeded:
                return
        if exchange:
            self._check_missed(step, exchange)

    async def _ask(self, step: BootStep, name: str) -> tuple[Exchange, bytes]:
        is_image = bool(step.firmware_in) or self._phone.is_image(name)
        return await self._client.ask(
            step.method,
            address_of(self._folder, name),
            body=_LOG if step.method == "PUT" else None,
            take=self._take_image if is_image else take_all,
        )

    def _use(self, step: BootStep, exchange: Exchange, body: bytes) -> None:
        if not exchange.succeeded:
            self._check_missed(step, exchange)
        elif step.reads or step.overrides:
            found = read_parameters(exchange.url, self._phone.family.reading.format, body)
            exchange.note = exchange.note or f"{len(found)} parameters"
            # What was read first stands: makers let the file further left in a list win.
            if step.overrides:
                self._overrides = {**found, **self._overrides}
            else:
                self._of_files = {**found, **self._of_files}

    def _check_missed(self, step: BootStep, exchange: Exchange) -> None:
        """Go on without an optional file. Raises SimulationFailed for any other."""
        if step.optional:
            exchange.note = exchange.note or "goes on without"
        elif exchange.status == 0:
            raise SimulationFailed(exchange.note)
        else:
            raise SimulationFailed(f"{exchange.method} {exchange.url}: {exchange.status}{self._hint(step, exchange)}")

    def _hint(self, step: BootStep, exchange: Exchange) -> str:
        """What an administrator should look at."""
        if exchange.status >= 500:
            return ", a fault of the server: its log says which"
        if exchange.status != 404 or not step.reads:
            return ""
        if step.listed_in:
            return f", though {step.listed_in} names it"
        return f": the server knows no phone {self._phone.mac}, or it was not proven (certificate, network)"
