from __future__ import annotations

import pytest

from ztp_server.simulator.address import address_of, folder_of, same_folder
from ztp_server.simulator.failure import SimulationFailed


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        ("https://h:8444/", "https://h:8444/"),
        ("https://h:8444", "https://h:8444/"),
        ("https://h/0004F2AABBCC.cfg", "https://h/"),
        ("https://h/p/<MAC>.cfg", "https://h/p/"),
        ("https://h/<MAC>", "https://h/"),
        ("http://h/p/[MAC]_x", "http://h/p/"),
        ("http://h/token", "http://h/token/"),
        ("http://h/;first.cfg", "http://h/"),
        ("http://[::1]:80/x.y/", "http://[::1]:80/x.y/"),
    ],
)
def test_the_folder_of_an_address_leaves_a_file_name_out(address: str, folder: str) -> None:
    assert folder_of(address) == folder


@pytest.mark.parametrize(
    "address", ["h.example.net", "tftp://h/", "http://", "http://[h/", "http://h:99999/", "", "/x"]
)
def test_what_is_no_web_address_is_refused(address: str) -> None:
    with pytest.raises(SimulationFailed, match="is not an address that begins with"):
        folder_of(address)


def test_a_refused_address_does_not_show_its_password() -> None:
    with pytest.raises(SimulationFailed) as refusal:
        folder_of("ftp://user:hunter2@h/")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://h/", "https://h:443/", True),
        ("https://h/", "https://H/", True),
        ("https://h/", "http://h/", False),
        ("https://h/", "https://h:8443/", False),
        ("https://h/", "https://h/p/", False),
        ("https://h/", "https://i/", False),
    ],
)
def test_folders_are_compared_by_scheme_host_port_and_path(one: str, other: str, same: bool) -> None:
    assert same_folder(one, other) is same


@pytest.mark.parametrize(
    ("name", "address"),
    [("a.cfg", "http://h/p/a.cfg"), ("/a.cfg", "http://h/p//a.cfg"), ("https://i/a.cfg", "https://i/a.cfg")],
)
def test_a_name_is_appended_to_the_folder_unless_it_is_absolute(name: str, address: str) -> None:
    assert address_of("http://h/p/", name) == address
