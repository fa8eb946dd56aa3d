"""What is known of the lines of a phone, rolled up."""

from __future__ import annotations

import pytest

from ztp_server.domain.registration import AtServer, Contact, LineRegistration, Servers, roll_up
from ztp_server.domain.status import Registration, Status

HERE = (Contact("sip:1@192.0.2.1"),)
ONE, TWO, BOTH = Servers("a.example"), Servers("a.example", "b.example"), Servers("a.example", "b.example", both=True)


def _line(user: str, first: str, second: str = "") -> LineRegistration:
    """`y`: registered there, `n`: not, `?`: nobody tells."""

    def at(server: str, platform: str, said: str) -> AtServer:
        return AtServer(server, platform, HERE if said == "y" else (), "why not" if said == "?" else "")

    return LineRegistration(user, at("a.example", "A", first), at("b.example", "B", second) if second else None)


@pytest.mark.parametrize(
    ("servers", "said", "state", "platforms"),
    [
        (ONE, ["y"], "online", ("A", "")),
        (ONE, ["n"], "offline", ("A", "")),
        (ONE, ["y", "n"], "degraded", ("A", "")),
        (ONE, ["y", "?"], "unknown", ("", "")),
        # One at a time: the secondary does not count as long as the primary has every line.
        (TWO, ["y?"], "online", ("A", "")),
        (TWO, ["yn", "yy"], "online", ("A", "")),
        (TWO, ["ny"], "degraded", ("A", "B")),
        (TWO, ["yn", "ny"], "degraded", ("A", "B")),
        (TWO, ["nn"], "offline", ("A", "B")),
        (TWO, ["n?"], "unknown", ("", "")),
        (TWO, ["?y"], "unknown", ("", "")),
        # Both at once.
        (BOTH, ["yy"], "online", ("A", "B")),
        (BOTH, ["yn"], "degraded", ("A", "B")),
        (BOTH, ["ny"], "degraded", ("A", "B")),
        (BOTH, ["nn"], "offline", ("A", "B")),
        (BOTH, ["y?"], "unknown", ("", "")),
    ],
)
def test_the_lines_of_a_phone_come_to_one_state(
    servers: Servers, said: list[str], state: str, platforms: tuple[str, str]
) -> None:
    rolled = roll_up([_line(str(number), *one) for number, one in enumerate(said)], servers, was_registered=True)
    assert (rolled.state, (rolled.primary, rolled.secondary)) == (state, platforms)
    assert rolled.reason


def test_who_was_never_registered_is_not_offline_and_a_phone_without_lines_is_unknown() -> None:
    assert roll_up([_line("1", "n")], ONE, was_registered=False).state == "never_registered"
    assert roll_up([_line("1", "y")], ONE, was_registered=False).state == "online"
    assert roll_up([], ONE, was_registered=True).state == "unknown"


def test_a_reason_names_lines_and_servers_and_stays_short() -> None:
    lines = [_line("1001", "n", "y"), _line("1002", "n", "n"), _line("1003", "y", "n")]
    rolled = roll_up(lines, TWO, was_registered=True)
    assert rolled.reason == ("line 1001 is registered with b.example, not with a.example; line 1002 is not registered")
    many = [_line("x" * 128, "n") for _ in range(40)] + [_line("1", "y")]
    rolled = roll_up(many, ONE, was_registered=True)
    assert (rolled.state, len(rolled.reason)) == ("degraded", 255)


@pytest.mark.parametrize(
    ("provisioning", "registration", "state"),
    [
        ("error", "online", "error"),
        ("provisioned", "offline", "offline"),
        ("outdated", "degraded", "degraded"),
        ("stale", "online", "online"),
        ("unknown", "online", "online"),
        ("provisioned", "never_registered", "provisioned"),
        ("never_seen", "unknown", "never_seen"),
    ],
)
def test_trouble_with_files_goes_before_registration_and_that_before_how_far_it_came(
    provisioning: str, registration: str, state: str
) -> None:
    assert Status(provisioning, "", registration=Registration(registration, "")).state == state
