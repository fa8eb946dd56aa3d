"""What holds for every operation, whatever it does."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest

from tests.api.conftest import Rest, rest_over
from ztp_server.api import bodies, limits
from ztp_server.api.limits import Buckets
from ztp_server.api.operation import Call, Routes, Upload
from ztp_server.api.shapes import Body

SECRET = "hunter2-&-<😀>"


class Given(Body):
    text: str
    number: int = 0


routes = Routes("tried", "Operations that are there to be tried.")
DONE: list[str] = []
BEGUN, GO_ON = asyncio.Event(), asyncio.Event()


@routes.post("/tried", answer=Given, status=201)
async def add_tried(call: Call, body: Given) -> dict[str, object]:
    """Add one."""
    if body.text == "wait":
        BEGUN.set()
        await GO_ON.wait()
    DONE.append(body.text)
    return {"text": body.text, "number": len(DONE)}


@routes.patch("/tried/{id}", answer=Given, revised=True)
async def edit_tried(call: Call, id: str, body: Given) -> dict[str, object]:
    """Change one."""
    return {"text": json.dumps(call.given), "number": call.revision or 0, "revision": 7}


@routes.get("/tried/{id}", answer=Given)
async def get_tried(call: Call, id: str) -> dict[str, object]:
    """Show one."""
    if id == "broken":
        raise RuntimeError(SECRET)
    return {"text": id, "number": 0, "revision": 7}


@routes.put("/tried/{id}", upload=Upload(("application/octet-stream",), 2_000_000), answer=Given)
async def send_tried(call: Call, id: str) -> dict[str, object]:
    """Send a file."""
    assert call.upload
    return {"text": id, "number": len(call.upload.read())}


@pytest.fixture
async def tried(tmp_path: Path):
    DONE.clear()
    BEGUN.clear()
    GO_ON.clear()
    async with rest_over(tmp_path, (routes,)) as found:
        yield found


# ---- who asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  ", "Basic YWRtaW46", "Bearer wrong", "Bearer admin-token x"])
async def test_without_a_valid_token_nothing_is_told(tried: Rest, header: str) -> None:
    answer = await tried.ask("GET", "/api/v1/tried/1", token=None, headers={"Authorization": header})

    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_two_tokens_are_none(tried: Rest) -> None:
    answer = await tried.ask(
        "GET", "/api/v1/tried/1", token=None, headers=[("Authorization", "Bearer admin-token")] * 2
    )

    assert answer.status == 401


async def test_who_fails_too_often_is_told_to_wait_and_a_valid_token_still_gets_in(tried: Rest) -> None:
    statuses = [(await tried.ask("GET", "/api/v1/tried/1", token="wrong")).status for _ in range(40)]

    assert statuses[0] == 401 and statuses[-1] == 429
    assert (await tried.ask("GET", "/api/v1/tried/1")).status == 200


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACTOR_RATE", 0.001)
    monkeypatch.setattr(limits, "ACTOR_BURST", 2)
    async with rest_over(tmp_path, (routes,)) as tried:
        answers = [await tried.ask("GET", "/api/v1/tried/1") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert 900 <= int(answers[2].headers["Retry-After"]) <= 1000
        # Another one is not held back by that.
        assert (await tried.ask("GET", "/api/v1/tried/1", token="viewer-token")).status == 200


def test_buckets_fill_again_and_are_no_more_than_a_number() -> None:
    buckets = Buckets(rate=2, burst=1, most=2)

    assert [buckets.take("a", 0), buckets.take("a", 0), buckets.take("a", 1)] == [0, 0.5, 0]
    for key in "bcd":
        buckets.take(key, 1)
    assert len(buckets) == 2


# ---- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"text": "a", "text": "b"}',
        b'{"text": "a", "number": NaN}',
        b'{"text": "a", "number": 1e999}',
        b'{"text": "a", "number": ' + b"9" * 400 + b"}",
        b'{"text": "a", "number": 9007199254740993}',
        b'{"text": "\\u0000"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
async def test_json_that_two_readers_could_take_differently_is_refused(tried: Rest, body: bytes) -> None:
    answer = await tried.ask("POST", "/api/v1/tried", data=body, headers={"Content-Type": "application/json"})

    assert answer.status == 400 and DONE == []


async def test_every_wrong_field_is_named_at_once_and_no_value_is_repeated(tried: Rest) -> None:
    answer = await tried.ask("POST", "/api/v1/tried", {"text": 5, "number": SECRET, "more": SECRET})

    assert answer.status == 422 and sorted(answer.fields) == ["more", "number", "text"]
    assert SECRET not in answer.body.decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/merge-patch+json"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=UTF-8"}, 201),
    ],
)
async def test_only_plain_json_is_taken(tried: Rest, headers: dict[str, str], status: int) -> None:
    answer = await tried.ask("POST", "/api/v1/tried", data=b'{"text": "a"}', headers=headers)

    assert answer.status == status


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(tried: Rest) -> None:
    body = json.dumps({"text": "x" * (1 << 20)}).encode()
    answer = await tried.ask(
        "POST", "/api/v1/tried", data=io.BytesIO(body), headers={"Content-Type": "application/json"}
    )

    assert answer.status == 413 and DONE == []


async def test_a_body_of_unknown_length_is_bounded_too(tried: Rest) -> None:
    async def endless():
        for _ in range(40):
            yield b" " * 65_536

    answer = await tried.ask("POST", "/api/v1/tried", data=endless(), headers={"Content-Type": "application/json"})

    assert answer.status == 413


async def test_a_body_that_does_not_come_is_not_waited_for(tried: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.05)
    answer = await tried.raw(
        b"POST /api/v1/tried HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_file_comes_as_it_is_within_its_bound(tried: Rest) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    answer = await tried.ask("PUT", "/api/v1/tried/1", data=io.BytesIO(b"\xff" * 1_500_000), headers=headers)
    assert answer.json["number"] == 1_500_000

    answer = await tried.ask("PUT", "/api/v1/tried/1", data=io.BytesIO(b"\xff" * 2_000_001), headers=headers)
    assert answer.status == 413


async def test_what_takes_no_body_and_no_parameter_refuses_them(tried: Rest) -> None:
    answer = await tried.ask("GET", "/api/v1/tried/1", data=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status == 413

    answer = await tried.ask("GET", "/api/v1/tried/1", wrong="1")
    assert (answer.status, answer.fields) == (422, ["wrong"])


async def test_null_is_not_the_same_as_left_out(tried: Rest) -> None:
    answer = await tried.ask("PATCH", "/api/v1/tried/1", {"text": "a"})
    assert json.loads(answer.json["text"]) == {"text": "a"}


async def test_a_merge_patch_is_called_so(tried: Rest) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await tried.ask("PATCH", "/api/v1/tried/1", data=b'{"text": "a"}', headers=headers)

    assert answer.status == 200


# ---- paths and methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1", "/api/v1/", "/api/v2/tried", "/api/v1/tried/1/", "/api/v1/tried/%00"]
)
async def test_what_is_not_there_is_a_problem_too(tried: Rest, path: str) -> None:
    if path == "/api/":
        path = "/api/none"
    answer = await tried.ask("GET", path)

    assert answer.status == 404 and answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "DELETE"])
async def test_another_method_is_told_which_there_are(tried: Rest, method: str) -> None:
    answer = await tried.ask(method, "/api/v1/tried/1")

    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, PATCH, PUT"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("line", [b"MADEUP-<x> /api/v1/tried HTTP/1.1", b"GET /" + b"x" * 40_000 + b" HTTP/1.1"])
async def test_what_is_no_http_is_told_so_without_an_echo(tried: Rest, line: bytes) -> None:
    answer = await tried.raw(line + b"\r\nHost: x\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0] and b"Server: ztp\r\n" in head and b"aiohttp" not in answer
    assert json.loads(body)["status"] == 400 and b"<x>" not in body and b"xxxx" not in body


async def test_head_is_get_without_the_body(tried: Rest) -> None:
    got, head = [await tried.ask(method, "/api/v1/tried/1") for method in ("GET", "HEAD")]

    assert (head.status, head.body) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(got.body))


async def test_an_answer_is_kept_by_nobody_and_taken_for_nothing_else(tried: Rest) -> None:
    for answer in (await tried.ask("GET", "/api/v1/tried/1"), await tried.ask("GET", "/api/v1/none")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "ztp"


async def test_a_failure_tells_nothing_but_where_to_look(tried: Rest, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await tried.ask("GET", "/api/v1/tried/broken")

    assert answer.status == 500 and SECRET not in answer.body.decode()
    assert answer.headers["X-Request-Id"] in answer.json["detail"]


async def test_a_request_is_one_line_of_the_log_without_its_token_and_query(tried: Rest) -> None:
    lines: list[dict[str, object]] = []
    tried.requests.write = lines.append  # type: ignore[method-assign]
    answer = await tried.ask("GET", "/api/v1/tried/1", secret=SECRET)

    assert answer.status == 422
    [line] = lines
    assert line.pop("ms") is not None and line.pop("request") == answer.headers["X-Request-Id"]
    assert line == {
        "door": "rest", "method": "GET", "path": "/api/v1/tried/1", "status": 422, "bytes": len(answer.body),
        "actor": "token:admin", "address": "127.0.0.1",
    }  # fmt: skip


# ---- conditions ----------------------------------------------------------------------------------------------------


async def test_what_the_client_has_already_is_not_sent_again(tried: Rest) -> None:
    tag = (await tried.ask("GET", "/api/v1/tried/1")).headers["ETag"]

    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = await tried.ask("GET", "/api/v1/tried/1", headers={"If-None-Match": given})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert (await tried.ask("GET", "/api/v1/tried/2", headers={"If-None-Match": tag})).status == 200


@pytest.mark.parametrize(
    ("given", "status", "revision"),
    [('"7"', 200, 7), ("*", 200, 0), ('"7-0123456789abcdef"', 200, 7), ('W/"7"', 412, 0), ('"x"', 412, 0),
     ("7", 412, 0), ('"7", "8"', 412, 0), ('"99999999999"', 412, 0)],
)  # fmt: skip
async def test_the_revision_that_was_read_reaches_the_service(
    tried: Rest, given: str, status: int, revision: int
) -> None:
    answer = await tried.ask("PATCH", "/api/v1/tried/1", {"text": "a"}, headers={"If-Match": given})

    assert answer.status == status
    assert status != 200 or answer.json["number"] == revision


async def test_the_tag_of_a_record_is_what_a_change_takes(tried: Rest) -> None:
    tag = (await tried.ask("GET", "/api/v1/tried/1")).headers["ETag"]
    answer = await tried.ask("PATCH", "/api/v1/tried/1", {"text": "a"}, headers={"If-Match": tag})

    assert (answer.status, answer.json["number"]) == (200, 7)


# ---- idempotency ---------------------------------------------------------------------------------------------------

KEYED = {"Idempotency-Key": "key 1"}


async def test_a_post_with_a_key_is_done_once(tried: Rest) -> None:
    first, second = [await tried.ask("POST", "/api/v1/tried", {"text": SECRET}, headers=KEYED) for _ in range(2)]

    assert (first.status, first.json["number"], len(DONE)) == (201, 1, 1)
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers


async def test_a_key_belongs_to_its_request_and_to_who_sent_it(tried: Rest) -> None:
    await tried.ask("POST", "/api/v1/tried", {"text": "a"}, headers=KEYED)

    other = await tried.ask("POST", "/api/v1/tried", {"text": "b"}, headers=KEYED)
    assert (other.status, other.fields) == (422, ["Idempotency-Key"])
    assert (await tried.ask("POST", "/api/v1/tried", {"text": "b"}, headers=KEYED, token="viewer-token")).status == 201
    assert DONE == ["a", "b"]


async def test_a_refused_request_gives_its_key_back(tried: Rest) -> None:
    refused = await tried.ask("POST", "/api/v1/tried", {"text": 1}, headers=KEYED)
    done = await tried.ask("POST", "/api/v1/tried", {"text": "a"}, headers=KEYED)

    assert (refused.status, done.status) == (422, 201)


async def test_a_key_whose_request_is_still_being_done_is_refused(tried: Rest) -> None:
    waiting = asyncio.create_task(tried.ask("POST", "/api/v1/tried", {"text": "wait"}, headers=KEYED))
    await BEGUN.wait()

    answer = await tried.ask("POST", "/api/v1/tried", {"text": "wait"}, headers=KEYED)
    assert answer.status == 409
    GO_ON.set()
    assert ((await waiting).status, DONE) == (201, ["wait"])


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
async def test_a_key_that_cannot_be_kept_is_refused(tried: Rest, key: str) -> None:
    answer = await tried.ask("POST", "/api/v1/tried", {"text": "a"}, headers={"Idempotency-Key": key})

    assert (answer.status, answer.fields, DONE) == (422, ["Idempotency-Key"], [])


async def test_a_kept_answer_is_sealed(tried: Rest) -> None:
    await tried.ask("POST", "/api/v1/tried", {"text": "hunter2hunter2"}, headers=KEYED)
    await tried.services.close()

    kept = b"".join(path.read_bytes() for path in tried.data.glob("ztp.db*"))
    assert b"key 1" in kept and b"hunter2hunter2" not in kept
