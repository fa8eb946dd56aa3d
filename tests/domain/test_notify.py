"""When a way to restart a phone is open, and how its rows may be written."""

from __future__ import annotations

import pytest

from ztp_server.domain.notify import Notify, RestartWay


@pytest.mark.parametrize(
    ("values", "firmware", "says"),
    [
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "6.4.2", ""),
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "6.4.2.1234", ""),
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "10.0", ""),
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "6.4.10", ""),
        (
            {"rest_api_enabled": True, "custom.a.b": "1"},
            "6.4.1.99999",
            "needs firmware 6.4.2, the phone runs 6.4.1.99999",
        ),
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "6.4", "needs firmware 6.4.2, the phone runs 6.4"),
        ({"rest_api_enabled": True, "custom.a.b": "1"}, "", "what the phone runs is not known"),
        ({"rest_api_enabled": False, "custom.a.b": "1"}, "6.4.2", "it needs rest_api_enabled=on"),
        ({"rest_api_enabled": True, "custom.a.b": "0"}, "6.4.2", "it needs custom.a.b=1"),
        ({"rest_api_enabled": True}, "6.4.2", "it needs custom.a.b=1"),
        ({}, "", "it needs rest_api_enabled=on"),
    ],
)
def test_a_way_is_open_to_a_phone_that_has_what_it_needs(values: dict[str, object], firmware: str, says: str) -> None:
    needs = {"rest_api_enabled": True, "custom.a.b": "1"}
    row = RestartWay.model_validate({"way": "event", "event": "x", "firmware": "6.4.2", "needs": needs})
    reason = row.closed_because(values, firmware)
    assert says in reason and bool(says) == bool(reason)


def test_an_event_alone_is_one_way_to_restart() -> None:
    notify = Notify.model_validate({"resync": "check-sync", "restart": "check-sync;reboot=true"})
    assert [(way.way, way.event, way.closed_because({}, "")) for way in notify.restart] == [
        ("event", "check-sync;reboot=true", "")
    ]
    assert Notify.model_validate({"resync": "check-sync", "restart": ""}).restart == ()
