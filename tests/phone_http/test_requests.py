"""What phones and strangers may ask, and that nothing of it becomes a path or comes back to them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, VVX, World, examples
from tests.phone_http.conftest import ROOT, environment

SETTINGS = f"{VVX}-settings.cfg"
UNKNOWN = "0004f2999999"

SPELLINGS = [
    "0004f2aabbcc",
    "0004F2AABBCC",
    "0004F2aabbCC",
    "00:04:f2:aa:bb:cc",
    "00-04-F2-AA-BB-CC",
    "0004.f2aa.bbcc",
    "0004F2-AABBCC",
    "00%3A04%3AF2%3AAA%3ABB%3ACC",
]

# Whoever asks for these must get what he gets for a phone that does not exist.
HOSTILE_TARGETS = [
    b"/",
    b"/.",
    b"/..",
    b"/../" + SETTINGS.encode(),
    b"/x/../" + SETTINGS.encode(),
    b"/./" + SETTINGS.encode(),
    b"/../../../../etc/passwd",
    b"/..%2f..%2f..%2fetc/passwd",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"/%2e%2e%2f" + SETTINGS.encode(),
    b"/%252e%252e%252f" + SETTINGS.encode(),
    b"/%2f" + SETTINGS.encode(),
    b"/%2F%2F" + SETTINGS.encode(),
    b"/%5c" + SETTINGS.encode(),
    b"/..\\" + SETTINGS.encode(),
    b"/\\" + SETTINGS.encode(),
    b"/" + SETTINGS.encode() + b"%00",
    b"/%00" + SETTINGS.encode(),
    b"/" + SETTINGS.encode() + b"%00.png",
    b"/" + SETTINGS.encode() + b"%0d%0aSet-Cookie:x",
    b"/" + SETTINGS.encode() + b"%20",
    b"/" + SETTINGS.encode() + b"/",
    b"/" + SETTINGS.encode() + b"/x",
    b"/x//" + SETTINGS.encode(),
    b"/%ff%fe" + SETTINGS.encode(),
    b"/%c0%ae%c0%ae/etc/passwd",
    b"/0004f2aabbcc%2dsettings%2ecf%67%",
    b"/0004f2aabbcc-settings.cfg.j2",
    b"/0004f2aabbcc%2525-settings.cfg",
    b"/0004f2aabbccdd-settings.cfg",
    b"/0104f2aabbcc-settings.cfg",
    b"/ffffffffffff-settings.cfg",
    b"/000000000000-settings.cfg",
    b"/templates/poly/vendor.toml",
    b"/poly/vendor.toml",
    b"/ztp.db",
    b"/tls/server.key",
    b"/firmware/" + b"0" * 64,
    b"/fw/5.9.7/../../ztp.db",
    b"/healthz",
    b"/metrics",
    b"http://localhost/../" + SETTINGS.encode(),
    b"/" + b"a" * 255,
    b"/" + b"a" * 7000,
    b"/" + b"a/" * 100,
    b"/" + SETTINGS.encode() + b";x=" + b"a" * 300,
]


def request(target: bytes, method: bytes = b"GET", headers: bytes = b"") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"Connection: close\r\n\r\n"


def without_date(answer: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


@pytest.mark.parametrize("mac", SPELLINGS)
async def test_a_mac_is_understood_in_any_case_and_with_any_separator(world: World, mac: str) -> None:
    expected = await world.ask(SETTINGS)
    answer = await world.ask(f"{mac}-settings.cfg")

    assert (answer.status, answer.body) == (200, expected.body)


async def test_the_rest_of_a_name_is_understood_in_any_case(world: World) -> None:
    assert (await world.ask(f"{HD400.upper()}.CFG")).body == (await world.ask(f"{HD400}.cfg")).body


@pytest.mark.parametrize(
    "target",
    [
        f"http://other.example.net/{SETTINGS}",
        f"http://other.example.net:8080/{SETTINGS}?x=1",
        f"HTTPS://[::1]:8443//{SETTINGS}",
        f"//{SETTINGS}",
        f"///{SETTINGS}",
        f"/{SETTINGS}?mac=000000000000&x=../..",
        f"/{SETTINGS}?",
        f"/{SETTINGS}#part",
        "/%30004f2aabbcc-settings.cfg",
    ],
)
async def test_other_forms_of_a_target_mean_its_path(world: World, target: str) -> None:
    answer = await world.raw(request(target.encode()))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == (await world.ask(SETTINGS)).body


async def test_hostile_targets_are_answered_as_an_unknown_phone_is(world: World) -> None:
    unknown = without_date(await world.raw(request(f"/{UNKNOWN}-settings.cfg".encode())))
    answers = {target: without_date(await world.raw(request(target))) for target in HOSTILE_TARGETS}

    assert unknown.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert {target: answer for target, answer in answers.items() if answer != unknown} == {}


@pytest.mark.parametrize("listener", ["http", "https", "mtls"])
async def test_a_refusal_does_not_tell_its_reason(world: World, listener: str) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})
    device = world.device("poly", "0004f2aabbcd") if listener == "mtls" else None
    refused = [
        await world.ask(path, listener=listener, device=device)
        for path in (
            SETTINGS,  # known, and no proof
            f"{UNKNOWN}-settings.cfg",  # not known
            f"{VVX}-nothing.cfg",  # no such file, of a known phone
            f"{UNKNOWN}-nothing.cfg",
            "nothing",
            "fw/1.0/sip.ld",
            "%2e%2e/x",
        )
    ]

    assert {answer.status for answer in refused} == {404}
    assert {answer.body for answer in refused} == {b""}
    # Dates may differ by a second; nothing else may.
    assert len({tuple((k, v) for k, v in answer.headers.items() if k != "Date") for answer in refused}) == 1


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"])
async def test_a_method_no_phone_uses_is_answered_as_an_unknown_name(world: World, method: str) -> None:
    refused = await world.raw(request(f"/{UNKNOWN}-settings.cfg".encode()))
    answer = await world.raw(request(f"/{SETTINGS}".encode(), method.encode()))

    assert without_date(answer) == without_date(refused)


async def test_connect_opens_nothing(world: World) -> None:
    answer = await world.raw(request(b"example.net:443", b"CONNECT"))

    assert answer.split(b" ")[1] in (b"400", b"404") and b"example.net" not in answer


@pytest.mark.parametrize(
    "user_agent",
    [
        b"",
        b"\xff\xfe\x80",
        b"FileTransport PolycomVVX-VVX_411-UA/" + b"9" * 4000,
        b"AUDC-IPPhone/\xff\xfe\x80 (405HD-Rev0; 0004F2AABBCC)",
        b"AUDC-IPPhone/\xed\xa0\x80 (405HD; 0004F2AABBCC)",
        b"AUDC-IPPhone/1\xe2\x80\xae2 (405HD; 0004F2AABBCC)",
        b"AUDC-IPPhone/" + b"((((" * 500,
        b"{{ 7*7 }}${jndi:ldap://x}%s%n",
    ],
)
async def test_a_hostile_user_agent_changes_nothing_for_a_proven_phone(world: World, user_agent: bytes) -> None:
    answer = await world.raw(request(f"/{SETTINGS}".encode(), headers=b"User-Agent: " + user_agent + b"\r\n"))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == (await world.ask(SETTINGS)).body


async def test_a_hostile_user_agent_does_not_end_the_writing_of_check_ins(world: World) -> None:
    hostile = b"User-Agent: AUDC-IPPhone/\xff\xfe (405HD; 00908F112233)\r\n"
    await world.raw(request(f"/{HD400}.cfg".encode(), headers=hostile))
    await world.app.check_ins.flush()
    await world.ask(SETTINGS)
    await world.app.check_ins.flush()

    assert [row.file for row in await world.services.phones.check_ins(ADMIN, HD400)] == [f"{HD400}.cfg"]
    assert [row.file for row in await world.services.phones.check_ins(ADMIN, VVX)] == [SETTINGS]


async def test_made_up_names_are_not_written_down_for_a_phone(world: World) -> None:
    for number in range(200):
        await world.ask(f"{VVX}-{number}.cfg")
    for mac in SPELLINGS[:5]:
        await world.ask(f"{mac}-settings.cfg")
    await world.app.check_ins.flush()

    # What is kept must be bounded by the names that mean something, not by what somebody in the network makes up.
    assert len(await world.services.phones.check_ins(ADMIN, VVX)) <= 20


@pytest.mark.parametrize(
    "broken",
    [
        b"GET /marker\x00marker HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /marker marker marker HTTP/1.1\r\nHost: x\r\n\r\n",
        b"MARKER /marker HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET marker:///marker HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /marker HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nmarker\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nHost: x\r\nmar ker: x\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nHost: x\r\nX: mar\x00ker\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nHost: x\r\nContent-Length: marker\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT /marker HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"marker" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /marker HTTP/1.1\r\nHost: x\r\nX: " + b"marker" * 3000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00marker\r\n\r\n",
        b"marker\r\n\r\n",
    ],
    ids=range(15),
)
async def test_what_is_not_http_gets_a_400_and_not_its_own_words(world: World, broken: bytes) -> None:
    answer = await world.raw(broken)
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == b"400"
    assert b"marker" not in answer.lower() and body == b""
    assert (await world.ask(SETTINGS)).status == 200


async def test_an_answer_says_nothing_of_the_program_behind_it(world: World) -> None:
    for asked in (request(b"/" + SETTINGS.encode()), request(b"/nothing"), b"broken\r\n\r\n"):
        answer = await world.raw(asked)
        assert b"aiohttp" not in answer and b"Python" not in answer


async def test_no_made_up_name_opens_a_file_outside_the_data_folder(tmp_path: Path) -> None:
    count = examples(500, 20_000)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).parent / "fuzz_paths.py"), str(tmp_path / "data"), str(count)),
        cwd=ROOT,
        env=environment(tmp_path / "data"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    report = json.loads(output.splitlines()[-1])

    assert report["asked"] == count
    assert report["watched"], "the audit hook saw nothing at all"
    assert report["opened"] == []
    assert set(report["statuses"]) <= {"200", "302", "304", "400", "404"}
    assert report["statuses"]["404"] > count // 2
