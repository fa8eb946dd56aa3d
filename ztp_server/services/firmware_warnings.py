"""Settings that name a version of firmware which phones will not get: told to whoever writes them, never refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.firmware import FirmwareWish, Library, is_older, is_within
from ztp_server.domain.site import Site
from ztp_server.store import Session

VERSION, DOWNGRADE = "firmware_version", "firmware_downgrade"


@dataclass(frozen=True)
class FirmwareWarning:
    """Something to tell of the version that `source` names for a model."""

    source: str
    model: str
    version: str
    text: str


async def find_warnings(
    session: Session,
    wishes: list[FirmwareWish] | None = None,
    *,
    site: Site | None = None,
    base: BaseSettings | None = None,
) -> list[FirmwareWarning]:
    """Everything to tell, of all that settings name, or of what these wishes come from; as if a site or base settings
    were these already."""
    library = Library(await session.firmware.all())
    sites = {kept.id: kept for kept in await session.sites.all()} | ({site.id: site} if site else {})
    bases = {kept.id: kept for kept in await session.base_settings.all()} | ({base.id: base} if base else {})
    if wishes is None:
        wishes = await session.phones.firmware_wishes()
    found = []
    for (source, model, version), askers in named_versions(wishes, sites, bases).items():
        if version not in library.versions(model):
            text = f"{source}: there is no image of {version} for {model}"
            found.append(FirmwareWarning(source, model, version, text))
        newer = sum(wish.phones for wish in askers if _keeps(wish, version, sites, bases))
        if newer:
            text = (
                f"{source}: {newer} {model} said to run a newer one than {version} and will keep it; "
                f"{DOWNGRADE}=on lets them go back"
            )
            found.append(FirmwareWarning(source, model, version, text))
    return found


def named_versions(
    wishes: list[FirmwareWish], sites: Mapping[str, Site], bases: Mapping[str, BaseSettings]
) -> dict[tuple[str, str, str], list[FirmwareWish]]:
    """The versions that settings name, by who names it and for which model, with the phones that inherit it."""
    named: dict[tuple[str, str, str], list[FirmwareWish]] = {}
    for base in bases.values():
        if base.settings.get(VERSION):  # with no phones yet, it is meant for the model it was made for
            named[f"base settings {base.id}", base.model, base.settings[VERSION]] = []
    for wish in wishes:
        layers = (
            (f"phone {wish.hardware_id}", wish.version),
            (f"base settings {wish.base_settings}", bases[wish.base_settings].settings.get(VERSION)),
            (f"site {wish.site}", sites[wish.site].settings.get(VERSION)),
        )
        source, version = next(((who, said) for who, said in layers if said is not None), ("", ""))
        if version:
            named.setdefault((source, wish.model, version), []).append(wish)
    return named


def _keeps(wish: FirmwareWish, version: str, sites: Mapping[str, Site], bases: Mapping[str, BaseSettings]) -> bool:
    """Whether a phone runs something newer, and may not go back."""
    is_newer = bool(wish.running) and is_older(version, wish.running) and not is_within(wish.running, version)
    said: list[Any] = [wish.downgrade]
    said += [layer.settings.get(DOWNGRADE) for layer in (bases[wish.base_settings], sites[wish.site])]
    return is_newer and not next((value for value in said if value is not None), False)
