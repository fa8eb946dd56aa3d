"""/sites over REST."""

from __future__ import annotations

from tests.api.conftest import Rest
from tests.conftest import HD400, HOSTILE_NAME, OTHER_VVX, VVX

MADRID = "/sites/madrid"


async def test_a_site_is_made_read_changed_and_removed(rest: Rest) -> None:
    new = {
        "id": "paris", "name": HOSTILE_NAME, "networks": ["10.2.0.0/16"], "settings": {"time_zone": "Europe/Paris"},
        "civic_address": {"country": "FR", "A3": "Paris", "RD": "Rue <\"l'Été\"&>"},
        "webrtc_url": "wss://sip.example.net/ws", "ice_servers": ["stun:stun.example.net"],
    }  # fmt: skip
    made = await rest.post("/sites", new)
    assert (made.status, made.headers["Location"]) == (201, "/api/v1/sites/paris")
    shown = (await rest.get("/sites/paris")).json
    every = ["certificate", "token", "window", "digest", "network"]
    nothing = {"settings": {}, "line": None}
    assert shown == new | {"proofs": every, "plain_secrets": True, "logged_out": nothing, "revision": 1}

    patch = {"civic_address": {"A3": None, "FLR": "2"}, "plain_secrets": False, "webrtc_url": None, "ice_servers": None}
    changed = (await rest.patch("/sites/paris", patch)).json
    assert changed["civic_address"] == {"country": "FR", "RD": new["civic_address"]["RD"], "FLR": "2"}
    assert (changed["plain_secrets"], changed["webrtc_url"], changed["ice_servers"]) == (False, "", [])
    assert changed["networks"] == ["10.2.0.0/16"] and changed["revision"] == 2, "what is left out stays"
    assert (await rest.patch("/sites/paris", {"civic_address": None})).json["civic_address"] == {}
    assert (await rest.delete("/sites/paris", headers={"If-Match": '"2"'})).status == 412
    assert (await rest.delete("/sites/paris", headers={"If-Match": '"3"'})).status == 204


async def test_a_new_site_trusts_private_networks_unless_it_says(rest: Rest) -> None:
    made = (await rest.post("/sites", {"id": "plain"})).json
    assert "10.0.0.0/8" in made["networks"] and made["name"] == "plain"


async def test_saving_says_which_phones_it_touches_and_a_dry_run_what_in_their_files(rest: Rest) -> None:
    body = {"settings": {"sip_server": "other.example.net"}}
    tried = (await rest.patch(MADRID, body, dry_run="true")).json
    assert tried["affected"]["models"] == {"vvx-411": 2, "audiocodes-405hd": 1}
    assert {sample["model"] for sample in tried["samples"]} == {"vvx-411", "audiocodes-405hd"}
    assert all("other.example.net" in "".join(sample["files"].values()) for sample in tried["samples"])
    assert (await rest.get(MADRID)).json["revision"] == 1
    saved = (await rest.patch(MADRID, body, headers={"If-Match": '"1"'})).json
    assert (saved["revision"], saved["affected"]["phones"], saved["samples"]) == (2, 3, [])


async def test_a_site_with_phones_stays_and_the_answer_names_them(rest: Rest) -> None:
    refused = await rest.delete(MADRID)
    assert (refused.status, refused.json["count"]) == (409, 3)
    assert {phone["hardware_id"] for phone in refused.json["phones"]} == {VVX, OTHER_VVX, HD400}


async def test_who_works_at_one_site_sees_that_one_alone(rest: Rest) -> None:
    await rest.post("/sites", {"id": "paris"})
    own = {"token": "madrid-token"}
    assert [site["id"] for site in (await rest.get("/sites", **own)).json["items"]] == ["madrid"]
    assert (await rest.get("/sites/paris", **own)).status == 404
    assert (await rest.patch("/sites/paris", {"name": "x"}, **own)).status == 404
    assert (await rest.delete("/sites/paris", **own)).status == 404
    assert (await rest.patch(MADRID, {"name": "Mine"}, **own)).json["name"] == "Mine"
    assert (await rest.post("/sites", {"id": "rome"}, **own)).status == 403


async def test_bad_bodies_are_refused_by_field(rest: Rest) -> None:
    for body, field in (
        ({"civic_address": {"A3": "Madrid"}}, "civic_address.country"),
        ({"civic_address": {"country": "ES", "city": "x"}}, "civic_address.city"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": None}, "networks"),
        ({"proofs": ["magic"]}, "proofs"),
        ({"webrtc_url": "https://sip.example.net"}, "webrtc_url"),
        ({"ice_servers": ["stun:a", "b"]}, "ice_servers.2"),
        ({"plain_secrets": "on"}, "plain_secrets"),
        ({"settings": {"networks": "10.0.0.0/8"}}, "settings.networks"),
        ({"settings": {"civic.country": "ES"}}, "settings.civic.country"),
        ({"settings": {"custom.a": "1"}}, "settings.custom.a"),
        ({"settings": {"time_zone": "Mars/Base"}}, "settings.time_zone"),
        ({"revision": 7}, "revision"),
    ):
        assert (await rest.patch(MADRID, body)).fields[:1] == [field], body
    assert (await rest.get(MADRID)).json["revision"] == 1


async def test_the_secrets_of_a_site_are_shown_with_a_reason_alone(rest: Rest) -> None:
    await rest.patch(MADRID, {"settings": {"held_token": "hunter2"}})
    assert (await rest.get(MADRID)).json["settings"]["held_token"] == "***"
    assert (await rest.post(f"{MADRID}/reveal", {"reason": "LIS moved"})).json == {
        "settings": {"held_token": "hunter2"}
    }
    assert (await rest.post(f"{MADRID}/reveal", {"reason": "x"}, token="madrid-token")).status == 403


async def test_the_list_comes_in_pages(rest: Rest) -> None:
    await rest.post("/sites", {"id": "paris"})
    first = (await rest.get("/sites", limit=1)).json
    second = (await rest.get("/sites", limit=1, cursor=first["next_cursor"])).json
    assert [part["items"][0]["id"] for part in (first, second)] == ["madrid", "paris"]
    assert second["next_cursor"] is None
