"""The listeners that are off unless asked for: what is refused before anything is started."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click import Context
from click.testing import CliRunner

from ztp_server.cli.common import OPTION_NAMES
from ztp_server.cli.main import cli
from ztp_server.config import Address, ExpiredListener, LegacyListener, ProxiedListener, ServeOptions
from ztp_server.errors import ForgeableProxy

LEGACY = ("--phone-legacy", "127.0.0.1:8445", "--legacy-until", "2027-06-30", "--legacy-networks", "10.0.0.0/8")
PROXIED = ("--phone-proxied", "127.0.0.1:8081", "--trusted-proxies", "127.0.0.1/32")
HEADER = ("--proxy-certificates", "X-Client-Certificate")
PROBE = ("--proxy-probe", "https://ztp.example.net/")


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers keep what they were set up with for as long as the process: that of all other tests here."""
    monkeypatch.setattr("ztp_server.log.set_up", lambda **_how: None)


def serve(tmp_path: Path, *arguments: str, fails: Exception | None = None) -> tuple[int, str, ServeOptions | None]:
    """Exit code, what it complains of, and the options that a server would have been started with."""
    given: list[ServeOptions] = []

    async def started(options: ServeOptions, _say: Any) -> None:
        given.append(options)
        if fails:
            raise fails

    result = CliRunner().invoke(cli, ["serve", "--data", str(tmp_path), *arguments], obj=started)
    return result.exit_code, result.stderr.strip(), given[0] if given else None


def test_what_is_asked_for_arrives_whole(tmp_path: Path) -> None:
    expired = ("--phone-expired", "[::1]:8447", "--expired-networks", "10.1.0.0/16,192.168.0.0/24")
    code, _, options = serve(tmp_path, *LEGACY, *expired, *PROXIED, *HEADER, *PROBE)

    assert code == 0 and options
    networks = (ip_network("10.1.0.0/16"), ip_network("192.168.0.0/24"))
    assert options.legacy == LegacyListener(Address("127.0.0.1", 8445), (ip_network("10.0.0.0/8"),), date(2027, 6, 30))
    assert options.expired == ExpiredListener(Address("::1", 8447), networks)
    assert options.proxied == ProxiedListener(Address("127.0.0.1", 8081), HEADER[1], PROBE[1])


def test_all_are_off_unless_asked_for(tmp_path: Path) -> None:
    _, _, options = serve(tmp_path)

    assert options and (options.legacy, options.expired, options.proxied) == (None, None, None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (LEGACY[:2], "--legacy-until"),
        (LEGACY[:4], "--legacy-networks"),
        ((*LEGACY[:2], *LEGACY[4:]), "--legacy-until"),
        ((*LEGACY[:2], "--legacy-until", "30.6.2027"), "--legacy-until"),
        ((*LEGACY[:4], "--legacy-networks", "10.0.0.0/33"), "--legacy-networks"),
        (("--phone-legacy", "8445", *LEGACY[2:]), "--phone-legacy"),
        (("--phone-expired", "127.0.0.1:1"), "--expired-networks"),
        (("--phone-expired", "127.0.0.1:1", "--expired-networks", "here"), "--expired-networks"),
        (PROXIED[:2], "--trusted-proxies"),
        ((*PROXIED, *HEADER), "--proxy-probe"),
        ((*PROXIED, *PROBE), "--proxy-certificates"),
        ((*HEADER, *PROBE), "--phone-proxied"),
        ((*PROXIED, "--proxy-certificates", "X Y", *PROBE), "--proxy-certificates"),
        ((*PROXIED, *HEADER, "--proxy-probe", "http://ztp.example.net/"), "--proxy-probe"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    code, complaint, options = serve(tmp_path, *arguments)

    assert (code, options) == (1, None)
    assert named in complaint and len(complaint.splitlines()) == 1


def test_a_proxy_that_can_be_forged_ends_with_exit_code_2(tmp_path: Path) -> None:
    code, complaint, _ = serve(tmp_path, *PROXIED, *HEADER, *PROBE, fails=ForgeableProxy("--proxy-probe: forged"))

    assert (code, complaint) == (2, "ztp: --proxy-probe: forged")


def test_a_file_of_options_may_hold_them(tmp_path: Path) -> None:
    file = tmp_path / "ztp.toml"
    names = {"phone_legacy": LEGACY[1], "legacy_until": LEGACY[3], "legacy_networks": LEGACY[5]}
    file.write_text("".join(f'{name} = "{value}"\n' for name, value in names.items()))
    _, _, options = serve(tmp_path, "--config", str(file))

    assert options and options.legacy and options.legacy.until == date(2027, 6, 30)


def test_a_file_of_options_for_the_server_is_no_obstacle_to_any_other_command() -> None:
    command = cli.get_command(Context(cli), "serve")

    assert command
    assert {option.name for option in command.params} - {"config"} <= OPTION_NAMES
