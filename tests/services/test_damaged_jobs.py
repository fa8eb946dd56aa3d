"""A job whose sealed order, file or way back was damaged fails by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ADMIN, OTHER_VVX, VVX
from tests.services.sealed import flip
from ztp_server.services.opening import Services
from ztp_server.services.phone_import import Order
from ztp_server.services.phone_selection import parse_selection


@pytest.mark.parametrize("column", ["jobs.order", "job_files.body", "job_items.undo"])
async def test_a_damaged_job_fails_and_holds_up_no_other(office: Services, data: Path, column: str) -> None:
    services = office
    table, _, name = column.partition(".")
    edit = await services.phone_bulk.edit(ADMIN, parse_selection([VVX], None), {"settings": {"rtp_port_start": 6000}})
    if table == "job_items":
        await services.job_runner.run(edit.id)
        flip(data, table, name, "undo <> ''")
        damaged = await services.jobs.undo(ADMIN, edit.id)
    elif table == "job_files":
        await services.job_runner.run(edit.id)
        csv = b"hardware_id,name,model,site,base_settings\n0004f2777777,New,vvx-411,madrid,vvx-standard\n"
        damaged = await services.phone_import.submit(ADMIN, Order("x.csv", "create", False, False), [csv])
        flip(data, table, name, "part = 1")
    else:
        damaged = edit
        flip(data, table, name, "id <> ''")
    ended = await services.job_runner.run(damaged.id)
    assert ended.state == ("done" if table == "job_items" else "failed")
    assert ended.failed == 1 if table == "job_items" else "does not open" in ended.reason
    assert len(await services.jobs.page(ADMIN)) >= 1
    other = parse_selection([OTHER_VVX], None)
    after = await services.phone_bulk.edit(ADMIN, other, {"settings": {"rtp_port_start": 7000}})
    assert (await services.job_runner.run(after.id)).state == "done"
