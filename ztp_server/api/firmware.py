"""/firmware: images that phones run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Reply, Routes, Upload
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Flag, Page, PageQuery, Query
from ztp_server.domain.firmware import Firmware

routes = Routes("firmware", "Images that phones run.")

LARGEST_IMAGE = 2 << 30


class ImageRecord(Answer):
    """An image of a model."""

    model: str
    version: str
    sha256: str
    size: int
    file_name: str
    is_default: bool


class ImageQuery(PageQuery):
    """Which images."""

    model: str = Field("", max_length=64, description="Of a model.")


class NewImage(Query):
    """What an image is, beside its bytes."""

    model: list[str] = Field(min_length=1, max_length=100, description="A model it is for; may be repeated.")
    version: str = Field(min_length=1, max_length=64, description="As base settings name it.")
    file_name: str = Field(min_length=1, max_length=255, description="What the maker calls the file.")
    default: Flag = Field("false", description="Give it to phones of the model whose settings name none.")


class Added(Answer):
    """The images that were added, and what to know of them."""

    items: list[ImageRecord]
    warnings: list[str]


class Removed(Answer):
    """What to know now that the image is gone."""

    warnings: list[str]


@routes.get("/firmware", answer=Page[ImageRecord], permission="firmware:view")
async def list_firmware(call: Call, query: ImageQuery) -> Any:
    """List images, by model and version."""
    place = read_cursor(query.cursor, str, str)
    images = [image for image in await call.services.firmware.all(call.who) if query.model in ("", image.model)]
    rows = [image for image in sorted(images, key=_place) if place is None or _place(image) > place]
    shown = rows[: query.limit]
    return page(map(asdict, shown), make_cursor(*_place(shown[-1])) if len(rows) > query.limit else None)


@routes.post(
    "/firmware",
    answer=Added,
    status=201,
    permission="firmware:add",
    upload=Upload(("application/octet-stream",), LARGEST_IMAGE),
)
async def add_firmware(call: Call, query: NewImage) -> Any:
    """Add an image for some models. The body is the file."""
    assert call.upload
    firmware, is_default = call.services.firmware, query.default == "true"
    images = await firmware.add_bytes(call.who, call.upload, query.file_name, query.model, query.version, is_default)
    warnings = [text for image in images for text in await firmware.warnings_of_image(call.who, image)]
    location = f"/firmware/{images[0].model}/{images[0].version}"
    return Reply({"items": list(map(asdict, images)), "warnings": warnings}, location=location)


@routes.get("/firmware/{model}/{version}", answer=ImageRecord, permission="firmware:view")
async def get_firmware(call: Call, model: str, version: str) -> Any:
    """Show an image of a model."""
    return asdict(await call.services.firmware.get(call.who, model, version))


@routes.delete("/firmware/{model}/{version}", answer=Removed, permission="firmware:delete")
async def remove_firmware(call: Call, model: str, version: str) -> Any:
    """Remove an image of a model.

    Settings may go on naming it; phones then keep what they run."""
    image = await call.services.firmware.remove(call.who, model, version)
    return {"warnings": await call.services.firmware.warnings_of_image(call.who, image)}


def _place(image: Firmware) -> tuple[str, str]:
    return image.model, image.version
