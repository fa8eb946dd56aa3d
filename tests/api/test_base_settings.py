"""/base-settings over REST."""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HOSTILE_NAME, OTHER_VVX, VVX

BASE = "/base-settings/vvx-standard"


async def test_base_settings_are_made_read_changed_and_removed(rest: Rest) -> None:
    new = {"id": "lobby", "model": "vvx-411", "name": HOSTILE_NAME, "settings": {"rtp_dscp": 40, "mwi_enabled": None}}
    made = await rest.post("/base-settings", new)
    assert (made.status, made.headers["Location"]) == (201, "/api/v1/base-settings/lobby")
    assert made.json["settings"] == {"rtp_dscp": 40} and made.json["revision"] == 1

    shown = await rest.get("/base-settings/lobby")
    assert shown.json == {
        "id": "lobby", "name": HOSTILE_NAME, "model": "vvx-411", "settings": {"rtp_dscp": 40}, "revision": 1,
    }  # fmt: skip
    patch = {"settings": {"rtp_dscp": None, "language": None, "codecs": ["audio/PCMA"]}, "reason": "quieter"}
    changed = await rest.patch("/base-settings/lobby", patch)
    assert changed.json["settings"] == {"codecs": ["audio/PCMA"]} and changed.json["revision"] == 2
    assert changed.json["name"] == HOSTILE_NAME, "what is left out stays"
    assert (await rest.delete("/base-settings/lobby", reason="closed")).status == 204
    assert (await rest.get("/base-settings/lobby")).status == 404


async def test_the_list_comes_in_pages(rest: Rest) -> None:
    first = (await rest.get("/base-settings", limit=1)).json
    second = (await rest.get("/base-settings", limit=1, cursor=first["next_cursor"])).json
    assert [part["items"][0]["id"] for part in (first, second)] == ["400hd", "vvx-standard"]
    assert second["next_cursor"] is None
    assert "Ad&min1" not in repr(second), "a list shows no secret"


async def test_a_change_of_what_another_has_changed_is_refused(rest: Rest) -> None:
    tag = (await rest.get(BASE)).headers["ETag"]
    assert (await rest.patch(BASE, {"settings": {"rtp_dscp": 40}}, headers={"If-Match": tag})).status == 200
    for refused in (
        await rest.patch(BASE, {"settings": {"rtp_dscp": 41}}, headers={"If-Match": tag}),
        await rest.post(f"{BASE}/revert", {"revision": 1}, headers={"If-Match": tag}),
        await rest.delete(BASE, headers={"If-Match": tag}),
    ):
        assert refused.status == 412


async def test_a_dry_run_answers_what_it_would_do_and_does_nothing(rest: Rest) -> None:
    tried = (await rest.patch(BASE, {"settings": {"dtmf_payload_type": 104}}, dry_run="1")).json
    assert tried["changes"] == [{"name": "settings.dtmf_payload_type", "before": 102, "after": 104}]
    assert tried["affected"] == {
        "phones": 2, "models": {"vvx-411": 2}, "sites": {"madrid": 2}, "base_settings": {"vvx-standard": 2},
    }  # fmt: skip
    [sample] = tried["samples"]
    assert sample["phone"] in (VVX, OTHER_VVX) and any("104" in diff for diff in sample["files"].values())
    assert (await rest.get(BASE)).json["revision"] == 1
    saved = (await rest.patch(BASE, {"settings": {"dtmf_payload_type": 104}})).json
    assert (saved["revision"], saved["affected"]["phones"], saved["samples"]) == (2, 2, [])


async def test_revisions_are_listed_read_compared_and_returned_to(rest: Rest) -> None:
    await rest.patch(BASE, {"settings": {"dtmf_payload_type": 104}, "reason": "new gateway"})
    first = (await rest.get(f"{BASE}/revisions", limit=1)).json
    assert [(row["revision"], row["author"], row["reason"]) for row in first["items"]] == [
        (2, "token:admin", "new gateway")
    ]
    second = (await rest.get(f"{BASE}/revisions", limit=1, cursor=first["next_cursor"])).json
    assert [row["revision"] for row in second["items"]] == [1] and second["next_cursor"] is None
    old = (await rest.get(f"{BASE}/revisions/1")).json
    assert old["settings"] == {"dtmf_payload_type": 102, "admin_password": "***"} and old["author"] == "test"

    diff = (await rest.get(f"{BASE}/diff", **{"from": 1, "files": "1"})).json
    assert (diff["from"], diff["to"]) == (1, 2) and diff["sample"]["files"]
    assert (await rest.get(f"{BASE}/diff", **{"from": 1, "to": 2})).json["sample"] is None
    chosen = (await rest.get(f"{BASE}/diff", **{"from": 1, "to": 2, "phone": VVX})).json
    assert chosen["sample"]["phone"] == VVX

    back = await rest.post(f"{BASE}/revert", {"revision": 1, "reason": "old gateway"})
    assert (back.status, back.json["revision"], back.json["settings"]["dtmf_payload_type"]) == (200, 3, 102)


