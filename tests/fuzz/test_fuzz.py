"""Every target is tried for a moment in `make test` and for long in `make test-long`, each in a process of its own."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import examples
from tests.fuzz.requests import DATA
from tests.services.opened import new_data

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info >= (3, 14),
    reason="atheris has no build for this machine",
)
ROOT = Path(__file__).parents[2]
# How often each is tried: in `make test` a second or two.
RUNS = {
    "requests": (1_000, 1_000_000),
    "certificates": (4_000, 2_000_000),
    "phone_lists": (2_000, 500_000),
    "vendor_facts": (400, 200_000),
    "uploads": (10_000, 10_000_000),
    "proxy_headers": (5_000, 5_000_000),
}
LONGEST_SECONDS = examples(60, 180)


@pytest.mark.parametrize("target", RUNS)
def test_no_input_gets_past_the_errors_that_are_ours(target: str, tmp_path: Path) -> None:
    runs = examples(*RUNS[target])
    limits = (f"-runs={runs}", f"-max_total_time={LONGEST_SECONDS}", "-seed=1")
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{target}", *limits],
        cwd=tmp_path,  # where an input is written that was not borne
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), DATA: str(new_data(tmp_path / "data"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST_SECONDS + 120,
    )
    said = ended.stdout.decode(errors="replace")
    assert ended.returncode == 0, said[-6000:]
    done = re.search(r"^Done (\d+) runs", said, re.MULTILINE)
    assert done and int(done[1]) >= len(list((ROOT / "tests" / "fuzz" / "corpus" / target).iterdir())), said[-2000:]


def test_a_finding_ends_the_process_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "found.py").write_text(
        "from tests.fuzz.engine import fuzz\n"
        "def try_one(data):\n    assert data[:1] != b'x'\n"
        "fuzz('uploads', lambda: try_one)\n"
    )
    (tmp_path / "input").write_bytes(b"x")
    ended = subprocess.run(
        [sys.executable, "found.py", "input"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert b"AssertionError" in ended.stdout + ended.stderr
