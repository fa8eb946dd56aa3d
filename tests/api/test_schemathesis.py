"""Every operation with made-up requests, good and bad ones: nothing fails, nothing is answered that is not declared,
and nothing is taken that the document forbids."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.api.conftest import rest_over
from tests.conftest import examples, fill
from ztp_server.api import limits
from ztp_server.api.application import NOUNS
from ztp_server.services import status_feed

CONFIG = """\
[checks.negative_data_rejection]
# Refusals as well: a body above its bound, a revision that is another by now.
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""


@pytest.mark.slow
async def test_no_made_up_request_finds_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTOR_RATE", "ACTOR_BURST", "FAILURE_RATE", "FAILURE_BURST"):
        monkeypatch.setattr(limits, name, 1e9)
    monkeypatch.setattr(status_feed, "LONGEST_SECONDS", 0.0)  # a stream would be read for minutes
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    async with rest_over(tmp_path) as rest:
        await fill(rest.services)
        rest.requests.write = lambda fields: None  # type: ignore[method-assign]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
            *("run", f"{rest.url}/api/v1/openapi.json", "--header", "Authorization: Bearer admin-token"),
            # A document cannot say which sites and models there are, so that what it allows may well be refused.
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance", "--mode", "all"),
            *("--continue-on-failure", "--no-color", "--seed", "4"),
            *("--max-examples", str(examples(3, 100)), "--generation-database", "none"),
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()

    rows = [row for noun in NOUNS for row in noun.operations]
    text = said.decode()
    assert process.returncode == 0, text[text.find("= FAILURES =") :]
    assert f"Tested: {len(rows)}" in text
