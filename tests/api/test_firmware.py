"""Firmware over REST."""

from __future__ import annotations

import hashlib
import io

from tests.api.conftest import Answered, Rest
from tests.conftest import ADMIN

IMAGE = b"\x00\xffimage" * 50_000
SHA256 = hashlib.sha256(IMAGE).hexdigest()


async def add(rest: Rest, version: str, body: bytes = IMAGE, **more: object) -> Answered:
    query = {"model": ["vvx-411"], "version": version, "file_name": "a & <b>.ld", **more}
    pairs = [(k, v) for k, values in query.items() for v in (values if isinstance(values, list) else [values])]
    headers = {"Content-Type": "application/octet-stream"}
    return await rest.ask("POST", "/firmware", data=io.BytesIO(body), headers=headers, pairs=pairs)


async def test_an_image_is_added_listed_and_removed(rest: Rest) -> None:
    added = await add(rest, "6.4.6", model=["vvx-411", "vvx-401"], default="true")

    assert added.status == 201 and added.headers["Location"] == "/api/v1/firmware/vvx-411/6.4.6"
    assert [(row["model"], row["sha256"], row["size"], row["is_default"]) for row in added.json["items"]] == [
        ("vvx-411", SHA256, len(IMAGE), True), ("vvx-401", SHA256, len(IMAGE), True),
    ]  # fmt: skip
    assert (await rest.services.firmware_files.is_whole(SHA256)) is True
    assert (await rest.get("/firmware/vvx-411/6.4.6")).json == added.json["items"][0]
    assert (await rest.get("/firmware", model="vvx-401")).json["items"] == added.json["items"][1:]

    for model in ("vvx-411", "vvx-401"):
        assert (await rest.delete(f"/firmware/{model}/6.4.6")).status == 200
    assert (await rest.get("/firmware")).json == {"items": [], "next_cursor": None}
    assert not rest.services.firmware_files.path(SHA256).exists()


async def test_images_come_in_parts(rest: Rest) -> None:
    for version in ("1.0", "2.0", "3.0"):
        await add(rest, version)
    first = (await rest.get("/firmware", limit=2)).json
    second = (await rest.get("/firmware", limit=2, cursor=first["next_cursor"])).json

    assert [row["version"] for row in first["items"] + second["items"]] == ["1.0", "2.0", "3.0"]


async def test_what_is_wrong_with_an_image_is_named_and_nothing_is_kept(rest: Rest) -> None:
    assert (await add(rest, "6/4")).fields == ["version"]
    assert (await add(rest, "6.4", model=["vvx-9999"])).fields == ["model"]
    assert (await add(rest, "6.4", model=[])).fields == ["model"]
    assert (await add(rest, "6.4", body=b"")).fields == ["file"]
    assert (await add(rest, "6.4", file_name="a\nb")).fields == ["file_name"]
    assert list((rest.data / "firmware").glob("*")) == []


async def test_a_version_that_is_there_is_not_replaced(rest: Rest) -> None:
    await add(rest, "6.4")

    assert (await add(rest, "6.4", body=b"other")).status == 409
    assert [row["sha256"] for row in (await rest.get("/firmware")).json["items"]] == [SHA256]
    assert [path.name for path in (rest.data / "firmware").glob("*")] == [SHA256]


async def test_an_image_sent_twice_with_a_key_is_added_once(rest: Rest) -> None:
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": "image 1"}
    pairs = [("model", "vvx-411"), ("version", "6.4"), ("file_name", "a.ld")]
    answers = [
        await rest.ask("POST", "/firmware", data=io.BytesIO(body), headers=headers, pairs=pairs)
        for body in (IMAGE, IMAGE, b"other")
    ]

    assert [answer.status for answer in answers] == [201, 201, 422]
    assert answers[0].body == answers[1].body


async def test_permissions_are_those_of_firmware(rest: Rest) -> None:
    await add(rest, "6.4")
    viewer = "viewer-token"

    assert (await rest.get("/firmware", token=viewer)).status == 200
    assert (await rest.delete("/firmware/vvx-411/6.4", token=viewer)).status == 403
    headers = {"Content-Type": "application/octet-stream"}
    pairs = [("model", "vvx-411"), ("version", "6.5"), ("file_name", "a.ld")]
    answer = await rest.ask("POST", "/firmware", data=b"x", headers=headers, pairs=pairs, token=viewer)
    assert answer.status == 403


async def test_the_audit_says_who_added_and_removed_what(rest: Rest) -> None:
    await add(rest, "6.4")
    await rest.delete("/firmware/vvx-411/6.4")
    removed, added = (await rest.get("/audit", subject="firmware:vvx-411/6.4")).json["items"]

    assert (added["action"], added["actor"], added["after"]["sha256"]) == ("firmware.added", "token:admin", SHA256)
    assert (removed["action"], removed["before"]["file_name"]) == ("firmware.removed", "a & <b>.ld")


# ---- warnings ------------------------------------------------------------------------------------------------------


async def test_whoever_removes_an_image_that_settings_name_hears_of_it(rest: Rest) -> None:
    await add(rest, "6.4")
    await rest.services.base_settings.edit(ADMIN, "vvx-standard", None, {"firmware_version": "6.4"})
    warnings = (await rest.delete("/firmware/vvx-411/6.4")).json["warnings"]

    assert warnings == ["base settings vvx-standard: there is no image of 6.4 for vvx-411"]


async def test_whoever_removes_the_image_of_a_step_hears_which_phones_need_it(rest: Rest) -> None:
    for version in ("5.7.3.2263", "5.9.8.5760"):
        await add(rest, version)
    await rest.services.base_settings.edit(ADMIN, "vvx-standard", None, {"firmware_version": "5.9.8.5760"})
    [warning] = (await rest.delete("/firmware/vvx-411/5.7.3.2263")).json["warnings"]

    assert "needs a 5.7" in warning and "to reach 5.9.8.5760" in warning


async def test_whoever_removes_the_default_hears_how_many_have_none_now(rest: Rest) -> None:
    await add(rest, "5.9.8", default="true")
    [warning] = (await rest.delete("/firmware/vvx-411/5.9.8")).json["warnings"]

    assert warning.startswith("vvx-411: it was the default of 2 ")


async def test_an_image_that_nobody_wants_goes_without_a_word(rest: Rest) -> None:
    await add(rest, "5.9.8")

    assert (await rest.delete("/firmware/vvx-411/5.9.8")).json["warnings"] == []
