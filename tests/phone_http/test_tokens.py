"""A token in the path is a proof, and a secret."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, VVX_UA, World, sample_phone
from tests.phone_http.conftest import IMAGE, VERSION, AddFirmware, Start
from tests.phone_http.far_away import (
    CAFE,
    HOME,
    SETTINGS,
    as_sent,
    ask,
    events,
    far_world,
    proofs,
    put_digest,
    put_token,
    put_window,
    site,
    statements,
)
from ztp_server.domain.request import PhoneRequest
from ztp_server.phone_http.identity import requested_path, separated

UNKNOWN = "0004f2999999"


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    return await far_world(start, copy)


async def test_the_steady_token_gives_its_phone_its_whole_file_from_anywhere(world: World) -> None:
    token = await put_token(world)
    first = await ask(world, f"t/{token}/{SETTINGS}")
    elsewhere = await ask(world, f"t/{token}/{SETTINGS}", CAFE)
    plain = await ask(world, f"t/{token.upper()}/{SETTINGS}", listener="http")

    assert first.status == 200 and len(token) >= 39
    assert first.body == elsewhere.body == plain.body
    assert first.headers["ETag"] == elsewhere.headers["ETag"]
    assert (await ask(world, SETTINGS)).status == 404


async def test_over_plain_http_a_token_gives_no_secrets_where_the_site_gives_none(world: World) -> None:
    token, bootstrap = await put_token(world), await put_token(world, "bootstrap")
    await site(world, plain_secrets="off")

    # Not even the bootstrap file: a configured phone would be emptied by it.
    assert (await ask(world, f"t/{token}/{VVX}.cfg", listener="http")).status == 404
    assert (await ask(world, f"t/{bootstrap}/{VVX}.cfg", listener="http")).status == 404
    assert (await proofs(world)).bootstrap.first_used_at is None
    assert (await ask(world, f"t/{token}/{VVX}.cfg")).status == 200


async def test_a_token_is_for_the_files_of_its_phone_alone(world: World) -> None:
    token, other = await put_token(world), await put_token(world, mac=OTHER_VVX)
    await site(world, networks="203.0.113.0/24")

    # Even where the address would do: no phone asks for the file of another one.
    assert (await ask(world, f"t/{other}/{SETTINGS}")).status == 404
    assert (await ask(world, f"t/{token}/{HD400}.cfg")).status == 404
    assert (await ask(world, f"t/{token}/{SETTINGS}")).status == 200


async def test_a_token_that_is_none_any_more_leaves_the_other_proofs(world: World) -> None:
    old = await put_token(world)
    await put_token(world)
    before = await ask(world, f"t/{old}/{SETTINGS}")
    await site(world, networks="203.0.113.0/24")

    assert before.status == 404
    assert (await ask(world, f"t/{old}/{SETTINGS}")).status == 200
    assert (await ask(world, f"t/{old}/{SETTINGS}", CAFE)).status == 404


async def test_where_tokens_are_no_proof_a_token_is_nothing(world: World) -> None:
    token = await put_token(world)
    await site(world, proofs="certificate,network")

    answer = await ask(world, f"t/{token}/{SETTINGS}")
    await site(world, networks="203.0.113.0/24")
    by_network = await ask(world, SETTINGS)

    assert answer.status == 404
    assert by_network.status == 200 and b"/t/" not in by_network.body


async def test_a_bootstrap_token_belongs_to_the_address_that_used_it_first(world: World) -> None:
    token = await put_token(world, "bootstrap")
    first = await ask(world, f"t/{token}/{SETTINGS}")
    theft = [await ask(world, f"t/{token}/{name}", CAFE) for name in (SETTINGS, f"{VVX}.cfg", SETTINGS)]
    again = await ask(world, f"t/{token}/{SETTINGS}")
    [used], [refused] = await events(world, "phone_token.used"), await events(world, "proof.refused")
    await world.restart()

    assert first.status == again.status == 200 and first.body == again.body
    assert {answer.status for answer in theft} == {404}
    assert used.subject == refused.subject == VVX and CAFE in refused.detail["reason"]
    assert (await proofs(world)).bootstrap.address == HOME
    assert (await ask(world, f"t/{token}/{SETTINGS}", CAFE)).status == 404
    assert (await ask(world, f"t/{token}/{SETTINGS}")).status == 200


async def test_of_two_who_use_a_bootstrap_token_at_once_one_is_too_late(world: World) -> None:
    token = await put_token(world, "bootstrap")
    hosts = [f"203.0.113.{number}" for number in range(1, 9)]
    answers = await asyncio.gather(*(ask(world, f"t/{token}/{SETTINGS}", host) for host in hosts))

    [winner] = [host for host, answer in zip(hosts, answers, strict=True) if answer.status == 200]
    assert (await proofs(world)).bootstrap.address == winner


async def test_a_one_time_token_counts_for_no_address_that_is_not_known(world: World) -> None:
    token = await put_token(world, "bootstrap")
    hidden = await world.ask(f"t/{token}/{SETTINGS}", listener="https", headers={"X-Real-IP": HOME})

    assert hidden.status == 404 and (await proofs(world)).bootstrap.first_used_at is None


async def test_when_the_steady_token_is_used_the_bootstrap_token_and_the_window_die_in_all_processes(
    world: World, start: Start
) -> None:
    other = await start(world.data, trusted_proxies=world.app.options.trusted_proxies)
    bootstrap, steady = await put_token(world, "bootstrap"), await put_token(world)
    await put_window(world)
    on_its_way = [await ask(one, f"t/{bootstrap}/{SETTINGS}") for one in (world, other)]
    arrived = await ask(world, f"t/{steady}/{SETTINGS}")
    has = await proofs(world)
    late = [await ask(one, f"t/{bootstrap}/{SETTINGS}") for one in (world, other)]
    by_window = [await ask(one, SETTINGS) for one in (world, other)]

    assert [answer.status for answer in on_its_way] == [200, 200] and arrived.status == 200
    assert arrived.body == on_its_way[0].body
    assert has.bootstrap is None and has.window is None and has.steady.address == HOME
    assert {answer.status for answer in (*late, *by_window)} == {404}
    assert len(await events(world, "phone_token.ended", "window.closed")) == 2


async def test_a_bootstrap_token_made_for_later_outlives_the_polls_of_today(world: World) -> None:
    steady = await put_token(world)
    await ask(world, f"t/{steady}/{SETTINGS}")
    bootstrap = await put_token(world, "bootstrap")
    await ask(world, f"t/{steady}/{SETTINGS}")

    assert (await ask(world, f"t/{bootstrap}/{SETTINGS}", CAFE)).status == 200
    await ask(world, f"t/{steady}/{SETTINGS}", CAFE)
    assert (await ask(world, f"t/{bootstrap}/{SETTINGS}", CAFE)).status == 404


async def test_a_phone_on_its_steady_token_writes_nothing_and_asks_for_nothing(world: World) -> None:
    request = PhoneRequest(SETTINGS, address=HOME, listener="https", token=await put_token(world))
    for _ in range(2):
        await world.app.provisioning.answer(request)
    with statements(world) as asked:
        assert (await world.app.provisioning.answer(request)).status == 200

    assert asked == []


async def test_on_the_listener_for_certificates_the_certificate_decides(world: World) -> None:
    token, own, other = await put_token(world), world.device("poly", VVX), world.device("poly", OTHER_VVX)

    assert (await ask(world, f"t/{token}/{SETTINGS}", listener="mtls", device=own)).status == 200
    assert (await ask(world, f"t/{token}/{SETTINGS}", listener="mtls", device=other)).status == 404


async def test_a_request_under_a_token_is_never_given_a_bootstrap_file(world: World) -> None:
    wrong = "a" * 48
    for name in ("00908f999999.cfg", f"{HD400}.cfg", "bootstrap.cfg", "000000000000.cfg"):
        asked = {"listener": "http", "user_agent": HD400_UA if name != "000000000000.cfg" else VVX_UA}
        assert (await ask(world, name, **asked)).status == 200
        assert (await ask(world, f"t/{wrong}/{name}", **asked)).status == 404


async def test_a_token_gives_its_phone_firmware_too(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    steady, bootstrap = await put_token(world), await put_token(world, "bootstrap", mac=OTHER_VVX)
    image = f"fw/{VERSION}/3111-48450-001.sip.ld"

    assert (await ask(world, image)).status == 404
    assert (await ask(world, f"t/{steady}/{image}")).body == IMAGE
    assert (await ask(world, f"t/{'b' * 48}/{image}")).status == 404
    # One that is still to be bound is used for a file of the phone's own first.
    assert (await ask(world, f"t/{bootstrap}/{image}")).status == 404
    await ask(world, f"t/{bootstrap}/{OTHER_VVX}.cfg")
    assert (await ask(world, f"t/{bootstrap}/{image}")).status == 200
    assert (await ask(world, f"t/{bootstrap}/{image}", CAFE)).status == 404


async def test_a_token_proves_more_than_an_address_for_what_a_user_changed(world: World) -> None:
    token = await put_token(world)
    body = b'<?xml version="1.0"?><PHONE_CONFIG><OVERRIDES up.backlight.idleIntensity="1"/></PHONE_CONFIG>'
    sent = await ask(world, f"t/{token}/{VVX}-phone.cfg", method="PUT", body=body)

    assert sent.status in (201, 204)


# ---- what the phone is told


async def test_the_files_of_a_phone_name_its_steady_address_with_the_token(world: World) -> None:
    without = await ask(world, f"{HD400}.cfg", "192.168.1.1")
    token = await put_token(world)
    own = await ask(world, f"t/{token}/{SETTINGS}")
    await site(world, proofs="certificate,window,digest,network", networks="203.0.113.0/24")

    assert f"{world.app.address.server.urls['mtls']}t/{token}/" in own.text
    assert "/t/" not in without.text
    assert "/t/" not in (await ask(world, SETTINGS)).text


async def test_another_token_makes_the_files_of_a_phone_new(world: World) -> None:
    await site(world, networks="203.0.113.0/24")
    names = [f"{VVX}.cfg", SETTINGS]
    before = [await ask(world, name) for name in names]
    await world.app.check_ins.flush()
    phones = world.services.phone_status
    first = await phones.get(ADMIN, VVX)
    token = await put_token(world)
    outdated = await phones.get(ADMIN, VVX)
    after = [await ask(world, f"t/{token}/{name}") for name in names]
    await world.app.check_ins.flush()

    assert first.provisioning == "provisioned" and outdated.provisioning == "outdated"
    assert before[1].headers["ETag"] != after[1].headers["ETag"]
    assert (await phones.get(ADMIN, VVX)).provisioning == "provisioned"


async def test_a_token_is_shown_to_nobody_but_the_phone(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    token, bootstrap = await put_token(world), await put_token(world, "bootstrap")
    await ask(world, f"t/{token}/{SETTINGS}")
    await ask(world, f"t/{bootstrap}/{SETTINGS}", CAFE)
    for path in (f"t/{token}", f"T/{token}/x", f"%74/{token}/{VVX}.cfg", f"t/{token}/t/{token}/x", f"t//{token}/x"):
        await ask(world, path)
    await world.app.check_ins.flush(at_the_end=True)
    services = world.services
    preview = await services.phones.preview(ADMIN, VVX, SETTINGS, reveal=False)
    revealed = await services.phones.preview(ADMIN, VVX, SETTINGS, reveal=True, reason="to see it")
    lines = await services.annotations.annotate(ADMIN, VVX, SETTINGS, reveal=False)
    explained = await services.why.explain(ADMIN, VVX)
    async with services.store.read() as session:
        records = [await session.events.latest(1000), await session.check_in_log.page(VVX, limit=100)]
    world.app._requests.flush()
    logged = capfd.readouterr()

    assert b"/t/***/" in preview[SETTINGS] and token.encode() in revealed[SETTINGS]
    shown = [preview, lines, explained, records, world.app.metrics.text(), logged.out, logged.err]
    for secret in (token, bootstrap):
        assert secret not in repr(shown)
        assert secret.encode() not in b"".join(path.read_bytes() for path in world.data.glob("ztp.db*"))
    assert "***" in str(explained) and SETTINGS in logged.err


async def test_what_the_history_keeps_of_a_file_has_no_token(world: World) -> None:
    token = await put_token(world)
    given = await ask(world, f"t/{token}/{SETTINGS}")
    await world.app.check_ins.flush(at_the_end=True)
    async with world.services.store.read() as session:
        tag = session.served_files.tag(given.headers["ETag"].strip('"'))
        kept = await session.served_files.get(tag)

    assert token in given.text and kept is not None
    assert b"/t/***/" in kept[0] and token.encode() not in kept[0]


# ---- what nobody else is told


async def test_who_has_no_proof_is_answered_alike_whatever_is_wrong(world: World) -> None:
    steady, bootstrap = await put_token(world), await put_token(world, "bootstrap")
    await ask(world, f"t/{bootstrap}/{SETTINGS}", CAFE)
    gone = await put_token(world, mac=OTHER_VVX)
    await put_token(world, mac=OTHER_VVX)
    await put_window(world, HD400, minutes=-1)
    await put_digest(world)
    blocked = sample_phone("0004f2bbbbbb", proofs=())
    await world.services.phones.add(ADMIN, blocked)
    device = world.device("poly", OTHER_VVX)
    paths = {
        "a name that nobody has": "nothing",
        "an unknown phone": f"{UNKNOWN}-settings.cfg",
        "a known one without proof": SETTINGS,
        "a window that is over": f"{HD400}.cfg",
        "a blocked phone": "0004f2bbbbbb-settings.cfg",
        "another phone's token": f"t/{steady}/{OTHER_VVX}-settings.cfg",
        "a token, and an unknown phone": f"t/{steady}/{UNKNOWN}-settings.cfg",
        "a token that is gone": f"t/{gone}/{OTHER_VVX}-settings.cfg",
        "a token that was never made": f"t/{'c' * 48}/{SETTINGS}",
        "a spent bootstrap token": f"t/{bootstrap}/{SETTINGS}",
        "a token and no name": f"t/{steady}",
        "firmware": f"fw/{VERSION}/3111-48450-001.sip.ld",
    }
    for listener in ("http", "https", "mtls"):
        own = device if listener == "mtls" else None
        shown = {p for why, p in paths.items() if listener != "mtls" or "firmware" not in why}
        if listener == "mtls":
            shown -= {f"{OTHER_VVX}-settings.cfg", paths["another phone's token"], paths["a token that is gone"]}
        answers = [as_sent(await ask(world, path, listener=listener, device=own)) for path in sorted(shown)]
        assert answers[0][0] == 404
        assert all(answer == answers[0] for answer in answers), listener


async def test_a_phone_without_proof_costs_as_many_queries_as_an_unknown_one(world: World) -> None:
    await site(world, networks="203.0.113.0/24")
    await world.services.sites.add(
        ADMIN, "paris", "Paris", {"networks": "198.51.100.0/24", "time_zone": "Europe/Paris"}
    )
    steady = await put_token(world)

    async def queries(mac: str, address: str, token: str) -> list[str]:
        request = PhoneRequest(f"{mac}-settings.cfg", address=address, listener="https", token=token)
        await world.app.provisioning.answer(request)  # what is remembered from now on
        with statements(world) as asked:
            assert (await world.app.provisioning.answer(request)).status == 404
        return asked

    # From nowhere, from the network of another site, and with a token of another phone.
    for address in ("192.0.2.1", CAFE):
        for token in ("", "d" * 48, steady):
            assert await queries(OTHER_VVX, address, token) == await queries(UNKNOWN, address, token) == []


async def test_guessing_does_not_reach_the_database(world: World) -> None:
    await put_token(world)
    guesses = [secrets.token_hex(24) for _ in range(50)]
    requests = [
        PhoneRequest(f"0004f2{number:06x}.cfg", address=HOME, listener="https", token=guess)
        for number, guess in enumerate(guesses)
    ]
    await world.app.provisioning.answer(requests[0])
    with statements(world) as asked:
        for request in requests:
            assert (await world.app.provisioning.answer(request)).status == 404

    assert asked == []


async def test_a_new_phone_is_known_at_once_after_it_was_unknown(world: World) -> None:
    await site(world, networks="203.0.113.0/24")
    before = await ask(world, f"{UNKNOWN}-settings.cfg")
    await world.services.phones.add(ADMIN, sample_phone(UNKNOWN, name="New"))

    assert before.status == 404
    assert (await ask(world, f"{UNKNOWN}-settings.cfg")).status == 200


async def test_a_blocked_phone_gets_nothing_whatever_it_shows(world: World) -> None:
    steady = await put_token(world)
    await put_window(world)
    await site(world, networks="203.0.113.0/24")
    assert (await ask(world, f"t/{steady}/{SETTINGS}")).status == 200
    async with world.services.store.write() as session:
        phone = await session.phones.get(VVX)
        await session.phones.replace(replace(phone, proofs=()))
    device = world.device("poly", VVX)

    for path in (SETTINGS, f"t/{steady}/{SETTINGS}"):
        assert (await ask(world, path)).status == 404
        assert (await ask(world, path, listener="mtls", device=device)).status == 404


async def test_the_proofs_of_a_phone_overrule_those_of_its_site(world: World) -> None:
    await world.services.phones.add(ADMIN, sample_phone("0004f2bbbbbb", proofs=("token",)))
    token = await put_token(world, mac="0004f2bbbbbb")
    await site(world, networks="203.0.113.0/24", proofs="network")
    name = "0004f2bbbbbb-settings.cfg"

    await world.services.phones.add(ADMIN, sample_phone("0004f2cccccc", proofs=("network",)))

    assert (await ask(world, name)).status == 404
    assert (await ask(world, f"t/{token}/{name}", CAFE)).status == 200
    await site(world, proofs="certificate")
    assert (await ask(world, "0004f2cccccc-settings.cfg")).status == 200
    assert (await ask(world, "0004f2cccccc-settings.cfg", CAFE)).status == 404
    assert (await ask(world, name, listener="mtls", device=world.device("poly", "0004f2bbbbbb"))).status == 404


@pytest.mark.parametrize(
    ("target", "token", "path"),
    [
        ("/t/abc/x.cfg", "abc", "x.cfg"),
        ("/T/ABC/fw/1/x.ld", "abc", "fw/1/x.ld"),
        ("/%74/abc/x.cfg", "abc", "x.cfg"),
        ("http://h/t/abc/x.cfg", "abc", "x.cfg"),
        ("/t/abc", "abc", ""),
        ("/t/abc/t/def/x.cfg", "abc", ""),
        ("/t", "", "t"),
        ("/two/x.cfg", "", "two/x.cfg"),
    ],
)
def test_a_token_is_separated_from_the_path(target: str, token: str, path: str) -> None:
    assert separated(requested_path(target) or "") == (token, path)


@pytest.mark.parametrize("target", ["/t/", "/t//x.cfg", "/t/a%2fb/x", "/t/a%00/x", "/t/../x", "/t/é/x", "/t/a\\b/x"])
def test_what_is_no_path_has_no_token(target: str) -> None:
    assert requested_path(target) is None
