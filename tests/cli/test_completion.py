"""Shell completion, in a real bash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def completed(*words: str) -> list[str]:
    """What bash offers for the last word of a command line."""
    ztp = Path(sys.executable).parent / "ztp"
    script = f"""
        PATH={ztp.parent}:$PATH
        eval "$(ztp completion bash)"
        COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1}
        _ztp_completion ztp
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [("ztp base", "base-settings"), ("ztp phone prev", "preview"), ("ztp serve --phone-m", "--phone-mtls")],
)
def test_bash_completes_commands_and_options(words: str, offered: str) -> None:
    assert completed(*words.split()) == [offered]
