from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import HOSTILE_NAME, HOSTILE_PASSWORD, OTHER_VVX, VVX

NEW = {
    "name": HOSTILE_NAME,
    "hardware_id": "00:04:F2:00:00:01",
    "model": "vvx-411",
    "site": "madrid",
    "base_settings": "vvx-standard",
    "settings": {"rtp_port_start": 5000},
    "lines": [{"user": "1009", "password": "p&<", "display_name": HOSTILE_NAME}],
    "line_keys": [{"type": "line", "line": 1}, {"type": "blf", "value": "1002", "label": "Sales"}],
}
DOOR = {"name": "Door", "category": "unmanaged", "site": "madrid", "lines": [{"user": "5001"}]}


async def test_a_phone_is_added_shown_changed_and_removed(rest: Rest) -> None:
    added = await rest.post("/phones", NEW)
    assert added.status == 201 and added.json["warnings"] == added.json["new_passwords"] == []
    assert added.headers["Location"].endswith(f"/phones/{added.json['id']}")
    path = f"/phones/{added.json['id']}"
    shown = await rest.get("/phones/0004.f200.0001")
    assert shown.json == {k: v for k, v in added.json.items() if k not in ("warnings", "new_passwords")}
    assert (shown.json["hardware_id"], shown.json["standalone"], shown.json["user"]) == ("0004f2000001", False, None)
    assert shown.json["status"]["provisioning"] == "never_seen" and "p&<" not in shown.body.decode()

    patch = {"name": "New", "settings": {"rtp_port_start": None, "rtp_dscp": 40, "vlan_id": None}}
    changed = await rest.patch(path, patch, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.status, changed.json["settings"], changed.json["revision"]) == (200, {"rtp_dscp": 40}, 2)
    late = await rest.patch(path, {"name": "Late"}, headers={"If-Match": shown.headers["ETag"]})
    assert late.status == 412

    assert (await rest.delete(path)).status == 204
    assert (await rest.get(path)).status == 404


async def test_a_removed_phone_is_listed_and_comes_back(rest: Rest) -> None:
    for mac in (VVX, OTHER_VVX):
        await rest.delete(f"/phones/{mac}")

    first = (await rest.get("/removed-phones", limit=1)).json
    second = (await rest.get("/removed-phones", limit=1, cursor=first["next_cursor"])).json
    assert [row["hardware_id"] for row in first["items"] + second["items"]] == [OTHER_VVX, VVX]
    assert second["next_cursor"] is None and first["items"][0]["removed_by"] == "token:admin"

    back = await rest.post(f"/removed-phones/{VVX}/restore")
    assert (back.status, back.json["hardware_id"], len(back.json["lines"])) == (200, VVX, 2)
    assert (await rest.post(f"/removed-phones/{VVX}/restore")).status == 404
    assert (await rest.get("/removed-phones", cursor="WyJ4IiwieSJd")).fields == ["cursor"]


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ({**NEW, "hardware_id": VVX}, 409, []),
        ({**NEW, "hardware_id": None}, 422, ["hardware_id"]),
        ({**NEW, "remote_address": "+34"}, 422, ["remote_address"]),
        ({**NEW, "base_settings": "400hd"}, 422, ["base_settings"]),
        ({**NEW, "settings": {"rtp_dcsp": 1}}, 422, ["settings.rtp_dcsp"]),
        ({**NEW, "line_keys": [{"type": "line", "line": 9}]}, 422, ["line_keys.1.line"]),
        ({**NEW, "colour": "red"}, 422, ["colour"]),
        ({**DOOR, "model": "vvx-411"}, 422, ["model"]),
        ({"name": "Ana", "category": "remote", "site": "madrid"}, 422, ["remote_address"]),
        ({"name": "Ana", "category": "webrtc", "site": "madrid"}, 422, ["user"]),
    ],
)
async def test_what_a_new_phone_must_not_be_is_named(rest: Rest, body: Any, status: int, fields: list[str]) -> None:
    answer = await rest.post("/phones", body)

    assert answer.status == status and (status == 409 or answer.fields == fields)


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"site": None}, "site"),
        ({"lines": None}, "lines"),
        ({"settings": None}, "settings"),
        ({"category": "remote"}, "category"),
        ({"hardware_id": None}, "hardware_id"),
    ],
)
async def test_what_a_phone_must_keep_cannot_be_null(rest: Rest, patch: Any, field: str) -> None:
    assert (await rest.patch(f"/phones/{VVX}", patch)).fields == [field]


