"""Bad input: one clear line that names the place, an exit code, nothing half written."""

from __future__ import annotations

import base64
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ended, Ztp, ztp_process
from ztp_server.pki.authority import make_device_authority

ADD = ("phone", "add", "--hardware-id", "0004f2aabbcd", "--model", "vvx-411", "--site", "madrid",
       "--base-settings", "vvx-standard")  # fmt: skip
# Root may write into any folder, unless it lays down the capability.
WITHOUT_ROOTS_LICENCE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
OFF = ("--phone-http", "off", "--phone-https", "off", "--phone-mtls", "off", "--admin", "off")


def replaced(**options: str) -> list[str]:
    command = list(ADD)
    for name, value in options.items():
        command[command.index(f"--{name.replace('_', '-')}") + 1] = value
    return command


@pytest.fixture
def refused(office: Callable[..., str], ztp: Ztp, data: Path) -> Callable[..., str]:
    """Runs a command that must be refused with one line and leave every record as it was."""

    def run(*arguments: str | Path, **more: str) -> str:
        before = dump(data)
        ended = ztp(*arguments, **more)
        assert ended.code == 1 and ended.out == ""
        assert dump(data) == before, "something was written"
        assert ended.complaint.startswith("ztp: ")
        return ended.complaint.removeprefix("ztp: ")

    return run


