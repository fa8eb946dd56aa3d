"""What a setting may hold, and how a refusal is worded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.domain.settings import Layer, resolve
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.errors import BadValue


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("rtp_dscp", "46", 46),
        ("rtp_dscp", 0, 0),
        ("mwi_enabled", "on", True),
        ("mwi_enabled", "false", False),
        ("codecs", "audio/G722, audio/PCMA", ["audio/G722", "audio/PCMA"]),
        ("codecs", ["audio/PCMU"], ["audio/PCMU"]),
        ("sip_server", "SIP.Example.NET.", "sip.example.net"),
        ("sip_server", "[2001:DB8::1]", "2001:db8::1"),
        ("sip_server", "", ""),
        ("outbound_proxy", "proxy.example.net:05061", "proxy.example.net:5061"),
        ("outbound_proxy", "[2001:DB8::1]:5061", "[2001:db8::1]:5061"),
        ("sntp_servers", "a.example,b.example", ["a.example", "b.example"]),
        ("sntp_servers", "", []),
        ("provisioning_url", "https://ztp.example.net/p", "https://ztp.example.net/p/"),
        ("provisioning_url", "https://ztp.example.net//", "https://ztp.example.net/"),
        ("poll_window", "23:00-01:00", "23:00-01:00"),
        ("admin_password", ' a"b&c ', ' a"b&c '),
        ("custom.anything", 5, "5"),
    ],
)
def test_what_is_written_has_one_canonical_form(name: str, written: Any, value: Any) -> None:
    parsed = PRODUCT_SETTINGS.parse(name, written)
    assert parsed == value and type(parsed) is type(value)
    assert PRODUCT_SETTINGS.parse(name, parsed) == parsed


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("rtp_dscp", "64", "settings.rtp_dscp: must be less than or equal to 63"),
        ("rtp_dscp", "-1", "settings.rtp_dscp: must be greater than or equal to 0"),
        ("rtp_dscp", "", "settings.rtp_dscp: must be a valid integer, unable to parse string as an integer"),
        ("rtp_dscp", None, "settings.rtp_dscp: must be a valid integer"),
        ("srtp", "yes", "settings.srtp: must be 'off', 'optional' or 'required'"),
        ("mwi_enabled", "maybe", "settings.mwi_enabled: must be on or off"),
        ("codecs", "G722", "settings.codecs.1: must be a codec as a MIME name, such as audio/G722"),
        ("emergency_numbers", "112,x", "settings.emergency_numbers.2: must be digits, * # or +, at most 32"),
        ("emergency_numbers", ",".join(map(str, range(9))), "settings.emergency_numbers: must have at most 8 items"),
        ("admin_password", "x" * 65, "settings.admin_password: must have at most 64 characters"),
        ("admin_password", "a\x00b", "settings.admin_password: must be text without the character U+0000"),
        ("provisioning_url", "ftp://x/", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("provisioning_url", "https://u:p@x/", "settings.provisioning_url: must be a URL without user, query or %"),
        ("provisioning_url", "https:///x", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("provisioning_url", "https://[::1/", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("provisioning_url", "https://a:99999/", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("provisioning_url", "https://a:8443\\.b/", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("provisioning_url", "https://a:0/", "settings.provisioning_url: must be an http:// or https:// URL"),
        ("held_server_url", "http://a b/", "settings.held_server_url: must be an http:// or https:// URL"),
        ("outbound_proxy", "h:0", "settings.outbound_proxy: must be a host, or host:port"),
        ("outbound_proxy", "h:²", "settings.outbound_proxy: must be a host, or host:port"),
        ("poll_window", "1-2", "settings.poll_window: must be a daily window such as 01:00-05:00"),
        ("dtmf_payload", "101", "settings.dtmf_payload: unknown setting; did you mean dtmf_payload_type?"),
        ("", "1", "settings.: unknown setting"),
        ("custom.x", "a\nb", "settings.custom.x: character U+000A is not allowed"),
        ("custom.x", "a" * 2049, "settings.custom.x: 2049 characters, at most 2048"),
    ],
)
def test_a_refusal_says_what_the_value_must_be(name: str, written: Any, says: str) -> None:
    with pytest.raises(BadValue) as refusal:
        PRODUCT_SETTINGS.parse(name, written)
    assert str(refusal.value).startswith(says)


SECRETS = [name for name, row in PRODUCT_SETTINGS.rows.items() if row.secret]


def test_every_password_and_token_of_the_table_is_a_secret() -> None:
    assert set(SECRETS) == {name for name in PRODUCT_SETTINGS.rows if "password" in name or "token" in name}


@pytest.mark.parametrize("name", sorted(PRODUCT_SETTINGS.rows))
@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.lists(st.text(max_size=5)), st.none(), st.binary()))
def test_any_value_is_taken_in_canonical_form_or_refused_naming_the_setting(name: str, value: Any) -> None:
    try:
        parsed = PRODUCT_SETTINGS.parse(name, value)
    except BadValue as error:
        assert error.field == f"settings.{name}" or error.field.startswith(f"settings.{name}.")
        assert "\n" not in str(error)
    else:
        assert PRODUCT_SETTINGS.parse(name, parsed) == parsed


@pytest.mark.parametrize("name", [*SECRETS, "custom.x.password"])
@given(secret=st.text(min_size=6))
def test_a_refusal_never_repeats_a_secret(name: str, secret: str) -> None:
    for value in (secret, secret * 400, f"{secret}\x00"):
        try:
            PRODUCT_SETTINGS.parse(name, value)
        except BadValue as error:
            assert value not in str(error)


@pytest.mark.parametrize("name", sorted(PRODUCT_SETTINGS.rows))
def test_every_default_is_its_own_canonical_form(name: str) -> None:
    row = PRODUCT_SETTINGS.rows[name]
    assert row.parse(row.default) == row.default and row.help and row.section


@pytest.mark.parametrize(
    "name",
    ["custom.reg.1.auth.password", "custom.system/password", "custom.x.SecretKey", "custom.device.pin", "unknown"],
)
def test_a_raw_parameter_that_looks_secret_is_hidden(name: str) -> None:
    assert PRODUCT_SETTINGS.redacted({name: "hunter2"}) == {name: "***"}


def test_redaction_leaves_the_rest_and_empty_secrets_alone() -> None:
    values = {"rtp_dscp": 46, "admin_password": "", "held_token": "x", "custom.a": "b"}
    assert PRODUCT_SETTINGS.redacted(values) == {**values, "held_token": "***"}


def test_the_last_layer_wins_and_what_it_covers_is_told_nearest_first() -> None:
    layers = [Layer("a", "first", {"x": 1, "y": 1}), Layer("b", "second", {"x": 2}), Layer("c", "third", {"x": None})]
    resolved = resolve(layers)
    assert (resolved["x"].value, resolved["x"].source) == (None, "third")
    assert [(v.value, v.source) for v in resolved["x"].underneath] == [(2, "second"), (1, "first")]
    assert (resolved["y"].source, resolved["y"].underneath) == ("first", ())
