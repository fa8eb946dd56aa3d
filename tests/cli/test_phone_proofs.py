"""`ztp phone proofs, token, window, digest, block` as a person uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import MAC, Ztp

Done = Callable[..., str]
CSV = "hardware_id,name,model,site,base_settings\n0004f2000001,One,vvx-411,madrid,vvx-standard\n"


def proofs(office: Done) -> dict[str, object]:
    found: dict[str, object] = json.loads(office("phone", "proofs", MAC, "--json"))
    return found


def test_an_address_with_a_token_is_printed_once(office: Done, ztp: Ztp) -> None:
    addresses = office("phone", "token", MAC, "--reason", "new desk").splitlines()
    token = addresses[0].split("/")[-2]
    assert addresses == [f"{scheme}://ztp.example.net/t/{token}/" for scheme in ("http", "https")]
    shown = office("phone", "proofs", MAC)
    assert "Bootstrap token\tmade by local:" in shown and "not used yet" in shown and "Steady token" in shown
    everything = shown + office("phone", "show", MAC) + office("audit", "list", "--json") + office("phone", "why", MAC)
    assert token not in everything and "phone_token.made" in everything

    assert json.loads(office("phone", "token", MAC, "--kind", "steady", "--json"))["kind"] == "steady"
    assert office("phone", "token", MAC, "--remove") == ""
    assert "no bootstrap token" in ztp("phone", "token", MAC, "--remove").complaint
    assert ztp("phone", "token", MAC, "--kind", "magic").code == 2


def test_a_window_is_opened_and_closed(office: Done, ztp: Ztp) -> None:
    said = office("phone", "window", "open", MAC, "--for", "2h", "--reason", "unpacked")
    assert said.startswith("open until 20") and "afterwards the phone proves itself by the steady token" in said
    assert "Window\topen until 20" in office("phone", "proofs", MAC)
    assert office("phone", "window", "close", MAC) == ""
    assert "no window is open" in ztp("phone", "window", "close", MAC).complaint
    for wrong in ("soon", "0", "8d", "-1"):
        assert ztp("phone", "window", "open", MAC, "--for", wrong).code == 1
    office("phone", "edit", MAC, "--proofs", "window")
    warned = ztp("phone", "window", "open", MAC)
    assert warned.code == 0 and "by nothing: it keeps the files it has" in warned.complaint


def test_a_digest_password_is_printed_when_it_is_made(office: Done, ztp: Ztp, tmp_path: Path) -> None:
    user, password = office("phone", "digest", MAC).rstrip("\n").split("\t")
    assert user == MAC and len(password) == 24
    (tmp_path / "secret").write_text("p<a;s&s'%41\n")
    given = ztp("phone", "digest", MAC, "--user", "ops", "--password", f"@{tmp_path / 'secret'}", "--json")
    assert "still holds the login that this one replaces" in given.err
    made = json.loads(given.out)
    assert (made["user"], made["password"]) == ("ops", "p<a;s&s'%41")
    assert "reason" in ztp("phone", "digest", MAC, "--reveal").complaint
    assert office("phone", "digest", MAC, "--reveal", "--reason", "reset") == "ops\tp<a;s&s'%41\n"
    assert "p<a;s&s" not in office("phone", "proofs", MAC) + office("audit", "list", "--json")
    assert ztp("phone", "digest", MAC, "--reveal", "--remove").code == 2
    office("phone", "digest", MAC, "--remove")
    assert proofs(office)["digest"] is None


def test_a_phone_is_blocked_by_word_and_by_list(office: Done, ztp: Ztp) -> None:
    office("phone", "window", "open", MAC)
    office("phone", "block", MAC, "--reason", "stolen")
    assert "none: it is blocked" in office("phone", "proofs", MAC)
    assert "- it is blocked" in office("phone", "why", MAC) and "ztp phone unblock" in office("phone", "why", MAC)
    assert "blocked" in ztp("phone", "window", "open", MAC).complaint
    office("phone", "unblock", MAC)
    assert (proofs(office)["blocked"], proofs(office)["window"]) == (False, None)

    office("phone", "edit", MAC, "--proofs", "network, token")
    assert (proofs(office)["source"], proofs(office)["proofs"]) == ("phone", ["token", "network"])
    office("phone", "edit", MAC, "--name", "New")
    assert proofs(office)["source"] == "phone"
    office("phone", "edit", MAC, "--proofs", "none")
    assert proofs(office)["blocked"] is True
    office("phone", "edit", MAC, "--proofs", "site")
    assert proofs(office)["source"] == "site madrid"
    for wrong in ("magic", "", "site,token"):
        assert ztp("phone", "edit", MAC, "--proofs", wrong).complaint.startswith("ztp: proofs: ")


def test_the_proofs_of_a_phone_are_a_column(office: Done, ztp: Ztp, tmp_path: Path) -> None:
    office("phone", "edit", MAC, "--proofs", "none")
    (tmp_path / "out.csv").write_text(office("phone", "export", "--reveal", "--reason", "a move"), newline="")
    assert ",none," in (tmp_path / "out.csv").read_text()
    again = office("phone", "import", tmp_path / "out.csv", "--mode", "upsert")
    assert again == "0 phones were created, 0 updated, 1 unchanged\n"
    for cell, counted in (("token,network", ["token", "network"]), ("-", None), ("certificate", ["certificate"])):
        (tmp_path / "in.csv").write_text(f'hardware_id,proofs\n{MAC},"{cell}"\n')
        office("phone", "import", tmp_path / "in.csv", "--mode", "update")
        assert json.loads(office("phone", "show", MAC))["proofs"] == counted
    (tmp_path / "in.csv").write_text(f"hardware_id,proofs\n{MAC},=magic\n")
    refused = ztp("phone", "import", tmp_path / "in.csv", "--mode", "update")
    assert refused.code == 1 and "line 2, column proofs: '=magic' is none of" in refused.err


def test_an_import_opens_windows_when_it_is_asked_to(office: Done, ztp: Ztp, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(CSV)
    tried = office("phone", "import", tmp_path / "new.csv", "--open-window", "60m", "--dry-run")
    assert tried == "1 phones would be created, 0 updated; 1 windows would be opened for 60m\n"
    done = office("phone", "import", tmp_path / "new.csv", "--open-window", "60m")
    assert done == "1 phones were created, 0 updated; 1 windows were opened for 60m\n"
    assert json.loads(office("phone", "proofs", "0004f2000001", "--json"))["window"]
    assert ztp("phone", "import", tmp_path / "new.csv", "--open-window", "soon").complaint.startswith(
        "ztp: --open-window: "
    )
    update = ztp("phone", "import", tmp_path / "new.csv", "--open-window", "60m", "--mode", "update")
    assert "an update makes none" in update.complaint


def test_windows_are_opened_for_many_by_a_job(office: Done, ztp: Ztp) -> None:
    out = office("phone", "window", "open", "--filter", "model=vvx-411", "--for", "2h")
    assert out.endswith("done: 1 done\n")
    assert json.loads(office("phone", "proofs", MAC, "--json"))["window"]["until"]
    assert office("phone", "window", "open", MAC, MAC).endswith("done: 1 done\n")
    assert ztp("phone", "window", "open").code == 2
    assert ztp("phone", "window", "open", MAC, "--filter", "model=vvx-411").code == 2
    assert ztp("phone", "window", "open", "--filter", "model=vvx-411", "--json").code == 2
    office("phone", "block", MAC)
    assert MAC in office("phone", "list", "--filter", "proofs=blocked")
    assert office("phone", "list", "--filter", "proofs=own") == ""
    assert ztp("phone", "window", "open", "--filter", "proofs=blocked").code == 1
