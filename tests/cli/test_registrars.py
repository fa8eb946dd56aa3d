"""`ztp registrar`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Done = Callable[..., str]


def test_the_command_writes_a_file_for_ones_own_eyes(office: Done, tmp_path: Path) -> None:
    file = tmp_path / "accounts.sql"
    assert office("registrar", "list").split() == ["asterisk", "freeswitch", "kamailio", "kamailio-aliases"]
    said = office("registrar", "export", "kamailio", "--site", "madrid", "--reason", "new", "-o", file)
    assert said == "accounts: 1, forwarding targets: 0\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == office("registrar", "export", "kamailio", "--filter", "site=madrid", "--reason", "new")
    assert file.read_text().startswith("BEGIN;\n") and file.read_text().endswith("COMMIT;\n")
