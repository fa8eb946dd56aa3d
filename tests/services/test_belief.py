"""Who may edit phones and sites, and not see their passwords, cannot have a device of their own believed to be one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import ADMIN, OTHER_VVX, VVX
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.errors import BadValue, Forbidden, ImportRefused
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import parse_selection

EDITOR = Actor("account:ed", (Grant(ROLES["editor"]),))
NARROW = {"networks": "10.1.0.0/16", "proofs": "certificate,network"}
Change = Callable[[Services, Actor], Awaitable[Any]]


@pytest.fixture
async def narrow(office: Services) -> Services:
    """Where the phones are is believed less than at the other site, which an editor made."""
    await office.sites.edit(ADMIN, "madrid", None, NARROW)
    await office.sites.add(EDITOR, "wide", "Wide", {"time_zone": "Europe/Madrid", "sip_server": "sip.example.net"})
    return office


def site(**changes: str) -> Change:
    return lambda services, who: services.sites.edit(who, "madrid", None, changes)


def phone(**fields: Any) -> Change:
    return lambda services, who: services.phones.edit(who, VVX, fields, {})


async def imported(services: Services, who: Actor) -> None:
    file = f"hardware_id,name,model,site,base_settings\n{VVX},Reception,vvx-411,wide,vvx-standard\n"
    try:
        await services.phone_import.run(who, [file.encode()], mode="upsert")
    except ImportRefused as error:
        raise Forbidden(error.problems[0]) from None


WIDER = {
    "a network more": site(networks="10.1.0.0/16,192.168.0.0/16"),
    "a wider network": site(networks="10.0.0.0/8"),
    "one of IPv6": site(networks="10.1.0.0/16,fd00::/8"),
    "another proof at the site": site(proofs="certificate,network,window"),
    "another proof for the phone": phone(proofs=("digest",)),
    "a site that believes more": phone(site="wide"),
    "another device": phone(hardware_id="0004f2999999"),
    "the same in a CSV file": imported,
}
NO_WIDER = {
    "a part of the network": site(networks="10.1.2.0/24"),
    "fewer proofs": site(proofs="certificate"),
    "no secrets over HTTP": site(plain_secrets="off"),
    "what is no proof": site(sip_server="sip3.example.net"),
    "fewer proofs for the phone": phone(proofs=("certificate",)),
    "none at all": phone(proofs=()),
    "another name": phone(name="Lobby 2"),
}


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER)
async def test_who_may_not_let_phones_in_cannot_widen_who_is_believed(narrow: Services, change: Change) -> None:
    with pytest.raises(Forbidden, match="phones:approve"):
        await change(narrow, EDITOR)
    await change(narrow, ADMIN)


@pytest.mark.parametrize("change", NO_WIDER.values(), ids=NO_WIDER)
async def test_who_may_not_let_phones_in_may_change_all_else(narrow: Services, change: Change) -> None:
    await change(narrow, EDITOR)


async def test_phones_are_not_brought_back_to_a_wider_site_of_the_same_name(narrow: Services) -> None:
    services = narrow
    async with services.store.read() as session:
        there = await session.phones.all(site="madrid")
    for one in there:
        await services.phones.remove(EDITOR, one.id)
    await services.sites.remove(EDITOR, "madrid")
    wide = {"networks": "0.0.0.0/0", "time_zone": "Europe/Madrid", "sip_server": "sip.example.net"}
    with pytest.raises(Forbidden, match="phones:approve"):
        await services.sites.add(EDITOR, "madrid", "Madrid", wide)
    await services.sites.add(ADMIN, "madrid", "Madrid", wide)
    assert (await services.removed_phones.restore(EDITOR, VVX)).site == "madrid"


async def test_plain_http_again_is_wider_too(narrow: Services) -> None:
    await narrow.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})
    with pytest.raises(Forbidden, match="phones:approve"):
        await narrow.sites.edit(EDITOR, "madrid", None, {"plain_secrets": "on"})
    with pytest.raises(Forbidden, match="phones:approve"):
        await narrow.sites.edit(EDITOR, "madrid", None, {"plain_secrets": "on"}, dry_run=True)


async def test_a_job_moves_none_of_many_to_a_site_that_believes_more(narrow: Services) -> None:
    selection = parse_selection([VVX, OTHER_VVX], None)
    job = await narrow.phone_bulk.edit(EDITOR, selection, {"site": "wide"}, run_here=True)
    await narrow.job_runner.try_to_run(job.id)
    items = await narrow.jobs.items(EDITOR, job.id)
    assert {(item.state, "phones:approve" in item.detail) for item in items} == {("refused", True)}
    assert (await narrow.phones.get(ADMIN, VVX)).site == "madrid"
    # A site that believes no more is open to them.
    await narrow.sites.add(ADMIN, "like", "Like", {**NARROW, "time_zone": "Europe/Madrid", "sip_server": "a.example"})
    assert (await narrow.phones.edit(EDITOR, VVX, {"site": "like"}, {})).phone.site == "like"
    with pytest.raises(BadValue, match="no site"):
        await narrow.phones.edit(EDITOR, VVX, {"site": "nowhere"}, {})
