"""A server that has no name but localhost leads no phone elsewhere to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.conftest import ADMIN, VVX, World, start_filled
from ztp_server.domain.request import PhoneRequest, Refusal


async def test_a_phone_on_another_machine_gets_nothing_that_would_send_it_to_itself(
    start: Callable[..., Awaitable[World]],
) -> None:
    world = await start_filled(start, public_name="localhost")
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "127.0.0.0/8,10.0.0.0/8"})
    names = ("000000000000.cfg", f"{VVX}.cfg", f"{VVX}-settings.cfg", "00908f112233", "bootstrap.cfg")

    here = [await world.app.provisioning.answer(PhoneRequest(name, address="127.0.0.1")) for name in names]
    elsewhere = [await world.app.provisioning.answer(PhoneRequest(name, address="10.1.2.3")) for name in names]

    assert not any(isinstance(outcome.answer, Refusal) for outcome in here)
    assert all(isinstance(outcome.answer, Refusal) for outcome in elsewhere)
    assert "--public-name" in elsewhere[0].answer.reason
