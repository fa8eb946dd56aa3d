"""No file names a parameter that the firmware is not known to have.

tests/names holds, one a line, the parameter names of Poly UC Software 5.9 and the configuration keys of an AudioCodes
405HD (an export with passwords left out): facts, for checking. A name that is not there needs evidence, below.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ADMIN, World, options, sample_phone
from tests.test_golden import EVERYTHING, add_everything
from ztp_server.app import App
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line

NAMES = Path(__file__).parent / "names"

POLY_EVIDENCE: Mapping[str, str] = {}
AUDIOCODES_EVIDENCE: Mapping[str, str] = {
    "system/password": "left out of the export with all passwords; reference/names/README.md",
}


def normalised(name: str) -> str:
    """A name without its indices: `reg.2.server.1.address` and `reg.34.server.2.address` are the same parameter.
    The rates of a codec (`iLBC.13_33kbps`) and the number in `customCaCert1` are part of a name."""
    return re.sub(r"(?<=[./])\d+(?=[./]|$)", "#", name)


def known(file: str) -> set[str]:
    return {normalised(line) for line in (NAMES / file).read_text("utf-8").splitlines() if line}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """By vendor: every name in every file of phones that use every setting, of each model, and of the bootstrap."""
    return asyncio.run(_render(tmp_path_factory.mktemp("names")))


def test_every_parameter_of_a_vvx_is_one_of_its_firmware(rendered: Mapping[str, set[str]]) -> None:
    names = known("poly-ucs-5.9.txt")
    unknown = {name for name in rendered["poly"] if normalised(name) not in names}

    assert sorted(unknown - set(POLY_EVIDENCE)) == []
    assert sorted(set(POLY_EVIDENCE) - unknown) == [], "evidence for what needs none"


def test_every_parameter_of_a_405hd_is_one_of_its_firmware(rendered: Mapping[str, set[str]]) -> None:
    names = known("audiocodes-405hd.txt")
    unknown = {name for name in rendered["audiocodes"] if normalised(name) not in names}

    assert sorted(unknown - set(AUDIOCODES_EVIDENCE)) == []
    assert sorted(set(AUDIOCODES_EVIDENCE) - unknown) == [], "evidence for what needs none"


def test_enough_is_rendered_for_this_to_mean_something(rendered: Mapping[str, set[str]]) -> None:
    assert len(rendered["poly"]) > 1000 and len(rendered["audiocodes"]) > 100


async def _render(data: Path) -> Mapping[str, set[str]]:
    app = await App.start(options(data, ntp_server="ntp.example.org"))
    world = World(app, data, restart=app.stop)
    found: dict[str, set[str]] = {"poly": set(), "audiocodes": set()}
    try:
        await add_everything(world)
        await _add_full_phones(world)
        for phone in await world.services.phones.all():
            vendor = world.services.templates.catalog.vendor_of(world.services.templates.catalog.models[phone.model])
            for rule in vendor.file:
                if rule.serve == "phone" and rule.format != "pem":
                    answer = await world.ask(rule.pattern.replace("{mac}", phone.hardware_id))
                    assert answer.status == 200, (rule.pattern, phone)
                    custom = {name.removeprefix("custom.") for name in phone.settings if name.startswith("custom.")}
                    found[vendor.id] |= set(_names(answer.text, rule.format)) - custom
        found["poly"] |= set(_names((await world.ask("000000000000.cfg")).text, "xml"))
        found["audiocodes"] |= set(_names((await world.ask("bootstrap.cfg")).text, "line"))
    finally:
        await app.stop()
    return found


async def _add_full_phones(world: World) -> None:
    """A phone of each VVX with all lines and keys it can have."""
    catalog = world.services.templates.catalog
    for number, model in enumerate(m for m in catalog.models.values() if m.family == "vvx"):
        keys = [LineKey("line", line=1), LineKey("blf", "1"), LineKey("speed_dial", "2")] * model.line_keys
        settings = {**EVERYTHING, "codecs": ",".join(model.codecs), "held_enabled": "on"}
        settings |= {"held_server_url": "https://a/", "held_secondary_url": "https://b/", "held_token": "t"}
        # All the settings there are, but the offset of DHCP, which leaves the rules of summer time out.
        del settings["timezone_discovery"]
        await world.services.phones.add(
            ADMIN,
            sample_phone(
                f"0004f20010{number:02x}",
                model=model.id,
                lines=tuple(Line(str(user), password="p") for user in range(1, model.lines + 1)),
                line_keys=tuple(keys[: model.line_keys]),
                settings=settings,
            ),
        )


def _names(text: str, file_format: str) -> Iterator[str]:
    if file_format == "line":
        yield from (line.partition("=")[0] for line in text.splitlines())
        return
    for element in ElementTree.fromstring(text).iter():
        # The attributes of the master file are names of another kind.
        if element.tag != "APPLICATION":
            yield from element.attrib