def dump(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        return list(database.iterdump())


Refused = Callable[..., str]


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(refused: Refused) -> None:
    expected = "settings.dtmf_payload_typ: unknown setting; did you mean dtmf_payload_type?"
    assert refused("base-settings", "edit", "vvx-standard", "--set", "dtmf_payload_typ=101") == expected
    assert refused("site", "edit", "madrid", "--set", "sip_sever=x") == (
        "settings.sip_sever: unknown setting; did you mean sip_server?"
    )


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("rtp_dscp=64", "settings.rtp_dscp: must be less than or equal to 63"),
        ("rtp_dscp=high", "settings.rtp_dscp: must be a valid integer"),
        ("rtp_port_start=4001", "settings.rtp_port_start: "),
        ("srtp=maybe", "settings.srtp: must be 'off', 'optional' or 'required'"),
        ("dtmf_payload_type=95", "settings.dtmf_payload_type: must be greater than or equal to 96"),
        ("codecs=audio/G722,audio/G722", "settings.codecs: must be a list that names each only once"),
        ("codecs=G722", "settings.codecs.1: must be a codec as a MIME name, such as audio/G722"),
        ("sip_server=a b", "settings.sip_server: must be a host name or an IP address"),
        ("time_zone=Europe/Madird", "settings.time_zone: 'Europe/Madird' is not an IANA time zone; did you mean"),
        ("time_zone=", "settings.time_zone: "),
        ("gmt_offset=1h", "settings.gmt_offset: must be an offset from UTC such as +01:00"),
        ("syslog_server=log:²", "settings.syslog_server: must be a host, or host:port with a port from 1 to 65535"),
        ("syslog_server=log:99999", "settings.syslog_server: must be a host, or host:port with a port from 1 to 65535"),
        ("tls_ca=x", "settings.tls_ca: must be certificates in PEM form, and nothing else"),
        ("firmware_version=../x", "settings.firmware_version: must be a version"),
        ("vlan_id=4095", "settings.vlan_id: must be less than or equal to 4094"),
    ],
)
def test_a_bad_value_is_named_with_what_it_must_be(refused: Refused, assignment: str, says: str) -> None:
    assert refused("phone", "edit", MAC, "--set", assignment).startswith(says)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (replaced(model="vvx-412"), "model: unknown model 'vvx-412'; did you mean vvx-411?"),
        (replaced(model=""), "model: is missing"),
        (replaced(hardware_id=MAC), f"phone {MAC} exists already"),
        (replaced(hardware_id="00-04-F2-AA-BB-CC"), f"phone {MAC} exists already"),
        (replaced(hardware_id="0004f2aabbc"), "hardware_id: '0004f2aabbc' is neither a MAC address"),
        (replaced(hardware_id="000000000000"), "hardware_id: 000000000000 is not the address of one device"),
        (replaced(hardware_id="phone.example.net"), "hardware_id: a managed phone has a MAC address"),
        (replaced(site="paris"), "site: no site paris"),
        (replaced(base_settings="other"), "base_settings: no base settings other"),
        (replaced(model="audiocodes-405hd"),
         "base_settings: vvx-standard is for VVX, AudioCodes 405HD is of AudioCodes 4xxHD"),
        ([*ADD, "--line", "user="], "lines.1.user: a line needs a SIP user"),
        ([*ADD, "--line", "user=1", "--line", 'user=2,"password=a\nb"'],
         "lines.2.password: character U+000A is not allowed"),
        ([*ADD, "--key", "type=line,line=1"], "line_keys.1.line: the phone has 0 lines, numbered from 1"),
        ([*ADD, "--key", "type=line,value=1"], "--key value: a line key has none; its line is given as line=2"),
        ([*ADD, "--key", "type=blf,value=1,line=1"], "--key line: only a key of type line has one"),
        ([*ADD, "--key", "type=none,value=1"], "--key value: a key of type none has none"),
        ([*ADD, "--line", "user=1"] + 12 * ["--key", "type=blf,value=1"],
         "line_keys.13: 13 keys, VVX 411 has 12; one of them is for its first line, which needs a key"),
        ([*ADD, "--line", "user=1,password=@/nowhere/secret"], "@/nowhere/secret: No such file or directory"),
        ([*ADD, "--key", "type=pork,value=1"],
         "line_keys.1.type: 'pork' is none of line, blf, speed_dial, park, intercom, url, none"),
        ([*ADD, "--name", " "], "name: must not be empty"),
        (["phone", "edit", MAC, "--unset", "language"], "settings.language: is not set here"),
        (["site", "add", "Madrid"], "id: 'Madrid' is not an id"),
        (["site", "add", "madrid"], "site madrid exists already"),
        (["site", "edit", "madrid", "--set", "networks=10.0.0.1/8"], "networks: '10.0.0.1/8' is not a network"),
        (["site", "edit", "madrid", "--set", "proofs=magic"], "proofs: 'magic' is none of certificate, token"),
        (["site", "edit", "madrid", "--set", "plain_secrets=perhaps"], "plain_secrets: must be on or off"),
        (["site", "edit", "paris"], "no site paris"),
        (["site", "remove", "madrid"], "site madrid is in use by 1 phone"),
        (["base-settings", "add", "vvx-standard", "--model", "vvx-411"], "base settings vvx-standard exist already"),
        (["base-settings", "add", "x", "--model", "vvx"], "model: unknown model 'vvx'; did you mean vvx-"),
        (["base-settings", "remove", "vvx-standard"], "base settings vvx-standard are in use by 1 phone"),
        (["base-settings", "show", "vvx-standard", "--revision", "9"], "no base settings vvx-standard revision 9"),
        (["phone", "remove", "0004f2aabbcd"], "no phone 0004f2aabbcd"),
        (["phone", "preview", MAC, "x.cfg"], f"no file x.cfg; there are: {MAC}.cfg, "),
        (["firmware", "add", "/nowhere/sip.ld", "--model", "vvx-411", "--version", "1"], "file: /nowhere/sip.ld: "),
        (["firmware", "add", "/", "--model", "vvx-411", "--version", "1"], "file: "),
        (["firmware", "add", "/dev/null", "--model", "vvx-411", "--version", "1"], "file: is empty"),
        (["firmware", "add", __file__, "--model", "vvx-411", "--version", "../1"], "version: '../1' is not a version"),
        (["firmware", "add", __file__, "--model", "x", "--version", "1"], "model: unknown model 'x'"),
        (["firmware", "remove", "--model", "vvx-411", "--version", "1"], "no firmware 1 for vvx-411"),
        (["phone", "import", "/nowhere.csv"], "file: /nowhere.csv: No such file or directory"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_that_names_the_place(refused: Refused, command: list[str], says: str) -> None:
    assert refused(*command).startswith(says)


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["phone", "nonsense"],
        ["phone", "add"],
        ["phone", "add", "--nonsense"],
        ["phone", "list", "extra"],
        ["phone", "import", "x.csv", "--mode", "replace"],
        [*ADD, "--set", "rtp_dscp"],
        [*ADD, "--line", "user=1,pasword=x"],
        [*ADD, "--line", "1001"],
        [*ADD, "--key", "typ=blf"],
        ["base-settings", "diff", "vvx-standard", "one", "2"],
        ["site", "list", "--config", "/nowhere.toml"],
    ],
)
def test_a_wrong_call_ends_with_2_and_says_how_it_is_called(
    office: Callable[..., str], ztp: Ztp, command: list[str]
) -> None:
    ended = ztp(*command)
    assert ended.code == 2 and ended.out == ""
    assert ended.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("content", ["datum = 1", "data = ", 'data = "a"\ndata = "b"', b"\xff", "[phone]\nx = 1"])
