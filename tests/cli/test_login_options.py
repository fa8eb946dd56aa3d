"""Where phones may log in is said by listener, and never for a listener on which that would give a password away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_listener_options import serve


def test_listeners_are_named_once_each(tmp_path: Path) -> None:
    _, _, options = serve(tmp_path, "--digest", "http, https,http", "--basic", "https")
    _, _, nothing = serve(tmp_path)

    assert options and (options.digest, options.basic) == (("http", "https"), ("https",))
    assert nothing and (nothing.digest, nothing.basic) == ((), ())


@pytest.mark.parametrize(
    ("option", "listener"),
    [("--basic", "http"), ("--basic", "legacy"), ("--digest", "mtls"), ("--digest", "expired"), ("--digest", "on")],
)
def test_a_listener_where_that_cannot_be_is_refused(tmp_path: Path, option: str, listener: str) -> None:
    code, complaint, options = serve(tmp_path, option, f"https,{listener}")

    assert code != 0 and options is None
    assert option in complaint and repr(listener) in complaint and "https" in complaint
