"""Whose an address is, for counting."""

from __future__ import annotations

import pytest

from ztp_server.domain.source import network_of, source_of


@pytest.mark.parametrize(
    ("address", "source", "network"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/64"),
        ("", "", ""),
        ("no address & \x00", "no address & \x00", "no address & \x00"),
    ],
)
def test_an_address_belongs_to_a_source_and_a_network(address: str, source: str, network: str) -> None:
    assert (source_of(address), network_of(address)) == (source, network)
