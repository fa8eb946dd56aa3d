"""Firmware images, the order of their versions, and which image a phone is offered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ztp_server.errors import BadValue

if TYPE_CHECKING:
    from ztp_server.domain.vendor import FirmwareStep

VERSION = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Firmware:
    """An image for one model. The bytes lie in a file named by their SHA-256."""

    model: str
    version: str
    sha256: str
    size: int
    file_name: str
    is_default: bool = False


class Library:
    """The images there are."""

    def __init__(self, images: Iterable[Firmware] = ()) -> None:
        self._images: dict[str, dict[str, Firmware]] = {}
        for image in images:
            self._images.setdefault(image.model, {})[image.version] = image

    def get(self, model: str, version: str) -> Firmware | None:
        return self._images.get(model, {}).get(version)

    def versions(self, model: str) -> Collection[str]:
        """The versions there are of a model."""
        return self._images.get(model, {})

    def default(self, model: str) -> str:
        """The version for phones of a model whose settings name none, or an empty text."""
        return next((image.version for image in self._images.get(model, {}).values() if image.is_default), "")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a phone is offered. With `update` off it keeps what it runs. `wanted` is the version it is to reach,
    `version` the one to load now; both are empty when neither its settings nor an image name one. `reason` is for
    people, `missing` the version of which there should be an image on the way."""

    wanted: str
    version: str
    update: bool
    reason: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareWish:
    """What one phone has to do with firmware: where its settings come from, what it says of firmware itself (None:
    nothing), and what it last said it runs; or what so many `phones` have that are alike in it."""

    hardware_id: str
    model: str
    site: str
    base_settings: str
    version: str | None
    downgrade: bool | None
    running: str
    phones: int = 1


# A configuration names it where a phone is to keep what it runs, so that no image may have it.
NO_VERSION = "none"


def check_version(text: str) -> str:
    """A version as it may stand in a URL. Raises BadValue."""
    if text.lower() == NO_VERSION:
        raise BadValue("version", f"{text} stands for no firmware at all")
    if not VERSION.fullmatch(text):
        raise BadValue("version", f"{text[:64]!r} is not a version (letters, digits, single dots, - and _)")
    return text


# ---- versions ------------------------------------------------------------------------------------------------------

# What stands before the first number is a name: UC_3.4.6 is 3.4.6, and so is v3.4.6.
_FIRST_NUMBER = re.compile(r"(?:^|[^0-9a-z])v?(?=[0-9])")
_PARTS = re.compile(r"[0-9]+|[a-z]+")
_BEFORE_THE_RELEASE = frozenset({"alpha", "beta", "dev", "pre", "rc"})
# Ranks of what may follow at one place: 6.0-rc1 < 6.0 < 6.0_build_2 < 6.0.1.
_EARLY, _END, _WORD, _NUMBER = range(4)

Key = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=4096)
def version_key(version: str) -> Key:
    """What versions are sorted by: numbers as numbers, words by the alphabet, a longer version above its beginning."""
    text = version.lower()
    first = _FIRST_NUMBER.search(text)
    return (*map(_part, _PARTS.findall(text, first.end() if first else 0)), (_END, 0, ""))


def _part(text: str) -> tuple[int, int, str]:
    if not text.isdigit():
        return (_EARLY if text in _BEFORE_THE_RELEASE else _WORD, 0, text)
    digits = text.lstrip("0")  # compared by length and text: Python refuses to read numbers of thousands of digits
    return (_NUMBER, len(digits), digits)


def is_older(version: str, other: str) -> bool:
    """Whether a version is known to be older than another one. A name without a number is neither older nor newer."""
    one, two = version_key(version), version_key(other)
    return one[0][0] == two[0][0] == _NUMBER and one < two


def is_within(version: str, beginning: str) -> bool:
    """Whether a version is one of those a shorter one stands for: 5.7.3.1234 is a 5.7, and 5.70 is none."""
    begins = version_key(beginning)[:-1]
    return version_key(version)[: len(begins)] == begins


# ---- what a phone is offered ---------------------------------------------------------------------------------------


def choose(running: str, wanted: str, there: Collection[str], steps: Iterable[FirmwareStep], downgrade: bool) -> Offer:
    """What a phone that runs `running` (empty: not known) is offered on its way to `wanted`, of the versions `there`
    are of its model."""
    if not wanted:
        return Offer("", "", True, "no version is set, and no image is the default of its model")
    # Where an image is called by fewer numbers than phones report, one that runs it is not newer than it.
    if running and is_older(wanted, running) and not is_within(running, wanted) and not downgrade:
        return Offer(wanted, "", False, f"{wanted} is older than what it runs, and firmware_downgrade is off")
    if wanted not in there:
        return Offer(wanted, wanted, True, f"no image of {wanted} yet: asked for, the phone keeps what it runs")
    if not running:
        return Offer(wanted, wanted, True, "what it runs is not known")
    if is_within(running, wanted):
        return Offer(wanted, wanted, True, "it runs that")
    return _next_on_the_way(running, wanted, there, tuple(steps))


def _next_on_the_way(running: str, wanted: str, there: Collection[str], steps: Collection[FirmwareStep]) -> Offer:
    """`wanted`, or the image that has to be loaded before it. Each step leads further down, so that this ends."""
    goal = wanted
    while step := next((step for step in steps if _applies(step, running, goal)), None):
        between = [version for version in there if is_within(version, step.via)]
        if not between:
            return Offer(wanted, "", False, f"needs a {step.via} image to reach {goal}", step.via)
        goal = max(between, key=version_key)
    reason = "it does not run that yet" if goal == wanted else f"the way to {wanted} leads over it"
    return Offer(wanted, goal, True, reason)


def missing_steps(
    wanted: str, there: Collection[str], steps: Iterable[FirmwareStep], run: Collection[str]
) -> list[str]:
    """What a person should hear of images that phones may need on the way to a version. `run` is what the phones of
    the model run; one that never said may run anything."""
    return [
        f"a phone below {step.below} needs a {step.via} image to reach {wanted}, and there is none"
        for step in steps
        if any(_applies(step, running, wanted) for running in run)
        and not any(is_within(version, step.via) for version in there)
    ]


def leads_up(step: FirmwareStep) -> bool:
    """Whether a phone is above `below` and not yet at `target` once it runs a `via`: else the way had no end."""
    reaches_below = not is_older(step.via, step.below)
    return reaches_below and is_older(step.via, step.target) and not is_within(step.target, step.via)


def _applies(step: FirmwareStep, running: str, goal: str) -> bool:
    is_below = not running or (is_older(running, step.below) and not is_within(running, step.below))
    return is_below and (not is_older(goal, step.target) or is_within(goal, step.target))
