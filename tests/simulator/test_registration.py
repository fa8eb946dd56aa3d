from __future__ import annotations

import pytest

from tests.simulator.conftest import READING
from ztp_server.domain.vendor import Reading
from ztp_server.simulator.registration import Registration, registrations

FROM_ONE = Reading.model_validate(READING)
FROM_ZERO = Reading.model_validate({**READING, "first_line": 0})


def test_each_line_with_a_user_is_a_registration() -> None:
    parameters = {"line.1.user": "1001", "line.1.server": "sip", "line.transport": "TLS", "line.2.user": "1002"}
    assert registrations(FROM_ONE, 3, parameters) == [
        Registration(1, "1001", "sip", "TLS"),
        Registration(2, "1002", "", "TLS"),
    ]


def test_lines_count_from_one_whatever_the_maker_counts_from() -> None:
    assert [r.line for r in registrations(FROM_ZERO, 2, {"line.0.user": "a", "line.1.user": "b"})] == [1, 2]


def test_a_line_that_is_off_or_empty_or_not_on_the_phone_is_none() -> None:
    parameters = {f"line.{n}.user": "x" for n in (1, 3, 4)} | {"line.1.on": "0", "line.2.user": "", "line.3.on": "1"}
    assert [r.line for r in registrations(FROM_ONE, 3, parameters)] == [3]


@pytest.mark.parametrize(("server", "known"), [("sip.example.net", True), ("", False), ("0.0.0.0", False)])
def test_a_registration_knows_whether_it_has_a_server(server: str, known: bool) -> None:
    assert Registration(1, "1001", server, "TLS").has_server is known