async def test_who_may_not_is_told_so_or_sees_nothing(rest: Rest) -> None:
    assert (await rest.post("/phones", NEW, token="viewer-token")).status == 403
    assert (await rest.delete(f"/phones/{VVX}", token="viewer-token")).status == 403
    await rest.services.sites.add(rest.tokens.actors["admin-token"], "paris", "Paris", {"time_zone": "Europe/Paris"})
    moved = await rest.patch(f"/phones/{VVX}", {"site": "paris"}, token="madrid-token")
    assert moved.status == 403
    await rest.patch(f"/phones/{VVX}", {"site": "paris"})
    assert (await rest.get(f"/phones/{VVX}", token="madrid-token")).status == 404


async def test_the_password_of_an_unmanaged_phone_is_seen_once_and_then_revealed_for_a_reason(rest: Rest) -> None:
    added = await rest.post("/phones", DOOR)
    (made,) = added.json["new_passwords"]
    path = f"/phones/{added.json['id']}"

    assert (await rest.get(f"{path}/connection")).json["accounts"][0]["password"] == "***"
    assert (await rest.get(f"{path}/connection", reveal=1)).fields == ["reason"]
    assert (await rest.get(f"{path}/connection", reveal=1, reason="x", token="viewer-token")).status == 403
    found = (await rest.get(f"{path}/connection", reveal=1, reason="reset")).json
    assert (found["accounts"][0]["password"], found["server"], found["port"]) == (
        made["password"],
        "sip.example.net",
        5061,
    )

    renewed = await rest.post(f"{path}/new-password", {"line": 1})
    assert renewed.json["new_passwords"][0]["password"] != made["password"]
    assert (await rest.post(f"{path}/new-password", {"line": 2})).fields == ["line"]
    assert (await rest.get(f"{path}/files")).status == 404


async def test_lines_keep_their_passwords_when_the_list_is_written_anew(rest: Rest) -> None:
    lines = [{"user": "1002", "label": "two"}, {"user": "1001", "password": None}]

    answer = await rest.put(f"/phones/{VVX}/lines", {"lines": lines})

    assert [line["user"] for line in answer.json["lines"]] == ["1002", "1001"]
    phone = await rest.services.phones.get(rest.tokens.actors["admin-token"], VVX)
    assert [line.password for line in phone.lines] == ["second", HOSTILE_PASSWORD]


async def test_lines_and_keys_are_changed_one_by_one(rest: Rest) -> None:
    path = f"/phones/{VVX}"

    await rest.post(f"{path}/lines", {"user": "1000", "position": 1})
    await rest.patch(f"{path}/lines/1", {"label": "Zero"})
    await rest.post(f"{path}/lines/move", {"from": 1, "to": 3})
    await rest.delete(f"{path}/lines/3")
    await rest.post(f"{path}/line-keys", {"type": "park", "value": "70", "position": 2})
    await rest.post(f"{path}/line-keys/move", {"from": 5, "to": 1})
    await rest.patch(f"{path}/line-keys/3", {"label": "P"})
    answer = await rest.delete(f"{path}/line-keys/4")

    assert [line["user"] for line in answer.json["lines"]] == ["1001", "1002"]
    assert answer.json["line_keys"] == [
        {"type": "line", "line": 2},
        {"type": "line", "line": 1},
        {"type": "park", "value": "70", "label": "P"},
        {"type": "speed_dial", "value": "+34600000000", "label": "Home"},
    ]
    assert (await rest.delete(f"{path}/lines/1")).fields == ["line_keys.2.line"]
    assert (await rest.patch(f"{path}/lines/x", {})).fields == ["position"]
    assert (await rest.patch(f"{path}/lines/1", {"label": None})).fields == ["label"]
    whole = await rest.put(f"{path}/line-keys", {"line_keys": []})
    assert whole.json["line_keys"] == []


