"""A MAC in any notation is one phone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.domain.hardware_id import HardwareId, normalise_mac
from ztp_server.errors import BadValue


@pytest.mark.parametrize(
    "text",
    ["0004f2aabbcc", "0004F2AABBCC", "00:04:F2:AA:BB:CC", "00-04-f2-aa-bb-cc", "0004.f2aa.bbcc", "0004F2-AABBCC",
     "00:04f2-aabb.cc", " 0004f2aabbcc\n"],
)  # fmt: skip
def test_every_notation_of_a_mac_is_the_same_phone(text: str) -> None:
    assert HardwareId.parse(text) == HardwareId("0004f2aabbcc") and HardwareId.parse(text).is_mac


@given(st.binary(min_size=6, max_size=6), st.sampled_from(["", ":", "-", "."]), st.booleans())
def test_a_mac_is_normalised_or_is_no_device(octets: bytes, separator: str, upper: bool) -> None:
    text = octets.hex(separator) if separator else octets.hex()
    found = normalise_mac(text.upper() if upper else text)
    assert found == (None if octets[0] & 1 or not any(octets) else octets.hex())


@pytest.mark.parametrize("text", ["000000000000", "ffffffffffff", "01005e000001", "33:33:00:00:00:01"])
def test_an_address_of_many_or_of_none_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"hardware_id: .* is not the address of one device"):
        HardwareId.parse(text)


@pytest.mark.parametrize(
    "text", ["", " ", "0004f2aabbc", "0004f2aabbccd", "0004f2aabbcg", "phone", "-a.example.net", "a..b", "1.2.3.4",
             "a_b.example", "x" * 254 + ".net", "phone.example.net/..", "a.b\nc", "٠٠٠٤f2aabbcc", "00::04f2aabbcc"],
)  # fmt: skip
def test_what_is_neither_a_mac_nor_a_host_name_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(BadValue) as refusal:
        HardwareId.parse(text)
    assert refusal.value.field == "hardware_id" and "\n" not in str(refusal.value) and len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", ["Phone.Example.NET", "phone.example.net.", "phone.example.net"])
def test_a_host_name_is_small_without_its_last_dot(text: str) -> None:
    assert HardwareId.parse(text) == HardwareId("phone.example.net") and not HardwareId.parse(text).is_mac


@given(st.text(max_size=40))
def test_whatever_is_read_is_in_canonical_form(text: str) -> None:
    try:
        found = HardwareId.parse(text)
    except BadValue:
        return
    assert HardwareId.parse(str(found)) == found
    assert re.fullmatch(r"[0-9a-f]{12}|[a-z0-9.-]+", str(found))
