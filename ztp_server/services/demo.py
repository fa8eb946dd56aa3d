"""Data to try the server with: a site on this machine, and a few phones with factory certificates of their own.

The phones are rows of vendor.toml. Nothing of it is made where there is data already.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from ztp_server.domain.access import Actor
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.vendor import DemoPhone, Vendor
from ztp_server.pki.authority import make_device_authority, make_device_certificate
from ztp_server.pki.makers import DEMO_CERTS
from ztp_server.services.opening import Services
from ztp_server.store.meta import DEMO

_DEVICES = "demo/devices"
_SITE = "demo"
_WHO = Actor.trusted("demo")
_FIRST_EXTENSION = 1001


@dataclass(frozen=True)
class DemoDevice:
    """A demonstration phone and the files of its factory certificate."""

    phone: DemoPhone
    vendor: Vendor
    certificate: Path
    key: Path


async def make_demo(services: Services, data: Path) -> None:
    """Fill an empty data folder, and see that every demonstration phone has its certificate."""
    devices = demo_devices(services, data)
    for vendor in {device.vendor.id: device.vendor for device in devices}.values():
        make_device_authority(data / DEMO_CERTS / vendor.id, f"demo-{vendor.id}-ca")
    for device in devices:
        _make_certificate(device, data)
    if not await services.sites.all(_WHO):
        async with services.store.write() as session:
            await session.meta.set(DEMO, "1")
        await _make_records(services)


def demo_devices(services: Services, data: Path) -> list[DemoDevice]:
    """The demonstration phones of every vendor that has some."""
    folder = data / _DEVICES
    return [
        DemoDevice(phone, vendor, folder / f"{phone.mac}.pem", folder / f"{phone.mac}.key")
        for vendor in services.templates.catalog.vendors.values()
        for phone in vendor.demo
        if vendor.certificate
    ]


def _make_certificate(device: DemoDevice, data: Path) -> None:
    rule = device.vendor.certificate
    assert rule
    authority = data / DEMO_CERTS / device.vendor.id / f"demo-{device.vendor.id}-ca"
    subject = {rule.attribute: rule.example.replace("{MAC}", device.phone.mac.upper())}
    make_device_certificate(
        authority.with_suffix(".pem"), authority.with_suffix(".key"), data / _DEVICES, device.phone.mac, subject
    )


async def _make_records(services: Services) -> None:
    catalog = services.templates.catalog
    servers = {
        "sip_server": "sip.example.net",
        "sip_server_secondary": "sip2.example.net",
        "sntp_servers": "ntp.example.net",
    }
    await services.sites.add(_WHO, _SITE, "Demonstration", servers)
    extension = _FIRST_EXTENSION
    for vendor in catalog.vendors.values():
        for row in vendor.demo:
            base = f"demo-{catalog.models[row.model].family}"
            if base not in {b.id for b in await services.base_settings.all(_WHO)}:
                password = {"admin_password": secrets.token_hex(6)}
                await services.base_settings.add(_WHO, base, base, row.model, password)
            await services.phones.add(_WHO, _phone(row, base, str(extension)))
            extension += 1


def _phone(row: DemoPhone, base: str, extension: str) -> Phone:
    line = Line(extension, password=secrets.token_hex(8), display_name=row.name, label=extension)
    keys = tuple(LineKey(**key) for key in row.line_keys)
    return Phone(row.name, row.mac, row.model, _SITE, base, lines=(line,), line_keys=keys)