async def test_what_is_no_revision_is_not_found_or_refused(rest: Rest) -> None:
    for number in ("0", "9", "x", "-1", "9" * 40, "²"):
        assert (await rest.get(f"{BASE}/revisions/{number}")).status == 404
    assert (await rest.get(f"{BASE}/diff", **{"from": "9" * 40})).fields == ["from"]
    assert (await rest.get(f"{BASE}/diff")).fields == ["from"]
    assert (await rest.post(f"{BASE}/revert", {"revision": 2**40})).fields == ["revision"]
    assert (await rest.post(f"{BASE}/revert", {"revision": 7})).status == 404


async def test_a_clone_begins_as_the_other_is(rest: Rest) -> None:
    made = await rest.post(f"{BASE}/clone", {"id": "copy", "settings": {"dtmf_payload_type": None, "rtp_dscp": 41}})
    assert (made.status, made.headers["Location"]) == (201, "/api/v1/base-settings/copy")
    assert made.json["settings"] == {"admin_password": "***", "rtp_dscp": 41}
    assert (await rest.services.base_settings.get(ADMIN, "copy")).settings["admin_password"] == "Ad&min1"
    assert (await rest.post(f"{BASE}/clone", {"id": "copy"})).status == 409


async def test_what_phones_use_is_not_removed_and_the_answer_names_them(rest: Rest) -> None:
    refused = await rest.delete(BASE)
    assert (refused.status, refused.json["count"]) == (409, 2)
    assert {phone["hardware_id"] for phone in refused.json["phones"]} == {VVX, OTHER_VVX}


async def test_the_admin_password_is_shown_to_who_may_see_it_and_gives_a_reason(rest: Rest) -> None:
    revealed = await rest.post(f"{BASE}/reveal", {"reason": "locked out"})
    assert revealed.json == {"settings": {"admin_password": "Ad&min1"}}
    assert (await rest.post(f"{BASE}/reveal", {})).fields == ["reason"]
    for token in ("viewer-token", "madrid-token"):
        assert (await rest.post(f"{BASE}/reveal", {"reason": "x"}, token=token)).status == 403


async def test_the_template_of_a_model_says_who_says_what(rest: Rest) -> None:
    rows = {row["name"]: row for row in (await rest.get("/models/vvx-411/template")).json["items"]}
    assert rows["rtp_dscp"]["value"] == 46 and rows["rtp_dscp"]["source"] == "product default"
    assert {row["support"] for row in rows.values()} > {"parameter", "server"}
    assert (await rest.get("/models/vvx-4/template")).status == 404


async def test_bad_bodies_are_refused_by_field(rest: Rest) -> None:
    good = {"id": "new", "model": "vvx-411"}
    for body, field in (
        ({"id": "Not An Id"}, "id"),
        ({"model": "vvx"}, "model"),
        ({"colour": "red"}, "colour"),
        ({"settings": {"rtp_dscp": 64}}, "settings.rtp_dscp"),
        ({"settings": {"rtp_dspc": 1}}, "settings.rtp_dspc"),
        ({"settings": {"codecs": ["audio/PCMA", "x"]}}, "settings.codecs.2"),
        ({"name": "a\nb"}, "name"),
        ({"reason": "a\u0007b"}, "reason"),
    ):
        assert (await rest.post("/base-settings", good | body)).fields[:1] == [field], body
    assert (await rest.patch(BASE, {"name": ""})).fields == ["name"]
    assert (await rest.patch(BASE, {"name": None})).fields == ["name"]
    assert (await rest.get(BASE)).json["revision"] == 1


async def test_a_viewer_reads_and_does_not_write(rest: Rest) -> None:
    viewer = {"token": "viewer-token"}
    for path in ("/base-settings", BASE, f"{BASE}/revisions", f"{BASE}/revisions/1", "/models/vvx-411/template"):
        assert (await rest.get(path, **viewer)).status == 200
    for answer in (
        await rest.post("/base-settings", {"id": "new", "model": "vvx-411"}, **viewer),
        await rest.patch(BASE, {"settings": {}}, **viewer),
        await rest.post(f"{BASE}/clone", {"id": "new"}, **viewer),
        await rest.post(f"{BASE}/revert", {"revision": 1}, **viewer),
        await rest.delete(BASE, **viewer),
    ):
        assert answer.status == 403
