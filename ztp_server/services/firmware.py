"""Firmware images: add, list, remove."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ztp_server.domain.access import Actor
from ztp_server.domain.firmware import Firmware, Library, check_version, missing_steps
from ztp_server.domain.text import check_text
from ztp_server.services.checks import known_model
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.firmware_warnings import find_warnings
from ztp_server.services.templates import Templates
from ztp_server.store import Store


class FirmwareService:
    def __init__(self, store: Store, templates: Templates, files: FirmwareFiles) -> None:
        self._store = store
        self._templates = templates
        self._files = files

    async def all(self) -> list[Firmware]:
        async with self._store.read() as session:
            return await session.firmware.all()

    async def add(
        self, who: Actor, file: Path, models: Sequence[str], version: str, is_default: bool
    ) -> list[Firmware]:
        """Keep an image for some models. Raises BadValue and Conflict; then nothing is kept."""
        check_version(version)
        for model in models:
            known_model(self._templates.catalog, model)
        name = check_text("file", file.name)
        sha256, size = await asyncio.to_thread(self._files.keep, file)
        images = [Firmware(model, version, sha256, size, name, is_default) for model in dict.fromkeys(models)]
        try:
            async with self._store.write() as session:
                for image in images:
                    await session.firmware.add(image)
                    await session.events.add(who.name, "firmware.added", f"{image.model} {version}", {"sha256": sha256})
        except BaseException:
            await self._drop_unused(sha256)
            raise
        return images

    async def remove(self, who: Actor, model: str, version: str) -> None:
        """Raises NotFound. The bytes go when no model names them any more."""
        async with self._store.write() as session:
            image = await session.firmware.remove(model, version)
            await session.events.add(who.name, "firmware.removed", f"{model} {version}")
        await self._drop_unused(image.sha256)

    async def warnings_of(self, source: str) -> list[str]:
        """What is wrong with the version that settings name: `site madrid`, `base settings desk`, `phone <MAC>`."""
        async with self._store.read() as session:
            return [warning.text for warning in await find_warnings(session) if warning.source == source]

    async def warnings_of_image(self, model: str, version: str) -> list[str]:
        """What is wrong with settings that name this version for this model, now that the image is there or gone; and
        what phones need on the way to it."""
        async with self._store.read() as session:
            found = [w.text for w in await find_warnings(session) if (w.model, w.version) == (model, version)]
            library = Library(await session.firmware.all())
            run = [wish.running for wish in await session.phones.firmware_wishes() if wish.model == model]
        row = self._templates.catalog.models.get(model)
        if row is None or library.get(model, version) is None:
            return found
        steps = self._templates.catalog.family_of(row).firmware_steps(model)
        return found + [f"{model}: {text}" for text in missing_steps(version, library.versions(model), steps, run)]

    async def scrub(self) -> list[str]:
        """Hash every image again; returns the SHA-256 of those that are damaged or gone."""
        return await self._files.scrub({image.sha256 for image in await self.all()})

    async def _drop_unused(self, sha256: str) -> None:
        if all(image.sha256 != sha256 for image in await self.all()):
            self._files.forget(sha256)
