"""A change that reaches many phones is checked by kinds of phones: it must say what a look at each of them would."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import ADMIN, OTHER_VVX, VVX, sample_phone
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line
from ztp_server.domain.support import check_values
from ztp_server.errors import BadValue, ZtpError
from ztp_server.services.effective import check
from ztp_server.services.group_checks import check_group
from ztp_server.services.opening import Services

OVERRIDES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"rtp_port_start": 65_000},
    {"rtp_port_count": 1000},
    {"gmt_offset": "+01:00"},
    {"codecs": ["audio/PCMA"]},
    {"user_password": "s3&cret"},
    {"admin_password": "own"},
    {"expansion_modules": 1},
    {"time_zone": "Etc/GMT-1"},
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"rtp_port_start": 64_900},
    {"rtp_port_count": 2000},
    {"codecs": ["audio/opus"]},
    {"codecs": ["audio/PCMU"]},
    {"expansion_modules": 0},
    {"expansion_modules": 3},
    {"admin_password": " spaces "},
    {"dst_start": "03-2-0/02:00"},
    {"gmt_offset": "+05:45"},
    {"time_zone": "America/New_York"},
    {"time_zone": "Asia/Kathmandu"},
    {"calls_per_line": 24},
    {"rtp_dscp": 40},
)


async def _fill(office: Services, seed: int) -> None:
    chance = random.Random(seed)
    phones = []
    for number in range(60):
        model = chance.choice(("vvx-411", "vvx-601", "vvx-250", "vvx-150"))
        lines = tuple(Line(f"u{n}", password="p") for n in range(chance.choice((0, 1, 2))))
        keys = tuple(LineKey("speed_dial", f"+34{n}", "x") for n in range(chance.choice((0, 1, 4, 14, 20))))
        phones.append(
            sample_phone(
                f"0004f2{number + 4096:06x}",
                model=model,
                lines=lines,
                line_keys=keys if model != "vvx-150" else (),
                settings=chance.choice(OVERRIDES),
            )
        )
    async with office.store.read() as session:
        site, base = await session.sites.get("madrid"), await session.base_settings.get("vvx-standard")
    async with office.store.write() as session:
        await session.phones.add([phone for phone in phones if _suits(office.templates.catalog, phone, site, base)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noun", ["site", "base"])
async def test_a_change_is_refused_for_a_group_when_it_would_be_for_one_of_its_phones(
    office: Services, seed: int, noun: str
) -> None:
    await _fill(office, seed)
    catalog = office.templates.catalog
    verdicts = set()
    for change in CHANGES:
        async with office.store.read() as session:
            bases = {base.id: base for base in await session.base_settings.all()}
            site, phones = await session.sites.get("madrid"), await session.phones.all()
            if noun == "site":
                site = replace(site, settings={**site.settings, **change})
                given: dict[str, Any] = {"site": site}
            else:
                base = bases["vvx-standard"]
                given = {"base": replace(base, settings={**base.settings, **change})}
                bases[base.id] = given["base"]
            wrong = {p.hardware_id for p in phones if not _suits(catalog, p, site, bases[p.base_settings])}
            try:
                await check_group(session, catalog, **given)
                named = set()
            except BadValue as refused:
                named = {refused.field.removeprefix("phone ")}
        assert bool(named) == bool(wrong), change
        assert named <= wrong
        verdicts.add(bool(named))
    assert verdicts == {True, False}


def _suits(catalog: Any, phone: Any, site: Any, base: Any) -> bool:
    """Whether a phone can be given all that it has, looked at by itself."""
    model = catalog.models[phone.model]
    try:
        check_values(catalog.family_of(model), model, phone.settings)
        check(catalog, phone, site, base)
    except ZtpError:
        return False
    return True


async def test_a_phone_that_has_its_own_value_is_not_touched_by_one_it_could_not_be_given(office: Services) -> None:
    for mac in (VVX, OTHER_VVX):
        await office.phones.edit(ADMIN, mac, {}, {"codecs": "audio/PCMA"})
    await office.sites.edit(ADMIN, "madrid", None, {"rtp_dscp": "40"})
    async with office.store.read() as session:
        base = await session.base_settings.get("vvx-standard")
        unsuited = replace(base, settings={**base.settings, "codecs": ["audio/opus"]})
        await check_group(session, office.templates.catalog, base=unsuited)


async def test_who_is_wrong_is_named_with_where_it_comes_from(office: Services) -> None:
    async with office.store.read() as session:
        base = await session.base_settings.get("vvx-standard")
        unsuited = replace(base, settings={**base.settings, "codecs": ["audio/opus"]})
        with pytest.raises(BadValue, match="it comes from base settings vvx-standard") as refused:
            await check_group(session, office.templates.catalog, base=unsuited)
    assert refused.value.field in (f"phone {VVX}", f"phone {OTHER_VVX}")