async def test_a_setting_is_overridden_explained_and_reset(rest: Rest) -> None:
    path = f"/phones/{VVX}/settings"

    written = await rest.put(f"{path}/sip_server", {"value": "own.example.net"})
    assert written.json["settings"] == {"sip_server": "own.example.net"}
    plain = (await rest.get(path)).json
    assert plain["settings"]["sip_server"] == "own.example.net" and plain["explained"] == []
    assert plain["settings"]["admin_password"] == "***"
    explained = {row["name"]: row for row in (await rest.get(path, explain=1)).json["explained"]}
    row = explained["sip_server"]
    assert (row["layer"], row["overridden"], row["underneath"][0]["source"]) == ("phone", True, "site madrid")
    assert "Ad&min1" not in str(explained)

    assert (await rest.delete(f"{path}/sip_server")).json["settings"] == {}
    again = await rest.delete(f"{path}/sip_server")
    assert (again.status, again.json["revision"]) == (200, 3)
    assert (await rest.put(f"{path}/sip_sever", {"value": "x"})).fields == ["settings.sip_sever"]


async def test_files_are_shown_without_secrets_unless_revealed(rest: Rest) -> None:
    path = f"/phones/{VVX}/files"
    names = (await rest.get(path)).json["files"]
    file = f"{path}/{VVX}-settings.cfg"

    assert f"{VVX}-settings.cfg" in names
    hidden = (await rest.get(file)).body.decode()
    assert 'reg.1.auth.password="***"' in hidden and "second" not in hidden
    assert (await rest.get(file, reveal=1)).fields == ["reason"]
    assert (await rest.get(file, reveal=1, reason="x", token="madrid-token")).status == 403
    assert 'reg.2.auth.password="second"' in (await rest.get(file, reveal=1, reason="support")).body.decode()
    assert (await rest.get(f"{path}/nothing.cfg")).status == 404


async def test_each_line_of_a_file_says_what_made_it(rest: Rest) -> None:
    path = f"/phones/{VVX}/files/{VVX}-settings.cfg"
    file, lines = await rest.get(path), (await rest.get(f"{path}/lines")).json["lines"]
    assert "".join(f"{line['text']}\n" for line in lines) == file.body.decode()

    (payload,) = (line for line in lines if "tone.dtmf.rfc2833Payload=" in line["text"])
    assert payload["settings"] == [
        {"name": "settings.dtmf_payload_type", "source": "base settings vvx-standard", "underneath": 1}
    ]
    assert payload["sources"][0].startswith("poly/parts/media.cfg.j2:")
    (password,) = (line for line in lines if "reg.2.auth.password" in line["text"])
    assert password["settings"] == [{"name": "lines.2.password", "source": "phone", "underneath": 0}]
    assert "***" in password["text"]


async def test_lines_with_secrets_take_a_permission_and_a_reason_that_is_audited(rest: Rest) -> None:
    path = f"/phones/{VVX}/files/{VVX}-settings.cfg/lines"
    assert (await rest.get(path, reveal=1)).fields == ["reason"]
    assert (await rest.get(path, reveal=1, reason="x", token="madrid-token")).status == 403
    shown = (await rest.get(path, reveal=1, reason="support")).json["lines"]
    assert any('reg.2.auth.password="second"' in line["text"] for line in shown)
    newest = (await rest.get("/audit", limit=1)).json["items"][0]
    assert (newest["action"], newest["reason"]) == ("phone.revealed", "support")
    assert (await rest.get(f"/phones/{VVX}/files/other.cfg/lines")).status == 404


async def test_what_a_user_changed_on_a_phone_is_undone(rest: Rest) -> None:
    assert (await rest.delete(f"/phones/{VVX}/user-overrides", token="viewer-token")).status == 403
    assert (await rest.delete(f"/phones/{VVX}/user-overrides")).status == 204
    assert (await rest.delete("/phones/00908f112233/user-overrides")).status == 404
