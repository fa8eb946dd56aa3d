"""Every command as the design page spells it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp, ztp_process
from tests.services.opened import new_data

Done = Callable[..., str]


def audited(data: Path) -> list[tuple[str, str, str, dict]]:
    with sqlite3.connect(data / "ztp.db") as database:
        rows = database.execute("SELECT action, subject, reason, after FROM audit ORDER BY seq").fetchall()
    database.close()
    return [(action, subject, reason, json.loads(after)) for action, subject, reason, after in rows]


def test_the_spellings_of_the_design_page_work_from_site_to_phone(served: Path, done: Done, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("p<a\"s&s'%41;#=\n")

    done("site", "add", "madrid", "--name", "Madrid", "--set", "sip_server=sip.example.net",
         "--set", "sip_server_secondary=sip2.example.net", "--set", "time_zone=Europe/Madrid")  # fmt: skip
    done("base-settings", "add", "vvx-standard", "--model", "vvx-411",
         "--set", "dtmf_payload_type=101", "--set", "codecs=audio/G722,audio/PCMA")  # fmt: skip
    printed = done("phone", "add", "--hardware-id", "00:04:F2:AA:BB:CC", "--name", "Reception", "--model", "vvx-411",
         "--site", "madrid", "--base-settings", "vvx-standard",
         "--line", f"user=1001,password=@{secret},label=1001")  # fmt: skip

    assert printed == f"{MAC}\n"
    revealed = done("phone", "preview", MAC, f"{MAC}-settings.cfg", "--reveal")
    assert 'reg.1.auth.password="p&lt;a&quot;s&amp;s\'%41;#="' in revealed
    assert 'reg.1.server.2.address="sip2.example.net"' in revealed and 'voice.codecPref.G711_A="2"' in revealed


def test_the_list_of_phones_in_json_is_that_of_the_design_page_without_passwords(office: Done) -> None:
    office("phone", "edit", MAC, "--set", "rtp_port_start=5000", "--key", "type=line,line=1",
           "--key", "type=blf,value=1002,label=Sales",
           "--key", "type=speed_dial,value=+34600000000,label=Home")  # fmt: skip

    listed = json.loads(office("phone", "list", "--json"))

    assert len(listed) == 1 and len(listed[0].pop("id")) == 32
    assert listed[0].pop("status")["provisioning"] == "never_seen"
    assert listed[0] == {
        "name": "Reception", "category": "managed", "hardware_id": MAC, "model": "vvx-411", "site": "madrid",
        "base_settings": "vvx-standard", "settings": {"rtp_port_start": 5000},
        "lines": [{"user": "1001", "auth_user": "", "display_name": "", "label": "1001"}],
        "line_keys": [
            {"type": "line", "line": 1},
            {"type": "blf", "value": "1002", "label": "Sales"},
            {"type": "speed_dial", "value": "+34600000000", "label": "Home"},
        ],
        "user": None, "logged_out": False, "standalone": False, "remote_address": None, "proofs": None, "revision": 2,
    }  # fmt: skip


def test_lists_of_phones_are_filtered_ordered_and_cut(office: Done) -> None:
    for number, name in enumerate(("Lobby", "Hall & bar"), 1):
        office("phone", "add", "--hardware-id", f"0004f2aabb0{number}", "--name", name, "--model", "vvx-250",
               "--site", "madrid", "--base-settings", "vvx-standard")  # fmt: skip

    def names(*options: str) -> list[str]:
        return [row["name"] for row in json.loads(office("phone", "list", "--json", *options))]

    assert names("--filter", "model=vvx-250,none", "--sort", "-name") == ["Lobby", "Hall & bar"]
    assert names("--filter", "name=*L*", "--filter", "name=!reception") == ["Hall & bar", "Lobby"]
    assert names("--limit", "2") == ["Hall & bar", "Lobby"]
    assert names("--filter", "site=nowhere") == []
    assert office("phone", "list", "--count", "--filter", "q=00:04:F2:AA:BB:0") == "2\n"


def test_lists_for_people_name_what_there_is(office: Done) -> None:
    assert office("site", "list").split("\t")[:2] == ["madrid", "Madrid"]
    assert office("base-settings", "list") == "vvx-standard\tvvx-standard\tvvx-411\t1\n"
    assert office("phone", "list") == f"{MAC}\tReception\tvvx-411\tmadrid\tvvx-standard\t1001\tnever_seen\tunknown\n"


def test_a_name_cannot_move_the_cursor_of_a_list(office: Done) -> None:
    office("phone", "edit", MAC, "--name", "a\u202eb")
    assert "a\\u202eb" in office("phone", "list")


def test_show_says_what_one_thing_is(office: Done) -> None:
    assert json.loads(office("site", "show", "madrid"))["settings"] == {"sip_server": "sip.example.net"}
    assert json.loads(office("base-settings", "show", "vvx-standard"))["model"] == "vvx-411"
    phone = json.loads(office("phone", "show", MAC))
    assert phone["hardware_id"] == MAC and phone["check_ins"] == []


def test_edit_sets_unsets_and_renames(office: Done) -> None:
    office(
        "site",
        "edit",
        "madrid",
        "--name",
        "Madrid 2",
        "--set",
        "networks=10.1.0.0/16,fd00::/8",
        "--set",
        "sip_port=5071",
    )
    office("site", "edit", "madrid", "--unset", "sip_port", "--set", "plain_secrets=off")
    office("phone", "edit", MAC, "--hardware-id", "0004f2aabbcd", "--set", "language=Spanish_Spain")
    office("phone", "edit", "0004f2aabbcd", "--unset", "language", "--line", "user=7,password=x", "--line", "user=8")

    site = json.loads(office("site", "show", "madrid"))
    assert (site["name"], site["networks"]) == ("Madrid 2", ["10.1.0.0/16", "fd00::/8"])
    assert site["settings"] == {"sip_server": "sip.example.net"} and site["plain_secrets"] is False
    phone = json.loads(office("phone", "show", "0004f2aabbcd"))
    assert phone["settings"] == {} and [line["user"] for line in phone["lines"]] == ["7", "8"]


def test_removed_things_are_gone(office: Done, ztp: Ztp) -> None:
    office("phone", "remove", MAC)
    office("base-settings", "remove", "vvx-standard")
    office("site", "remove", "madrid")

    assert [office(noun, "list") for noun in ("phone", "base-settings", "site")] == ["", "", ""]
    assert ztp("phone", "show", MAC).complaint == f"ztp: no phone {MAC}"


def test_a_change_of_base_settings_is_a_revision_that_can_be_compared(office: Done) -> None:
    printed = office(
        "base-settings", "edit", "vvx-standard", "--set", "rtp_dscp=40", "--set", "admin_password=first-pass"
    )
    assert printed == "revision 2\n1 phone: 1 vvx-411\n"
    office("base-settings", "edit", "vvx-standard", "--unset", "rtp_dscp", "--set", "admin_password=other-pass")

    assert "rtp_dscp: inherited → 40" in office("base-settings", "diff", "vvx-standard", "1", "2")
    difference = office("base-settings", "diff", "vvx-standard", "2", "3")
    assert "rtp_dscp: 40 → inherited" in difference
    assert "admin_password" in difference and "-pass" not in difference, "a changed password is told, not shown"
    old = json.loads(office("base-settings", "show", "vvx-standard", "--revision", "1"))
    assert old["settings"] == {}


def test_a_preview_hides_passwords_and_revealing_them_is_written_down(office: Done, data: Path) -> None:
    office("base-settings", "edit", "vvx-standard", "--set", "admin_password=adm1n-Pass")

    hidden = office("phone", "preview", MAC)
    assert "s3cret" not in hidden and "adm1n-Pass" not in hidden and 'reg.1.auth.password="***"' in hidden
    assert [row for row in audited(data) if row[0] == "phone.revealed"] == []

    shown = office("phone", "preview", MAC, "--reveal", "--reason", "support & co")
    assert "s3cret" in shown and "adm1n-Pass" in shown
    action, subject, reason, after = audited(data)[-1]
    assert (action, subject, reason) == ("phone.revealed", MAC, "support & co")
    assert f"{MAC}-settings.cfg" in after["files"] and "s3cret" not in json.dumps(after)


def test_a_preview_of_all_files_names_each_and_one_file_is_its_bytes_alone(office: Done) -> None:
    everything = office("phone", "preview", MAC)
    one = office("phone", "preview", MAC, f"{MAC}.cfg")

    headings = [line[4:] for line in everything.splitlines() if line.startswith("--- ")]
    assert headings == [f"{MAC}{rest}" for rest in (".cfg", "-settings.cfg", "-custom.cfg", "-directory.xml")]
    assert one.startswith("<?xml ") and one in everything


@pytest.mark.slow
def test_a_phone_can_be_previewed_before_the_server_was_ever_started(tmp_path: Path) -> None:
    data = new_data(tmp_path / "never-served")
    for command in (
        ("site", "add", "s"),
        ("base-settings", "add", "b", "--model", "audiocodes-405hd"),
        ("phone", "add", "--hardware-id", "00908f112233", "--model", "audiocodes-405hd", "--site", "s",
         "--base-settings", "b", "--line", "user=2001"),
        ("base-settings", "add", "v", "--model", "vvx-411"),
        ("phone", "add", "--hardware-id", MAC, "--model", "vvx-411", "--site", "s", "--base-settings", "v"),
    ):  # fmt: skip
        assert ztp_process(*command, "--data", data).returncode == 0

    line_file = ztp_process("phone", "preview", "00908f112233", "--data", data)
    xml = ztp_process("phone", "preview", MAC, "--data", data)

    assert (line_file.returncode, xml.returncode, xml.stderr) == (0, 0, "")
    assert "voip/line/0/id=2001" in line_file.stdout and "APP_FILE_PATH" in xml.stdout


def test_explain_shows_where_a_value_is_from_and_what_it_covers(office: Done) -> None:
    office("site", "edit", "madrid", "--set", "rtp_dscp=40")
    office("base-settings", "edit", "vvx-standard", "--set", "rtp_dscp=41", "--set", "admin_password=adm1n-Pass")
    office("phone", "edit", MAC, "--set", "rtp_dscp=42")

    rows = {row["name"]: row for row in json.loads(office("phone", "explain", MAC, "--json"))}

    assert (rows["rtp_dscp"]["value"], rows["rtp_dscp"]["source"]) == (42, "phone")
    assert rows["rtp_dscp"]["rendered"] == "qos.ip.rtp.dscp"
    assert rows["rtp_dscp"]["underneath"] == [
        {"value": 41, "layer": "base settings", "source": "base settings vvx-standard"},
        {"value": 40, "layer": "site", "source": "site madrid"},
        {"value": 46, "layer": "product default", "source": "product default"},
    ]
    assert rows["sip_server"]["source"] == "site madrid" and rows["admin_password"]["value"] == "***"
    lines = office("phone", "explain", MAC).splitlines()
    assert "rtp_dscp\t42\tphone\tqos.ip.rtp.dscp" in lines
    assert "web_ui_enabled\ton\tproduct default\thttpd.cfg.enabled" in lines


def test_models_are_listed_with_their_facts(done: Done) -> None:
    models = {row["id"]: row for row in json.loads(done("model", "list", "--json"))}

    assert models["vvx-411"]["part"] == "3111-48450-001" and models["vvx-411"]["lines"] == 34
    assert models["audiocodes-405hd"]["codecs"][0] == "audio/G722"
    assert "vvx-411\tVVX 411\tVVX\t34\t12\t3111-48450-001\n" in done("model", "list")


def test_firmware_is_added_listed_and_removed(done: Done, tmp_path: Path, data: Path) -> None:
    image = tmp_path / "sip.ld"
    image.write_bytes(b"image" * 1000)
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()

    printed = done(
        "firmware", "add", image, "--model", "vvx-411", "--model", "vvx-401", "--version", "5.9.7.4477", "--default"
    )
    assert printed.splitlines() == [f"vvx-411\t5.9.7.4477\t{sha256}", f"vvx-401\t5.9.7.4477\t{sha256}"]
    listed = json.loads(done("firmware", "list", "--json"))
    assert [(row["model"], row["size"], row["file_name"], row["is_default"]) for row in listed] == [
        ("vvx-401", 5000, "sip.ld", True),
        ("vvx-411", 5000, "sip.ld", True),
    ]
    assert (data / "firmware" / sha256).read_bytes() == image.read_bytes()

    done("firmware", "remove", "--model", "vvx-411", "--version", "5.9.7.4477")
    assert (data / "firmware" / sha256).exists(), "the other model still has it"
    done("firmware", "remove", "--model", "vvx-401", "--version", "5.9.7.4477")
    assert not (data / "firmware" / sha256).exists() and done("firmware", "list") == ""


def test_templates_check_says_how_many_models_render(done: Done) -> None:
    count = len(json.loads(done("model", "list", "--json")))
    assert done("templates", "check") == f"{count} models render\n"


def test_templates_diff_shows_an_override_and_warns_when_what_it_covers_has_changed(
    done: Done, ztp: Ztp, data: Path, tmp_path: Path
) -> None:
    shipped = Path(__file__).parents[2] / "templates" / "spectralink" / "master.cfg.j2"
    own = tmp_path / "own" / "spectralink" / "master.cfg.j2"
    own.parent.mkdir(parents=True)
    own.write_text(shipped.read_text().replace("<MASTER_CONFIG>", "<MASTER_CONFIG><own/>"))
    folder = {"ZTP_TEMPLATES": str(tmp_path / "own")}

    difference = done("templates", "diff", **folder)
    assert "-<MASTER_CONFIG>" in difference and "+<MASTER_CONFIG><own/>" in difference

    # As if a newer program had come with another file under the override.
    known = json.loads((data / "templates.state" / "shipped.json").read_text())
    (data / "templates.state" / "shipped.json").write_text(json.dumps(dict.fromkeys(known, "0" * 64)))
    warned = ztp("templates", "check", "spectralink", **folder)
    assert warned.code == 0 and "spectralink/master.cfg.j2" in warned.complaint and "templates diff" in warned.complaint
    assert "spectralink/master.cfg.j2" in ztp("templates", "diff", **folder).complaint


def test_templates_check_names_file_and_line_of_a_fault(ztp: Ztp, tmp_path: Path) -> None:
    broken = tmp_path / "own" / "spectralink" / "master.cfg.j2"
    broken.parent.mkdir(parents=True)
    broken.write_text("<a/>\n{{ nonsense }}\n")

    ended = ztp("templates", "check", "spectralink", ZTP_TEMPLATES=str(tmp_path / "own"))

    assert ended.code == 1 and ended.complaint == "spectralink/master.cfg.j2:2: unknown name 'nonsense'"


def test_templates_check_of_one_vendor_leaves_out_the_others(ztp: Ztp) -> None:
    one = ztp("templates", "check", "spectralink")
    assert (one.code, one.out) == (0, "5 models render\n")
    other = ztp("templates", "check", "spektralink")
    assert other.code == 1 and other.complaint == "ztp: no vendor 'spektralink'; did you mean spectralink?"


def test_a_secret_comes_from_a_file_or_from_standard_input_and_an_at_sign_can_be_written(
    office: Done, ztp: Ztp, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    office("phone", "edit", MAC, "--set", "admin_password=@-", stdin="from-stdin\n")
    office("phone", "edit", MAC, "--set", f"held_token=@{tmp_path / 'token'}", "--line", 'user=@@1,"password=a,b"')

    shown = office("phone", "preview", MAC, f"{MAC}-settings.cfg", "--reveal")

    assert 'localAdminPassword="from-stdin"' in shown
    assert 'reg.1.address="@1"' in shown and 'reg.1.auth.password="a,b"' in shown
    assert str(tmp_path / "gone") in ztp("phone", "edit", MAC, "--set", f"held_token=@{tmp_path / 'gone'}").complaint


def test_flags_go_before_the_environment_and_that_before_the_file(done: Done, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("from-file", "from-environment", "from-flag")]
    for folder in folders:
        shutil.copytree(new_data(tmp_path / "x" / folder.name), folder)
    config = tmp_path / "ztp.toml"
    config.write_text(f'data = "{folders[0]}"\n')

    done("site", "add", "one", "--config", config, ZTP_DATA="")
    done("site", "add", "two", ZTP_CONFIG=str(config), ZTP_DATA=str(folders[1]))
    done("site", "add", "three", "--data", folders[2], ZTP_CONFIG=str(config), ZTP_DATA=str(folders[1]))

    for folder, site in zip(folders, ("one", "two", "three"), strict=True):
        assert done("site", "list", ZTP_DATA=str(folder)).split("\t")[0] == site


def test_one_options_file_serves_the_server_and_every_other_command(done: Done, tmp_path: Path) -> None:
    config = tmp_path / "ztp.toml"
    config.write_text('phone_http = "127.0.0.1:8080"\n')

    assert done("site", "list", ZTP_CONFIG=str(config)) == ""


def test_ztp_alone_shows_its_commands() -> None:
    helped = ztp_process("--help")
    assert helped.returncode == 0
    for command in ("serve", "phone", "site", "base-settings", "model", "firmware", "templates", "simulate"):
        assert f"  {command} " in helped.stdout
    assert ztp_process("--version").stdout.startswith("ztp, version ")
