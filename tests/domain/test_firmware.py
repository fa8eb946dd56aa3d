"""The order of firmware versions, and what a phone is offered."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import examples
from ztp_server.domain.firmware import Firmware, Library, choose, is_older, is_within, leads_up, version_key
from ztp_server.domain.vendor import FirmwareStep

STEPS = (
    FirmwareStep(below="5.4", target="5.5", via="5.4"),
    FirmwareStep(below="5.7", target="5.8", via="5.7"),
)
THERE = ("5.4.7.1", "5.7.2.9", "5.7.10.1", "5.9.8", "6.4.6")

PARTS = st.sampled_from([*map(str, range(12)), "010", "61", "5760", "rc", "beta", "build", "UC", "HD", "x2", ""])
VERSIONS = st.one_of(
    st.lists(PARTS, min_size=1, max_size=5).flatmap(
        lambda parts: st.sampled_from([separator.join(parts) for separator in "._-"])
    ),
    st.text(max_size=20),
)


# ---- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("5.9.7.4477", "5.9.8.5760"),
        ("5.9.8.5760", "5.10.0.1"),
        ("5.9.8", "5.9.8.5760"),
        ("2.2.8.61", "UC_3.4.6"),
        ("UC_3.4.6.560", "3.4.6.604"),
        ("2.0.0_build_9", "2.0.0_build_15"),
        ("2.0.0", "2.0.0_build_15"),
        ("2.0.0_build_15", "2.0.0.1"),
        ("6.0.0-rc1", "6.0.0-rc2"),
        ("6.0.0-rc2", "6.0.0"),
        ("v1.9", "V1.10"),
        ("sip88xx.12-8-1", "sip88xx.14-1-1-0001-136"),
        ("1." + "8" * 5000, "1." + "9" * 5000),
        ("1.9", "1." + "1" * 5000),
    ],
)
def test_one_version_is_older_than_another(older: str, newer: str) -> None:
    assert is_older(older, newer) and not is_older(newer, older)


@pytest.mark.parametrize(
    ("one", "other"),
    [("UC_3.4.6", "3.4.6"), ("5.09", "5.9"), ("v2.0", "2.0"), ("2.0.0_build_15", "2.0.0-BUILD-15"), ("5.9", "5-9")],
)
def test_spellings_of_one_version_are_neither_older_nor_newer(one: str, other: str) -> None:
    assert not is_older(one, other) and not is_older(other, one)
    assert is_within(one, other) and is_within(other, one)


@pytest.mark.parametrize("name", ["stable", "latest", "", "_"])
def test_a_name_without_a_number_is_neither_older_nor_newer_than_a_version(name: str) -> None:
    assert not is_older(name, "5.9.8") and not is_older("5.9.8", name)


@given(VERSIONS, VERSIONS)
@settings(max_examples=examples(200, 20_000), deadline=None)
def test_no_two_versions_are_each_older_than_the_other(one: str, other: str) -> None:
    assert not (is_older(one, other) and is_older(other, one))
    assert not is_older(one, one)
    assert (version_key(one) == version_key(other)) == (one_way(one, other) == 0)


@given(st.lists(VERSIONS, min_size=3, max_size=3))
@settings(max_examples=examples(200, 20_000), deadline=None)
def test_what_is_older_than_something_older_is_older(three: list[str]) -> None:
    first, second, third = three
    if is_older(first, second) and is_older(second, third):
        assert is_older(first, third)


@given(st.lists(VERSIONS, max_size=6), st.randoms())
@settings(max_examples=examples(100, 10_000), deadline=None)
def test_versions_have_one_order_whatever_the_order_they_come_in(versions: list[str], random: object) -> None:
    shuffled = list(versions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = sorted(versions, key=version_key)

    assert [version_key(v) for v in sorted(shuffled, key=cmp_to_key(one_way))] == [version_key(v) for v in ordered]


def one_way(one: str, other: str) -> int:
    a, b = version_key(one), version_key(other)
    return (a > b) - (a < b)


@pytest.mark.parametrize(
    ("version", "beginning", "within"),
    [
        ("5.7.3.1234", "5.7", True),
        ("5.7", "5.7", True),
        ("5.70.1", "5.7", False),
        ("5.6.9", "5.7", False),
        ("5", "5.7", False),
        ("UC_3.4.6", "3.4", True),
        ("3.4.6_build_2", "3.4.6", True),
    ],
)
def test_a_shorter_version_stands_for_all_that_begin_with_it(version: str, beginning: str, within: bool) -> None:
    assert is_within(version, beginning) == within


# ---- what a phone is offered ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("running", "wanted", "offered", "because"),
    [
        ("", "5.9.8", "5.9.8", "not known"),
        ("5.7.3", "5.9.8", "5.9.8", "does not run that yet"),
        ("5.9.8", "5.9.8", "5.9.8", "runs that"),
        ("5.9.8.5760", "5.9.8", "5.9.8", "runs that"),
        ("5.8.1", "5.9.8", "5.9.8", "does not run that yet"),
        ("5.5.2", "5.9.8", "5.7.10.1", "the way to 5.9.8 leads over it"),
        ("5.0.1", "5.9.8", "5.4.7.1", "the way to 5.9.8 leads over it"),
        ("5.0.1", "5.7.2.9", "5.4.7.1", "the way to 5.7.2.9 leads over it"),
        ("5.0.1", "5.4.7.1", "5.4.7.1", "does not run that yet"),
        ("5.5.2", "5.7.2.9", "5.7.2.9", "does not run that yet"),
        ("6.4.6", "5.9.8", "", "older than what it runs"),
        ("6.4.6", "5.9.7", "", "older than what it runs"),
        ("5.9.7", "5.9.9", "5.9.9", "no image of 5.9.9"),
        ("5.9.7", "", "", "no version is set"),
        ("garbage", "5.9.8", "5.9.8", "does not run that yet"),
    ],
)
def test_what_a_phone_is_offered(running: str, wanted: str, offered: str, because: str) -> None:
    offer = choose(running, wanted, THERE, STEPS, downgrade=False)

    assert (offer.wanted, offer.version) == (wanted, offered)
    assert because in offer.reason
    assert offer.update == (bool(offered) or not wanted)


def test_an_older_version_is_offered_where_that_is_allowed() -> None:
    assert choose("6.4.6", "5.9.8", THERE, STEPS, downgrade=True).version == "5.9.8"


def test_a_phone_keeps_what_it_runs_while_the_image_on_the_way_is_missing() -> None:
    offer = choose("5.5.2", "5.9.8", ["5.9.8"], STEPS, downgrade=False)

    assert (offer.update, offer.version, offer.missing) == (False, "", "5.7")
    assert offer.reason == "needs a 5.7 image to reach 5.9.8"


@given(st.lists(VERSIONS, max_size=6), VERSIONS, VERSIONS, st.booleans())
@settings(max_examples=examples(300, 20_000), deadline=None)
def test_whatever_a_phone_says_it_runs_it_is_offered_nothing_older(
    there: list[str], running: str, wanted: str, downgrade: bool
) -> None:
    offer = choose(running, wanted, there, STEPS, downgrade)

    assert offer.version in ("", wanted, *there)
    if offer.version and not downgrade and not is_within(running, wanted):
        assert not is_older(offer.version, running)
    if not offer.update:
        assert not offer.version and offer.reason


@pytest.mark.parametrize(
    ("below", "target", "via", "good"),
    [
        ("5.7", "5.8", "5.7", True),
        ("5.7", "5.8", "5.7.3", True),
        ("5.7", "5.8", "5.6", False),
        ("5.7", "5.8", "5.8", False),
        ("5.7", "5.7.5", "5.7", False),
        ("5.7", "5.8", "5.9", False),
    ],
)
def test_a_step_leads_up(below: str, target: str, via: str, good: bool) -> None:
    assert leads_up(FirmwareStep(below=below, target=target, via=via)) == good


@given(st.lists(st.tuples(*[st.sampled_from([f"{n}" for n in range(6)] + ["3.1", "4.2"])] * 3), max_size=5), VERSIONS)
@settings(max_examples=examples(200, 20_000), deadline=None)
def test_steps_that_lead_up_come_to_an_end(rows: Iterable[tuple[str, str, str]], running: str) -> None:
    steps = [FirmwareStep(below=below, target=target, via=via) for below, target, via in rows]
    there = ["1.5", "2.5", "3.1", "3.1.4", "4.2", "4.9", "5.5", "7"]
    wanted, runs = "7", running
    for _ in range(20):
        offer = choose(runs, wanted, there, filter(leads_up, steps), downgrade=False)
        if not offer.update or is_within(runs, wanted):
            return
        assert not is_older(offer.version, runs) and not is_within(runs, offer.version), "it stays where it is"
        runs = offer.version
    raise AssertionError(f"a phone on {running} never gets to {wanted}")


# ---- the images there are -------------------------------------------------------------------------------------------


def test_the_library_knows_the_images_of_each_model() -> None:
    default = Firmware("a", "2", "y", 1, "f", is_default=True)
    images = [Firmware("a", "1", "x", 1, "f"), default, Firmware("b", "1", "x", 1, "f")]
    library = Library(images)

    assert sorted(library.versions("a")) == ["1", "2"] and library.default("a") == "2"
    assert library.get("b", "1") is images[2] and library.get("b", "2") is None
    assert library.default("b") == "" and list(library.versions("c")) == [] and library.get("c", "1") is None
