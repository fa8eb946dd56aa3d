"""What is kept in flash, and what of a change may be shown."""

from __future__ import annotations

import pytest

from ztp_server.domain.vendor import FlashRule
from ztp_server.simulator.flash import Change, Flash, split_flash

RULE = FlashRule(names=r"dev\..+", switch="dev.set", needs="{name}.set")
PLAIN = FlashRule(names="(?i)NET/.+")


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({"dev.set": "1", "dev.a": "x", "dev.a.set": "1"}, {"dev.a": "x"}),
        ({"dev.set": "0", "dev.a": "x", "dev.a.set": "1"}, {}),
        ({"dev.a": "x", "dev.a.set": "1"}, {}),
        ({"dev.set": "1", "dev.a": "x"}, {}),
        ({"dev.set": "1", "dev.a": "x", "dev.a.set": "0"}, {}),
        ({"dev.set": "1", "dev.a": "", "dev.a.set": "1", "dev.b": "y", "dev.b.set": "1"}, {"dev.a": "", "dev.b": "y"}),
    ],
)
def test_a_parameter_reaches_the_flash_only_when_it_is_switched_on(
    parameters: dict[str, str], kept: dict[str, str]
) -> None:
    flash, others = split_flash(RULE, {"line.1": "1001", **parameters})
    assert flash == kept
    assert "dev.a" not in others and others["line.1"] == "1001"


def test_without_switches_every_such_name_is_kept() -> None:
    assert split_flash(PLAIN, {"net/vlan": "3", "internet/x": "1"}) == ({"net/vlan": "3"}, {"internet/x": "1"})


def test_a_family_without_flash_keeps_nothing() -> None:
    assert split_flash(None, {"dev.set": "1"}) == ({}, {"dev.set": "1"})


def test_only_another_value_is_a_change() -> None:
    flash = Flash({"a": "1", "b": "2"})
    assert flash.write({"a": "1", "b": "3", "c": "", "d": "4"}) == [Change("b", "2", "3"), Change("d", "", "4")]
    assert flash.write({"d": "4"}) == []
    assert flash.held == {"a": "1", "b": "3", "c": "", "d": "4"}


def test_of_a_phone_that_nobody_knows_the_first_value_is_the_one_it_has() -> None:
    flash = Flash()
    assert flash.write({"a": "1"}) == []
    assert flash.write({"a": "2", "b": "1"}) == [Change("a", "1", "2")]


@pytest.mark.parametrize(
    "name",
    ["device.auth.localAdminPassword", "device.prov.password", "device.sec.configEncryption.key", "net/wifi/PSK_Key"],
)
def test_the_value_of_a_secret_is_hidden(name: str) -> None:
    assert str(Change(name, "hunter1", "hunter2")) == f"{name} changed (hidden → hidden)"


def test_a_password_in_an_address_is_hidden() -> None:
    assert "hunter" not in str(Change("device.prov.serverName", "", "https://user:hunter2@phones.example.net/"))


def test_a_value_is_shown_in_one_short_line() -> None:
    assert str(Change("a", "", "b\n\x1b[2Jc")) == "a changed (nothing → b  [2Jc)"
    assert str(Change("a", "x" * 60, "x" * 61)) == f"a changed ({'x' * 60} → {'x' * 60}…)"
