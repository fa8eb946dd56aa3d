"""Many phones at once, as typed: edited, moved, removed, undone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.conftest import ADMIN, HOSTILE_NAME, sample_phone
from tests.services.opened import open_data
from ztp_server.domain.phone import Line

Done = Callable[..., str]


async def add_phones(data: Path, count: int) -> None:
    services = await open_data(data)
    async with services.store.write() as session:
        await session.phones.add(
            [
                sample_phone(f"0004f2{n:06x}", name=f"{HOSTILE_NAME} {n}", lines=(Line(f"u{n}"),), line_keys=())
                for n in range(count)
            ]
        )
    await services.close()


def job_of(out: str) -> str:
    return out.split()[1]


def own_settings(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("phone", "show", MAC))["settings"]
    return found


def test_many_are_edited_by_a_job_and_set_back_by_another(office: Done) -> None:
    out = office("phone", "edit-many", "--filter", "model=vvx-411", "--set", "rtp_port_start=5000")
    assert out.endswith("done: 1 done\n")
    assert own_settings(office) == {"rtp_port_start": 5000}
    assert office("job", "undo", job_of(out)).endswith("done: 1 done\n")
    assert own_settings(office) == {}
    first, second = json.loads(office("job", "list", "--json"))
    assert (first["kind"], first["undoes"], second["id"]) == ("undo", job_of(out), job_of(out))
    shown = json.loads(office("job", "show", job_of(out), "--items"))
    assert shown["order"] == {"settings": {"rtp_port_start": 5000}, "filter": {"model": ["vvx-411"]}}
    assert [item["state"] for item in shown["items"]] == ["undone"]


def test_a_dry_run_shows_what_would_change_and_changes_nothing(office: Done) -> None:
    out = office("phone", "edit-many", MAC, "--set", "dtmf_payload_type=110", "--dry-run")
    assert out.startswith("of 1 phones: 1 changed, 0 unchanged, 0 refused\n")
    assert "  dtmf_payload_type: 101 (product default) → 110 (phone)\n" in out
    assert any(line.startswith("  +") and "110" in line for line in out.splitlines())
    assert own_settings(office) == {} and json.loads(office("job", "list", "--json")) == []
    found = json.loads(office("phone", "edit-many", MAC, "--set", "dtmf_payload_type=110", "--dry-run", "--json"))
    assert found["changed"] == 1 and found["items"][0]["files"]


def test_phones_are_moved_to_other_base_settings(office: Done) -> None:
    office("base-settings", "add", "vvx-new", "--model", "vvx-411", "--set", "rtp_port_start=6000")
    office("phone", "edit", MAC, "--set", "rtp_port_start=6000", "--set", "sip_dscp=9")
    seen = office("phone", "migrate", "--to", "vvx-new", "--overrides", "drop-same", MAC, "--dry-run")
    assert "base_settings: vvx-standard → vvx-new" in seen
    out = office("phone", "migrate", "--to", "vvx-new", "--overrides", "drop-same", MAC)
    assert out.endswith("done: 1 done\n") and own_settings(office) == {"sip_dscp": 9}


def test_a_refused_phone_is_named_and_the_exit_code_tells(office: Done, ztp: Ztp) -> None:
    office("base-settings", "add", "other", "--model", "audiocodes-405hd")
    ended = ztp("phone", "migrate", "--to", "other", "--filter", "name=*")
    assert ended.code == 1 and ended.out.endswith("done: 1 refused\n")
    assert ended.complaint.startswith(f"{MAC} Reception: base_settings: other is for ")
    dry = office("phone", "migrate", "--to", "other", MAC, "--dry-run")
    assert dry.splitlines()[1].startswith(f"refused: {MAC} Reception: base_settings: other is for ")


def test_removed_phones_come_back(office: Done, ztp: Ztp) -> None:
    assert office("phone", "remove-many", MAC, "--dry-run") == "1 phones would be removed\n"
    out = office("phone", "remove-many", MAC)
    assert ztp("phone", "show", MAC).code == 1
    office("job", "undo", job_of(out))
    assert json.loads(office("phone", "show", MAC))["lines"][0]["user"] == "1001"


def test_more_than_fifty_phones_are_changed_only_when_somebody_says_so(office: Done, ztp: Ztp, data: Path) -> None:
    asyncio.run(add_phones(data, 60))
    ended = ztp("phone", "remove-many", "--filter", "name=Sales*")
    assert ended.code == 2 and "60 phones: say --yes to remove so many" in ended.err
    assert office("phone", "remove-many", "--filter", "name=Sales*", "--yes").endswith("done: 60 done\n")


def test_a_job_that_waits_is_stopped_resumed_and_seen(office: Done, ztp: Ztp, data: Path) -> None:
    """It was asked for over REST, say, and the server is down."""

    async def submit() -> str:
        from ztp_server.services.phone_selection import parse_selection

        services = await open_data(data)
        job = await services.phone_bulk.edit(ADMIN, parse_selection([MAC], None), {"settings": {"sip_dscp": 9}})
        await services.close()
        return str(job.id)

    job = asyncio.run(submit())
    office("job", "stop", job)
    assert json.loads(office("job", "show", job))["state"] == "stopped"
    assert office("job", "list", "--state", "stopped").split("\t")[:3] == [job, "phones.edit", "stopped"]
    assert ztp("job", "stop", job).complaint == f"ztp: job {job} is stopped already"
    assert office("job", "resume", job) == f"job {job} done: 1 done\n"
    assert own_settings(office) == {"sip_dscp": 9}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("phone", "remove-many"), "name the phones"),
        (("phone", "remove-many", MAC, "--filter", "site=madrid"), "name the phones"),
        (("phone", "remove-many", "--filter", "madrid"), "is not name=value"),
        (("phone", "migrate", MAC), "Missing option '--to'"),
    ],
)
def test_a_wrong_call_is_told_so(office: Done, ztp: Ztp, arguments: Sequence[str], complaint: str) -> None:
    ended = ztp(*arguments)
    assert ended.code == 2 and complaint in ended.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("phone", "remove-many", "0004f2ffffff"), "ztp: ids.1: no phone 0004f2ffffff"),
        (("phone", "remove-many", "--filter", "siet=madrid"), "ztp: filter.siet: unknown filter; did you mean site?"),
        (("phone", "edit-many", MAC), "ztp: change: changes nothing"),
        (("phone", "edit-many", MAC, "--site", "nowhere"), "ztp: change.site: no site nowhere"),
        (("job", "show", "nope"), "ztp: no job nope"),
        (("job", "list", "--state", "lost"), "ztp: state: must be one of"),
    ],
)
def test_what_is_not_there_is_named_in_one_line(
    office: Done, ztp: Ztp, arguments: Sequence[str], complaint: str
) -> None:
    ended = ztp(*arguments)
    assert ended.code == 1 and ended.complaint.startswith(complaint)
