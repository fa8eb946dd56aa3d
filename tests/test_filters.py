"""Polling spread by MAC: a phone always at its own minute, phones at different ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.filters import moment_in, spread_seconds, window_seconds
from ztp_server.render import Renderer

macs = st.integers(0, 2**48 - 1).map("{:012x}".format)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
# One after the other, as they come in a delivery.
DELIVERY = [f"{0x0004F2A00000 + number:012x}" for number in range(24_000)]


def minutes(moment: str) -> int:
    return int(moment[:2]) * 60 + int(moment[3:])


@given(times, times, macs)
def test_a_moment_lies_in_its_window_even_over_midnight(start: str, end: str, mac: str) -> None:
    window = f"{start}-{end}"
    after = (minutes(moment_in(window, mac)) - minutes(start)) % 1440
    assert after < window_seconds(window) // 60 or start == end == moment_in(window, mac)


@given(st.integers(0, 604_800), macs)
def test_a_delay_is_shorter_than_the_period(period: int, mac: str) -> None:
    assert 0 <= spread_seconds(period, mac) < max(period, 1)
    assert spread_seconds(period, mac.upper()) == spread_seconds(period, mac)


@pytest.mark.parametrize("window", ["01:00-05:00", "23:00-03:00", "03:00-02:59"])
def test_a_delivery_of_phones_is_spread_evenly(window: str) -> None:
    slots = window_seconds(window) // 60
    at = Counter(moment_in(window, mac) for mac in DELIVERY)
    expected = len(DELIVERY) / slots
    # Six standard deviations of a fair draw.
    assert len(at) == slots and max(at.values()) < expected + 6 * expected**0.5


@pytest.mark.parametrize("period", [3600, 86_400, 604_800])
def test_the_seconds_of_a_period_are_used_evenly(period: int) -> None:
    tenths = Counter(spread_seconds(period, mac) * 10 // period for mac in DELIVERY)
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 1.1 * len(DELIVERY) / 10


def test_a_moment_never_changes() -> None:
    """What a program writes today and another tomorrow, or a phone would be told another time with each release."""
    assert moment_in("01:00-05:00", "0004f2aabbcc") == "01:46"
    assert spread_seconds(86_400, "0004f2aabbcc") == 16644


def test_a_template_may_use_them() -> None:
    moment, delay = "settings.poll_window | moment_in(phone.mac)", "settings.poll_period | spread_seconds(phone.mac)"
    text = f"at={{{{ {moment} }}}} +{{{{ {delay} }}}}\n"
    renderer = Renderer({"t.j2": text})
    renderer.check("t.j2", "line")
    context = {
        "custom": {},
        "phone": {"mac": "0004f2aabbcc"},
        "settings": {"poll_window": "03:00-03:01", "poll_period": 1},
    }
    assert renderer.render("t.j2", "line", context) == b"at=03:00 +0\n"
