"""What is to be told of an image that was just added or removed."""

from __future__ import annotations

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.firmware import Firmware, FirmwareWish, Library, is_within, missing_steps
from ztp_server.domain.vendor import FirmwareStep
from ztp_server.services.firmware_warnings import find_warnings, named_versions
from ztp_server.store import Session


async def warnings_of_image(session: Session, catalog: Catalog, image: Firmware) -> list[str]:
    """What is wrong with settings that name its version, and which images phones need on the way to it; where it is
    gone, the phones that were to have it, and those that needed it on their way."""
    wishes = [wish for wish in await session.phones.firmware_wishes() if wish.model == image.model]
    library = Library(await session.firmware.all())
    found = [
        warning.text
        for warning in await find_warnings(session, wishes)
        if (warning.model, warning.version) == (image.model, image.version)
    ]
    row = catalog.models.get(image.model)
    steps = catalog.family_of(row).firmware_steps(image.model) if row else ()
    if library.get(image.model, image.version):
        return found + _missing(library, image.model, image.version, steps, [wish.running for wish in wishes])
    return found + await _warnings_of_removed(session, image, library, wishes, steps)


async def _warnings_of_removed(
    session: Session,
    image: Firmware,
    library: Library,
    wishes: list[FirmwareWish],
    steps: tuple[FirmwareStep, ...],
) -> list[str]:
    sites = {site.id: site for site in await session.sites.all()}
    bases = {base.id: base for base in await session.base_settings.all()}
    # By version: what the phones run that are to have it.
    wanted: dict[str, list[str]] = {}
    told: set[str] = set()
    for (_, _, version), askers in named_versions(wishes, sites, bases).items():
        wanted.setdefault(version, []).extend(wish.running for wish in askers)
        told |= {wish.hardware_id for wish in askers}
    by_default = [wish.running for wish in wishes if wish.hardware_id not in told]
    found = []
    if image.is_default and by_default:
        count = len(by_default)
        found.append(
            f"{image.model}: it was the default of {count} whose settings name no version, and there is none now"
        )
    wanted.setdefault(library.default(image.model), []).extend(by_default)
    its_steps = tuple(step for step in steps if is_within(image.version, step.via))
    for version, run in wanted.items():
        if version in library.versions(image.model):
            found += _missing(library, image.model, version, its_steps, run)
    return found


def _missing(library: Library, model: str, version: str, steps: tuple[FirmwareStep, ...], run: list[str]) -> list[str]:
    return [f"{model}: {text}" for text in missing_steps(version, library.versions(model), steps, run)]