def test_an_options_file_with_a_mistake_is_a_wrong_call_that_names_it(
    ztp: Ztp, tmp_path: Path, content: str | bytes
) -> None:
    config = tmp_path / "ztp.toml"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = ztp("site", "list", "--config", config)
    assert ended.code == 2 and str(config) in ended.err


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jx", "a\u2028b", "\udcff", "custom.a\nb", "{{", "x" * 5000])
def test_a_hostile_name_of_a_setting_is_refused_in_one_short_line(refused: Refused, name: str) -> None:
    assert len(refused("phone", "edit", MAC, "--set", f"{name}=1")) < 400
    assert len(refused("base-settings", "edit", "vvx-standard", "--set", f"{name}=1")) < 400


@pytest.mark.parametrize(
    "command",
    [
        ["site", "show", "\udcff"],
        ["site", "edit", "\udcff"],
        ["site", "remove", "\udcff"],
        ["base-settings", "show", "\udcff"],
        ["base-settings", "remove", "a\nb"],
        ["phone", "show", "\udcff"],
        ["phone", "preview", MAC, "\udcff"],
        ["firmware", "remove", "--model", "\udcff", "--version", "1"],
        replaced(site="\udcff"),
        replaced(base_settings="\udcff"),
        replaced(site="a\nb"),
        replaced(model="\udcff"),
    ],
)
def test_a_name_that_is_no_text_is_refused_like_any_other(refused: Refused, command: list[str]) -> None:
    refused(*command)


def test_a_number_of_five_thousand_digits_is_refused_like_any_other(refused: Refused) -> None:
    digits = "9" * 5000
    assert refused("phone", "edit", MAC, "--key", f"type=line,line={digits}").startswith(
        ("--key line", "line_keys.1.line")
    )
    assert refused("phone", "edit", MAC, "--set", f"rtp_dscp={digits}").startswith("settings.rtp_dscp: ")


def test_no_refusal_repeats_a_secret(refused: Refused) -> None:
    secret = "hunter2-" * 20
    for command in (
        ["phone", "edit", MAC, "--line", f"user=1,password={secret}"],
        ["phone", "edit", MAC, "--set", f"admin_password={secret}"],
        ["base-settings", "edit", "vvx-standard", "--set", f"held_token={secret * 20}"],
        ["site", "edit", "madrid", "--set", f"user_password={secret}"],
    ):
        assert "hunter2" not in refused(*command)


# ---- the data folder and the database -------------------------------------------------------------------------------


def one_line(ended: Ended | subprocess.CompletedProcess[str]) -> str:
    if isinstance(ended, subprocess.CompletedProcess):
        ended = Ended(ended.returncode, ended.stdout, ended.stderr)
    assert ended.code == 1 and ended.out == ""
    return ended.complaint


@pytest.mark.parametrize("inside", ["a-file", "a-file/below", "/proc/ztp", "/sys/ztp", "/dev/null"])
def test_a_data_folder_that_cannot_be_written_is_named(ztp: Ztp, tmp_path: Path, inside: str) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    folder = tmp_path / inside

    assert one_line(ztp("site", "list", "--data", folder)).startswith(f"ztp: data folder {folder}: ")
    assert (tmp_path / "a-file").read_text() == "not a folder"


def test_a_read_only_data_folder_is_named_and_left_as_it_is(office: Callable[..., str], data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    data.chmod(0o555)

    ended = ztp_process("site", "add", "x", "--data", data, before=WITHOUT_ROOTS_LICENCE)

    assert one_line(ended).startswith(f"ztp: data folder {data}: ")
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_a_database_of_a_newer_program_is_left_alone(office: Callable[..., str], ztp: Ztp, data: Path) -> None:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = dump(data)

    said = one_line(ztp("site", "add", "x"))

    assert str(data / "ztp.db") in said and "newer" in said and "9999" in said
    assert dump(data) == before


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 50, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_that_is_no_database_is_named_and_left_alone(ztp: Ztp, data: Path, content: bytes) -> None:
    (data / "ztp.db").write_bytes(content)

    assert one_line(ztp("site", "list")).startswith(f"ztp: database {data / 'ztp.db'}: ")
    assert (data / "ztp.db").read_bytes() == content


def test_a_database_of_another_program_is_named_and_left_alone(ztp: Ztp, data: Path) -> None:
    (data / "ztp.db").unlink()
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("CREATE TABLE phones (number)")
    before = dump(data)

    assert str(data / "ztp.db") in one_line(ztp("site", "list"))
    assert dump(data) == before


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://ztp:hunter2@db/ztp",
        "postgresql:/ztp:hunter2@db/ztp",
        "postgresql://ztp:hunter2@db:port/ztp",
        "postgresql://ztp:hunter2@127.0.0.1:1/ztp",
        "sqlite:////nowhere/ztp.db",
        "sqlite:////tmp",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///{folder}/x.db?mode=ro",
    ],
)
def test_a_database_address_that_cannot_be_used_is_refused_without_its_password(data: Path, url: str) -> None:
    ended = ztp_process("site", "add", "x", "--data", data, "--database", url.format(folder=data))
    assert "hunter2" not in one_line(ended)


def test_postgresql_without_its_driver_is_told_how_to_be_installed(data: Path) -> None:
    start = "import sys; sys.modules['asyncpg'] = None; from ztp_server.__main__ import main; main()"
    command = [sys.executable, "-c", start, "site", "list", "--data", str(data), "--database", "postgresql://db/ztp"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert "asyncpg" in one_line(ended)


def test_a_key_that_others_may_read_is_refused_with_the_command_that_mends_it(
    office: Callable[..., str], ztp: Ztp, data: Path
) -> None:
    key = data / "secret.key"
    key.chmod(0o640)
    assert one_line(ztp("phone", "list")) == f"ztp: {key}: others may read it; run: chmod 600 {key}"


@pytest.mark.parametrize("content", [b"", b"short", b"!" * 44, base64.b64encode(b"x" * 31), b"\xff\xfe" * 40])
def test_a_key_that_is_none_is_named(office: Callable[..., str], ztp: Ztp, data: Path, content: bytes) -> None:
    (data / "secret.key").write_bytes(content)
    said = one_line(ztp("phone", "list"))
    assert said.startswith(f"ztp: {data / 'secret.key'}: not a key") and "short" not in said


def test_another_key_opens_nothing_and_is_named(office: Callable[..., str], ztp: Ztp, data: Path) -> None:
    (data / "secret.key").write_bytes(base64.b64encode(b"k" * 32))
    said = one_line(ztp("phone", "list"))
    assert said == f"ztp: {data / 'secret.key'}: not the key of {data / 'ztp.db'}; put that one back"


def test_a_key_that_was_lost_is_not_replaced_by_a_new_one(office: Callable[..., str], ztp: Ztp, data: Path) -> None:
    (data / "secret.key").unlink()
    assert one_line(ztp("phone", "list")).endswith("does not open without it; put it back")
    assert not (data / "secret.key").exists()


@pytest.mark.parametrize("damage", ["v1:", "v1:AAAA", "v1:!!!!", "plain text", "v1:" + "A" * 80])
def test_a_damaged_secret_is_named_and_not_taken_for_text(
    office: Callable[..., str], ztp: Ztp, data: Path, damage: str
) -> None:
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("UPDATE lines SET password = ?", (damage,))
        database.commit()
    assert re.search("lines/[0-9a-f]{32}/1.*: does not open", one_line(ztp("phone", "preview", MAC, "--reveal")))


# ---- ztp serve ------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_its_option(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--phone-http", "--phone-https", "--admin"):
            said = one_line(ztp_process("serve", "--data", data, *OFF, option, f"127.0.0.1:{port}"))
            assert option in said and str(port) in said


@pytest.mark.parametrize(
    "address", ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:²"]
)
def test_an_address_that_is_none_is_named_with_its_option(data: Path, address: str) -> None:
    ended = ztp_process("serve", "--data", data, *OFF, "--phone-http", address)
    assert ended.returncode in (1, 2) and "Traceback" not in ended.stderr
    assert "--phone-http" in ended.stderr.splitlines()[-1] and address in ended.stderr


def test_an_address_of_another_machine_is_named_with_its_option(data: Path) -> None:
    said = one_line(ztp_process("serve", "--data", data, *OFF, "--phone-http", "192.0.2.1:8080"))
    assert "--phone-http" in said and "192.0.2.1:8080" in said


def test_a_certificate_and_a_key_that_do_not_match_are_both_named(data: Path, tmp_path: Path) -> None:
    tls = data / "tls"
    tls.mkdir(mode=0o700)
    make_device_authority(tmp_path, "one")
    make_device_authority(tmp_path, "two")
    (tls / "server.pem").write_bytes((tmp_path / "one.pem").read_bytes())
    (tls / "server.key").write_bytes((tmp_path / "two.key").read_bytes())
    (tls / "server.key").chmod(0o600)

    said = one_line(ztp_process("serve", "--data", data, *OFF, "--phone-https", "127.0.0.1:0"))

    assert str(tls / "server.pem") in said and str(tls / "server.key") in said and "do not belong together" in said


def test_a_template_with_an_unknown_name_is_named_with_its_line(data: Path) -> None:
    broken = data / "templates" / "spectralink" / "master.cfg.j2"
    broken.parent.mkdir(parents=True)
    broken.write_text("<a>{{ nonsense }}</a>")
    ended = ztp_process("templates", "check", "spectralink", "--data", data)
    assert ended.returncode == 1 and ended.stderr == "spectralink/master.cfg.j2:1: unknown name 'nonsense'\n"
