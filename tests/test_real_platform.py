"""A platform that is there: checked over UDP, TCP and TLS, and listened to, with a real Kamailio."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.conftest import ADMIN
from tests.services.opened import new_data, open_data
from tests.test_real_registrar import MODULES, kamailio
from ztp_server.pki.authority import ensure_server_files

MISSING = shutil.which("kamailio") is None or not (MODULES / "db_sqlite.so").exists()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="kamailio is not installed (see APT in the Makefile)"),
]


async def test_a_real_platform_is_found_on_every_transport_and_believed_by_its_ca_alone(tmp_path: Path) -> None:
    files = await asyncio.to_thread(ensure_server_files, tmp_path / "tls", ["localhost"])
    ca = await asyncio.to_thread(files.ca.read_text)
    services = await open_data(new_data(tmp_path / "data"))
    try:
        async with kamailio(tmp_path / "kamailio", tmp_path / "tls") as registrar:
            await services.platforms.add(ADMIN, "pbx", "", {"domains": "localhost"})

            async def checked(address: str, **fields: str) -> list[str]:
                await services.platforms.edit(ADMIN, "pbx", None, {"address": address, **fields})
                found = (await services.platform_check.check(ADMIN, "pbx"))["findings"]
                return [found[0]["level"], found[0]["what"]]

            for address in (f"udp:127.0.0.1:{registrar.port}", f"tcp:localhost:{registrar.port}"):
                level, what = await checked(address)
                assert level == "ok" and "answers 405" in what, what
            assert (await checked(f"tls:localhost:{registrar.tls_port}", ca=ca))[0] == "ok"
            level, what = await checked(f"tls:localhost:{registrar.tls_port}", ca="")
            assert level == "failure" and "TLS fails" in what, what
    finally:
        await services.close()
