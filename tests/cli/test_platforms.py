"""`ztp platform`"""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.cli.conftest import Ztp


def test_a_platform_is_added_shown_edited_and_removed_with_the_server_down(ztp: Ztp, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    where = ("--domain", "SIP.example.net", "--domain", "192.0.2.7", "--address", "udp:192.168.1.5")
    login = ("--user", "ztp", "--password", f"@{tmp_path / 'secret'}")
    made = ztp("platform", "add", "pbx", "--name", "Head & office", *where, *login, "--json")
    view = json.loads(made.out)
    assert (view["address"], view["domains"]) == ("udp:192.168.1.5:5060", ["sip.example.net", "192.0.2.7"])
    assert view["has_password"] and "s3cret" not in made.out
    assert ztp("platform", "add", "bare", "--domain", "bare.example.net").out == ""

    assert ztp("platform", "list").out.splitlines() == [
        "bare\tbare\tbare.example.net\tnone\tnone",
        "pbx\tHead & office\tsip.example.net,192.0.2.7\tudp:192.168.1.5:5060\tnone",
    ]
    assert (
        json.loads(ztp("platform", "list", "--json").out)[1] == view == json.loads(ztp("platform", "show", "pbx").out)
    )
    assert ztp("platform", "edit", "pbx", "--direct", "--reason", "NAT").out == "revision 2\n"
    refused = ztp("platform", "edit", "pbx", "--address", "tcp:198.51.100.66")
    assert refused.code == 1 and refused.complaint.startswith("ztp: password: give it again")
    assert ztp("platform", "edit", "pbx", "--address", "", "--user", "", "--password", "").out == "revision 3\n"
    assert ztp("platform", "add", "new").complaint.startswith("ztp: domains: is missing")
    ztp("platform", "remove", "pbx", "--reason", "gone")
    assert ztp("platform", "show", "pbx").complaint == "ztp: no platform pbx"


def test_a_check_fails_with_what_to_do(ztp: Ztp) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp:127.0.0.1:{closed.getsockname()[1]}"
        ztp("platform", "add", "pbx", "--domain", "sip.example.net", "--address", address)
        checked = ztp("platform", "check", "pbx")
    assert checked.code == 1 and checked.out.splitlines()[:2] == [
        f"address: failure: {address}: cannot be reached: Connection refused",
        "    check host and port, and that it listens there",
    ]
    ztp("platform", "edit", "pbx", "--address", "")
    found = ztp("platform", "check", "pbx", "--json")
    assert found.code == 0 and json.loads(found.out)["level"] == "advice"
