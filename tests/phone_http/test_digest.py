"""HTTP Digest (RFC 7616) and Basic: what a phone is asked, and what it must not get by asking twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OTHER_VVX, VVX, Response, World, sample_phone
from tests.phone_http.conftest import IMAGE, VERSION, AddFirmware, Start
from tests.phone_http.far_away import (
    ADMIN,
    CAFE,
    HOME,
    HOSTILE_DIGEST,
    SETTINGS,
    as_sent,
    ask,
    far_world,
    proofs,
    put_digest,
    put_token,
    put_window,
    site,
)
from ztp_server.phone_http.digest import MOST_NONCES, NONCE_SECONDS, Asking, Logins, Nonces, parameters, response
from ztp_server.services import provisioning

UNKNOWN = "0004f2999999-settings.cfg"
_ALGORITHM = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    """A server that asks for Digest on two listeners, and takes Basic over TLS."""
    world = await far_world(start, copy, digest=("http", "https"), basic=("https",))
    await put_digest(world)
    return world


def challenges(asked: Response) -> list[str]:
    return asked.headers.getall("WWW-Authenticate")  # type: ignore[attr-defined,no-any-return]


def nonce_of(asked: Response) -> str:
    found = re.search('nonce="([^"]+)"', challenges(asked)[0])
    assert found
    return found[1]


def answered(nonce: str, uri: str, **changes: str) -> dict[str, str]:
    """An Authorization header such as a phone makes; `changes` are what it says otherwise."""
    said = {"username": "desk", "realm": "phones", "algorithm": "MD5", "method": "GET", "password": HOSTILE_DIGEST}
    said |= {"nonce": nonce, "uri": uri, "nc": "00000001", "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"}
    said |= {"qop": "auth"} | changes
    hashed = _ALGORITHM[said["algorithm"]]

    def h(*parts: str) -> str:
        return hashed(":".join(parts).encode()).hexdigest()

    who = h(said["username"], said["realm"], said.pop("password"))
    what = h(said.pop("method"), said["uri"])
    right = h(who, *(said[name] for name in ("nonce", "nc", "cnonce", "qop")), what)
    bare = {name: said.pop(name) for name in ("algorithm", "nc", "qop")}
    quoted = [f'{name}="{value}"' for name, value in ({"response": right} | said).items()]
    return {"Authorization": "Digest " + ", ".join([*quoted, *(f"{k}={v}" for k, v in bare.items())])}


async def login(world: World, path: str = SETTINGS, address: str = HOME, **changes: Any) -> Response:
    """Ask, and answer what is asked."""
    listener = changes.pop("listener", "https")
    nonce = nonce_of(await ask(world, path, address, listener))
    return await ask(world, path, address, listener, headers=answered(nonce, f"/{path}", **changes))


async def curl(world: World, path: str, *options: str, listener: str = "https", out: str = "%{http_code}") -> str:
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-o", "/dev/null", "-w", out, "--cacert", str(world.ca), "-H", f"X-Forwarded-For: {HOME}"),
        *(*options, world.url(listener) + path),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode()


# ---- a real client


@pytest.mark.parametrize("listener", ["http", "https"])
async def test_curl_gets_a_phone_its_file_with_digest(world: World, listener: str) -> None:
    right, wrong = ("--digest", "-u", f"desk:{HOSTILE_DIGEST}"), ("--digest", "-u", "desk:wrong")

    assert await curl(world, SETTINGS, *right, listener=listener) == "200"
    assert await curl(world, SETTINGS, *wrong, listener=listener) == "401"
    assert await curl(world, f"{OTHER_VVX}-settings.cfg", *right, listener=listener) == "401"
    assert await curl(world, UNKNOWN, *right, listener=listener) == "401"


async def test_curl_keeps_its_nonce_for_the_next_file_and_counts(world: World) -> None:
    names = f"{{{VVX}.cfg,{SETTINGS},{VVX}-directory.xml}}"
    said = await curl(world, names, "--digest", "-u", f"desk:{HOSTILE_DIGEST}", out="%{http_code} %{num_connects} ")

    assert said.split()[::2] == ["200"] * 3


async def test_curl_sends_a_log_with_digest(world: World, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"started")
    right = ("--digest", "-u", f"desk:{HOSTILE_DIGEST}", "-T", str(tmp_path / "log"))

    assert await curl(world, f"{VVX}-app.log", *right) in ("201", "204")


async def test_basic_is_for_tls_alone(world: World) -> None:
    right = ("--basic", "-u", f"desk:{HOSTILE_DIGEST}")

    assert await curl(world, SETTINGS, *right) == "200"
    assert await curl(world, SETTINGS, "--basic", "-u", "desk:wrong") == "401"
    assert await curl(world, SETTINGS, *right, listener="http") == "401"


# ---- what is asked


async def test_known_and_unknown_phones_are_asked_the_same(world: World) -> None:
    await world.services.phones.add(ADMIN, sample_phone("0004f2bbbbbb", proofs=()))
    token = await put_token(world, mac=OTHER_VVX)
    names = [
        SETTINGS,
        UNKNOWN,
        f"{VVX}.cfg",
        f"{VVX}-nothing.xyz",
        "0004f2bbbbbb-settings.cfg",
        f"t/{token}/{SETTINGS}",
    ]
    names += [f"t/{'a' * 48}/{UNKNOWN}", f"fw/{VERSION}/3111-48450-001.sip.ld", "no-such-file"]
    for listener in ("http", "https"):
        answers = [as_sent(await ask(world, name, listener=listener)) for name in names]
        nonces = [re.findall('nonce="([^"]+)"', str(answer)) for answer in answers]
        alike = {re.sub('nonce="[^"]+"', "", str(answer)) for answer in answers}

        assert answers[0][0] == 401 and len(alike) == 1
        assert len({len(str(answer)) for answer in answers}) == 1
        assert all(first == second for first, second in nonces) and len({first for first, _ in nonces}) == len(names)


async def test_wrong_logins_are_answered_the_same_for_known_and_unknown(world: World) -> None:
    answers = [
        await login(world, path, username=user, password=password)
        for path in (SETTINGS, UNKNOWN)
        for user in ("desk", "nobody", "x" * 64, "é😀")
        for password in ("wrong", HOSTILE_DIGEST)
        if (path, user, password) != (SETTINGS, "desk", HOSTILE_DIGEST)
    ]

    assert {answer.status for answer in answers} == {401}
    assert len({re.sub('nonce="[^"]+"', "", str(as_sent(answer))) for answer in answers}) == 1
    assert all("stale" not in text for answer in answers for text in challenges(answer))


async def test_no_password_is_that_of_phones_that_are_none_of_ours(world: World) -> None:
    said = set()
    for path in (SETTINGS, UNKNOWN):
        header = answered(nonce_of(await ask(world, path)), f"/{path}", password="")
        for answer in [await ask(world, path, headers=header) for _ in range(2)]:
            said.add((answer.status, "stale" in str(challenges(answer))))

    # An answer that was right once counts no second time, which would tell the two apart.
    assert said == {(401, False)}


async def test_a_refused_login_leaves_late_whatever_it_was_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    async def noted(started: float) -> None:
        waited.append(started)

    monkeypatch.setattr(provisioning, "leave_late", noted)
    for path in (f"fw/{VERSION}/3111-48450-001.sip.ld", "no-such-file"):
        assert (await login(world, path, password="wrong")).status == 401
        assert (await login(world, path)).status == 404
    # Else the time would tell whose the user is: those of phones of ours are looked up.
    assert len(waited) == 2


async def test_the_challenge_is_as_the_rfc_has_it(world: World) -> None:
    md5, sha, basic = challenges(await ask(world, SETTINGS))
    plain = challenges(await ask(world, SETTINGS, listener="http"))

    assert re.fullmatch(r'Digest realm="phones", qop="auth", algorithm=MD5, nonce="[A-Za-z0-9_-]{40}"', md5)
    assert re.fullmatch(r'Digest realm="phones", qop="auth", algorithm=SHA-256, nonce="[A-Za-z0-9_-]{40}"', sha)
    assert basic.startswith("Basic ") and not any(text.startswith("Basic") for text in plain)


async def test_who_has_another_proof_is_not_asked(world: World) -> None:
    token = await put_token(world, mac=OTHER_VVX)
    await put_window(world)

    assert (await ask(world, SETTINGS)).status == 200
    assert (await ask(world, f"t/{token}/{OTHER_VVX}-settings.cfg")).status == 200
    assert (await ask(world, f"{OTHER_VVX}-settings.cfg", "192.168.1.1")).status == 200
    assert (await ask(world, SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 200
    # What any phone may have is not asked for either, and on the third listener nobody is.
    assert (await ask(world, "ca.pem", listener="http")).status == 200
    assert (await ask(world, SETTINGS, listener="mtls", device=world.device("poly", OTHER_VVX))).status == 404


async def test_a_proven_phone_is_told_of_what_is_not_there(world: World) -> None:
    assert (await login(world, f"{VVX}-nothing.xyz")).status == 404


async def test_where_digest_is_no_proof_the_right_password_is_none(world: World) -> None:
    await site(world, proofs="certificate,token,network")

    assert (await login(world)).status == 401


async def test_over_plain_http_digest_gives_no_secrets_where_the_site_gives_none(world: World) -> None:
    await site(world, plain_secrets="off")

    assert (await login(world, listener="http")).status == 404
    assert (await login(world)).status == 200


# ---- what is answered


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_the_right_answer_gives_the_phone_its_whole_file(world: World, algorithm: str) -> None:
    inside = await ask(world, SETTINGS, "192.168.1.1")
    given = await login(world, algorithm=algorithm)

    assert given.status == 200 and given.body == inside.body


async def test_digest_is_a_proof_of_the_phones_own_and_closes_its_window(world: World) -> None:
    await put_window(world)
    await ask(world, SETTINGS, CAFE)
    nonce = nonce_of(await ask(world, UNKNOWN))

    assert (await ask(world, SETTINGS, headers=answered(nonce, f"/{SETTINGS}"))).status == 200
    assert (await proofs(world)).window is None


async def test_a_login_gives_its_phone_firmware_too(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware(default=True)
    image = f"fw/{VERSION}/3111-48450-001.sip.ld"

    assert (await login(world, image)).body == IMAGE
    assert (await login(world, image, password="wrong")).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": f"/{OTHER_VVX}-settings.cfg"},
        {"uri": f"/{SETTINGS}?"},
        {"method": "PUT"},
        {"realm": "printers"},
        {"qop": "auth-int"},
        {"username": "nobody"},
        {"nc": "0000001"},
        {"nc": "00000000"},
        {"nc": "-0000001"},
        {"userhash": "true"},
        {"nonce": "A" * 40},
        {"nonce": ""},
        {"nonce": "é" * 20},
    ],
)
async def test_an_answer_about_anything_else_is_none(world: World, changes: dict[str, str]) -> None:
    nonce = nonce_of(await ask(world, SETTINGS))
    said = {"nonce": nonce, "uri": f"/{SETTINGS}"} | changes

    assert (await ask(world, SETTINGS, headers=answered(**said))).status == 401


@pytest.mark.parametrize(
    "header",
    [
        *("", "Digest", "Digest ", "Digest x", 'Digest username="desk', "Digest username=desk,,", "Basic", "Basic !!!"),
        *("Basic ZGVzaw==", "Basic " + base64.b64encode(b"desk\x00:x").decode(), "Bearer x", "Negotiate x"),
        *('Digest username="desk", username="desk"', "Digest " + 'a="b", ' * 200, 'Digest username="' + "\\" * 500),
    ],
)
async def test_what_is_no_answer_is_asked_again(world: World, header: str) -> None:
    assert (await ask(world, SETTINGS, headers={"Authorization": header})).status == 401


async def test_an_answer_counts_once(world: World) -> None:
    nonce = nonce_of(await ask(world, SETTINGS))
    first = answered(nonce, f"/{SETTINGS}")
    third = answered(nonce, f"/{SETTINGS}", nc="00000003")
    second = answered(nonce, f"/{SETTINGS}", nc="00000002")
    stolen = [await ask(world, SETTINGS, CAFE, headers=header) for header in (first, third)]
    given = [await ask(world, SETTINGS, headers=header) for header in (first, first, third, second, third)]

    # From another address, again, and late: none of them. Whoever has the password is told how to go on.
    assert [answer.status for answer in stolen] == [401, 401]
    assert [answer.status for answer in given] == [200, 401, 200, 401, 401]
    assert all(re.search("stale=true", text) for text in challenges(given[1])[:2])


async def test_of_many_who_send_one_answer_at_once_one_is_served(world: World) -> None:
    header = answered(nonce_of(await ask(world, SETTINGS)), f"/{SETTINGS}")
    answers = await asyncio.gather(*(ask(world, SETTINGS, headers=header) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_another_credential_counts_at_once_and_the_old_one_no_more(world: World) -> None:
    before = await login(world)
    await put_digest(world, password="new")

    assert before.status == 200 and (await login(world)).status == 401
    assert (await login(world, password="new")).status == 200


async def test_no_password_and_no_answer_is_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    await login(world)
    await login(world, password="wrong")
    await curl(world, SETTINGS, "--basic", "-u", f"desk:{HOSTILE_DIGEST}")
    world.app._requests.flush()
    logged = "".join(capfd.readouterr())

    assert SETTINGS in logged and '"proof": "digest"' in logged
    assert HOSTILE_DIGEST not in logged and "wörd" not in logged and "nonce" not in logged


# ---- the grammar and the nonces, without a server


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, expected: str) -> None:
    said = (
        'username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm='
        f'{algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="x", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )

    assert response(parameters(said), "Circle of Life", "GET") == expected


def test_parameters_are_read_as_they_are_quoted() -> None:
    assert parameters(r'A="x\"y\\, z=1" ,b=2,	c = ""') == {"a": r'x"y\, z=1', "b": "2", "c": ""}
    assert all(parameters(text) == {} for text in ("a", "a=", 'a="', 'a="b"c="d"', "a=1 b=2", "=1", "a=1,a=1", "é=1"))


def test_a_nonce_lasts_its_time_for_its_address() -> None:
    now = [1000.0]
    nonces = Nonces(lambda: now[0])
    nonce = nonces.make(HOME)

    assert nonces.holds(nonce, HOME, 1)
    assert not nonces.holds(nonce, CAFE, 1) and not nonces.holds(nonce, "", 1)
    assert not Nonces(lambda: now[0]).holds(nonce, HOME, 1)
    now[0] += NONCE_SECONDS
    assert nonces.holds(nonce, HOME, 1)
    now[0] += 0.001
    assert not nonces.holds(nonce, HOME, 1)


def test_a_nonce_whose_count_was_dropped_counts_no_more() -> None:
    now = [1000.0]
    nonces = Nonces(lambda: now[0])
    first = nonces.make(HOME)
    assert nonces.use(first, 1)
    for _ in range(MOST_NONCES):
        now[0] += 0.000001
        assert nonces.use(nonces.make(HOME), 1)

    assert not nonces.holds(first, HOME, 1) and not nonces.holds(first, HOME, 2)
    assert nonces.holds(nonces.make(HOME), HOME, 1) and len(nonces._counts) == MOST_NONCES


def test_nothing_is_kept_of_who_never_answers() -> None:
    logins = Logins(("https",), ())
    for _ in range(1000):
        list(logins.challenges(Asking(digest=True), HOME, False))
        logins.read(Asking(digest=True), "GET", "/x", HOME, ['Digest username="x"'])

    assert not logins._nonces._counts


def test_an_absolute_target_is_its_path() -> None:
    header = answered(Nonces().make(HOME), "http://h:1/x")["Authorization"]
    logins = Logins(("https",), ())
    nonce = logins._nonces.make(HOME)

    assert logins.read(Asking(digest=True), "GET", "/x", HOME, [answered(nonce, "https://h/x")["Authorization"]]).login
    assert logins.read(Asking(digest=True), "GET", "https://h/x", HOME, [answered(nonce, "/x")["Authorization"]]).login
    assert not logins.read(
        Asking(digest=True), "GET", "/y", HOME, [answered(nonce, "https://h/x")["Authorization"]]
    ).login
    assert logins.read(Asking(digest=True), "GET", "/x", HOME, [header]).stale
    assert not logins.read(Asking(digest=True), "GET", "/x", HOME, [answered(nonce, "/x")["Authorization"]] * 2).login
