"""Firmware images: add, list, remove."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.firmware import Firmware, Library, check_version
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.checks import known_model
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.image_warnings import warnings_of_image
from ztp_server.services.templates import Templates
from ztp_server.store import Store


class FirmwareService:
    def __init__(self, store: Store, templates: Templates, files: FirmwareFiles) -> None:
        self._store = store
        self._templates = templates
        self._files = files

    async def all(self, who: Actor) -> list[Firmware]:
        """Every image, by model and version. Raises Forbidden."""
        who.require("firmware:view")
        return await self._all()

    async def get(self, who: Actor, model: str, version: str) -> Firmware:
        """Raises NotFound."""
        found = Library(await self.all(who)).get(model, version)
        if found is None:
            raise NotFound(f"no firmware {version[:64]} for {model[:64]}")
        return found

    async def add(
        self, who: Actor, file: Path, models: Sequence[str], version: str, is_default: bool
    ) -> list[Firmware]:
        """Keep an image for some models. Raises Forbidden, BadValue and Conflict; then nothing is kept."""
        try:
            with await asyncio.to_thread(open, file, "rb") as original:
                return await self.add_bytes(who, original, file.name, models, version, is_default)
        except OSError as error:
            raise BadValue("file", f"{file}: {error.strerror}") from None

    async def add_bytes(
        self, who: Actor, original: IO[bytes], file_name: str, models: Sequence[str], version: str, is_default: bool
    ) -> list[Firmware]:
        """The same for an image that is not in a file of this machine."""
        who.require("firmware:add")
        check_version(version)
        for model in models:
            known_model(self._templates.catalog, model)
        name = check_text("file_name", file_name)
        sha256, size = await asyncio.to_thread(self._files.keep, original)
        images = [Firmware(model, version, sha256, size, name, is_default) for model in dict.fromkeys(models)]
        try:
            async with self._store.write() as session:
                for image in images:
                    await session.firmware.add(image)
                entries = [AuditEntry("firmware.added", _subject(image), {}, _record(image)) for image in images]
                await session.audit.add_all(who, entries)
        except BaseException:
            await self._drop_unused(sha256)
            raise
        return images

    async def remove(self, who: Actor, model: str, version: str) -> Firmware:
        """Raises Forbidden and NotFound. The bytes go when no model names them any more."""
        who.require("firmware:delete")
        async with self._store.write() as session:
            image = await session.firmware.remove(model, version)
            await session.audit.add(who, "firmware.removed", _subject(image), before=_record(image))
        await self._drop_unused(image.sha256)
        return image

    async def warnings_of_image(self, who: Actor, image: Firmware) -> list[str]:
        """What is to be told of an image that was added, or removed: settings that name it, and phones that need one
        on the way. Raises Forbidden."""
        who.require("firmware:view")
        async with self._store.read() as session:
            return await warnings_of_image(session, self._templates.catalog, image)

    async def scrub(self) -> list[str]:
        """Hash every image again; returns the SHA-256 of those that are damaged or gone."""
        return await self._files.scrub({image.sha256 for image in await self._all()})

    async def _drop_unused(self, sha256: str) -> None:
        if all(image.sha256 != sha256 for image in await self._all()):
            self._files.forget(sha256)

    async def _all(self) -> list[Firmware]:
        async with self._store.read() as session:
            return await session.firmware.all()


def _subject(image: Firmware) -> str:
    return f"firmware:{image.model}/{image.version}"


def _record(image: Firmware) -> dict[str, Any]:
    names = ("sha256", "size", "file_name", "is_default")
    return {name: getattr(image, name) for name in names}
