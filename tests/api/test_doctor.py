"""The doctor beside, and within, a server that runs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, World
from ztp_server.domain.diagnosis import Diagnosis
from ztp_server.pki.authority import ensure_server_files
from ztp_server.services import doctor, serving
from ztp_server.services.doctor_patient import Patient
from ztp_server.services.serving import last_serving

Start = Callable[..., Awaitable[World]]


def findings(found: Diagnosis, name: str) -> list[tuple[str, str]]:
    return [(one.level, one.what) for check in found.checks if check.name == name for one in check.findings]


async def test_rest_gives_every_check_with_its_findings_and_counts_them(rest: Rest) -> None:
    answer = await rest.get("/doctor")

    found = answer.json
    told = [one["level"] for check in found["checks"] for one in check["findings"]]
    assert answer.status == 200 and len(found["checks"]) >= 30
    assert found["counts"] == {level: told.count(level) for level in ("ok", "advice", "warning", "failure")}
    # No server was started on this data, so what one says of itself is not examined.
    assert {check["name"] for check in found["checks"] if check["skipped"]} >= {"listeners", "admin-door"}
    assert (await rest.get("/doctor", token="viewer-token")).status == 403


async def test_a_server_is_examined_for_one_at_a_time(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on, most = 0, 0

    async def slowly(patient: Patient) -> Diagnosis:
        nonlocal going_on, most
        going_on += 1
        most = max(most, going_on)
        for _ in range(100):
            await asyncio.sleep(0)
        going_on -= 1
        return Diagnosis(patient.now, [])

    monkeypatch.setattr(doctor, "diagnosis", slowly)
    answers = await asyncio.gather(*(rest.get("/doctor") for _ in range(5)))
    assert ([answer.status for answer in answers], most) == ([200] * 5, 1)


async def test_a_server_that_runs_answers_on_every_listener_and_says_when_it_was_stopped(start: Start) -> None:
    world = await start()
    found = await world.services.doctor.examine(ADMIN)

    assert findings(found, "server")[0][0] == "ok" and "serves since" in findings(found, "server")[0][1]
    assert all(kind in findings(found, "listeners")[0][1] for kind in ("http ", "https ", "mtls ", "admin "))
    assert findings(found, "server-certificate")[0][0] == "ok"
    assert last_serving(world.data).stopped_at == ""  # type: ignore[union-attr]

    await world.app.stop()
    assert last_serving(world.data).stopped_at  # type: ignore[union-attr]
    await world.restart()


async def test_a_listener_that_is_gone_and_a_certificate_not_taken_up_are_named(start: Start) -> None:
    world = await start()
    await world.app.listeners["http"].stop()
    found = await world.services.doctor.examine(ADMIN)
    assert [level for level, what in findings(found, "listeners")] == ["failure"]
    assert findings(found, "listeners")[0][1].startswith("http 127.0.0.1:")

    # A copy of what it wrote down, beside other certificates.
    other = world.data.parent / "other"
    other.mkdir()
    shutil.copy(world.data / serving.FILE, other)
    ensure_server_files(other / "tls", ["127.0.0.1"])
    installation = replace(world.services.doctor._installation, data=other)
    world.services.doctor._installation = installation
    found = await world.services.doctor.examine(ADMIN)
    named = {what.split()[0] for _, what in findings(found, "listeners")}
    assert named == {"http", "https", "mtls"}
    assert any("another certificate" in what for _, what in findings(found, "listeners"))


async def test_a_server_of_another_version_is_to_be_restarted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "__version__", "0.0.9")
    world = await start()

    found = findings(await world.services.doctor.examine(ADMIN), "server")

    assert found[0][0] == "warning" and "0.0.9" in found[0][1]


async def test_what_is_written_down_has_no_secret_and_is_for_its_owner(start: Start) -> None:
    world = await start()
    file = world.data / serving.FILE

    assert file.stat().st_mode & 0o777 == 0o600
    assert world.app.first_token and world.app.first_token not in file.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"listeners": 3, "unknown": 1}', "\xff"])
def test_what_was_written_down_badly_is_no_hindrance(tmp_path: Any, text: str) -> None:
    (tmp_path / serving.FILE).write_bytes(text.encode("latin-1"))

    assert last_serving(tmp_path) is None
