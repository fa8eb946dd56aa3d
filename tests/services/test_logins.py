"""Guessing passwords: how many guesses are looked at, who is kept out by that, and what the audit has of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conftest import ADMIN
from ztp_server.domain.account import EVERYTHING
from ztp_server.errors import LoginRefused, TooMany
from ztp_server.services.login_limits import LoginLimits
from ztp_server.services.opening import Services

ANA, PASSWORD = "ana", "correct horse <battery> & 'staple' é😀"
HOUR = 3600.0


def guess(limits: LoginLimits, account: str, address: str, now: float) -> bool:
    """Whether a guess is looked at."""
    try:
        limits.begin(account, address, now)
    except TooMany:
        return False
    return True


def test_of_ten_thousand_guesses_in_an_hour_from_one_address_twenty_are_looked_at() -> None:
    limits = LoginLimits()
    looked_at = sum(guess(limits, ANA, "192.0.2.1", 1000 + n * HOUR / 10_000) for n in range(10_000))
    assert 10 <= looked_at <= 20


def test_of_ten_thousand_guesses_from_ten_thousand_addresses_few_are_looked_at_and_none_of_the_owner_is_lost() -> None:
    limits, found = LoginLimits(), Counter[str]()
    limits.begin(ANA, "198.51.100.7", 0)
    limits.succeeded(ANA, "198.51.100.7")
    for n in range(10_000):
        now = 1000 + n * HOUR / 10_000
        found["stranger"] += guess(limits, ANA, f"10.{n % 7}.{n // 250}.{n % 250}", now)
        if n % 1000 == 0:
            found["owner"] += guess(limits, ANA, "198.51.100.7", now)
            limits.succeeded(ANA, "198.51.100.7")
    assert found["owner"] == 10 and found["stranger"] <= 20 + HOUR / 30 + 5


def test_an_owner_elsewhere_waits_half_a_minute_at_most() -> None:
    limits = LoginLimits()
    for n in range(10_000):
        guess(limits, ANA, f"10.0.{n // 250}.{n % 250}", 1000 + n / 10)
    with pytest.raises(TooMany) as refused:
        limits.begin(ANA, "203.0.113.9", 2000)
    assert refused.value.retry_after <= 30
    assert guess(limits, ANA, "203.0.113.9", 2031)


def test_of_ten_thousand_guesses_of_one_address_for_as_many_accounts_seventy_are_looked_at() -> None:
    limits = LoginLimits()
    looked_at = sum(guess(limits, f"account{n}", "192.0.2.1", 1000 + n * HOUR / 10_000) for n in range(10_000))
    assert 50 <= looked_at <= 70


def test_other_addresses_than_those_of_the_owner_are_still_counted_together() -> None:
    limits = LoginLimits()
    limits.known(ANA, "198.51.100.7")
    for n in range(40):
        guess(limits, ANA, f"10.0.0.{n}", 1000)
    assert not guess(limits, ANA, "203.0.113.9", 1000)
    assert guess(limits, ANA, "198.51.100.7", 1000)
    # That address has its own limit like any other.
    assert not all(guess(limits, ANA, "198.51.100.7", 1000) for _ in range(6))


def test_what_is_remembered_of_owners_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ztp_server.services.login_limits._MOST_KEYS", 100)
    limits = LoginLimits()
    for n in range(1000):
        limits.known(f"account{n}", "192.0.2.1")
    assert len(limits._known) == 100


async def failed(services: Services) -> list[tuple[str, str, dict[str, int]]]:
    await services.logins.note_failures()
    records, _ = await services.audit.page(ADMIN, action="login.failed", limit=1000)
    return [(record.subject, record.address, dict(record.after)) for record in reversed(records)]


async def test_a_flood_of_failures_is_a_handful_of_records_that_repeat_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(password: str, hashed: str | None) -> bool:
        return False

    monkeypatch.setattr(services.logins._passwords, "fits", never)
    await services.accounts.add(ADMIN, ANA, "", PASSWORD, [EVERYTHING])
    for n in range(300):
        with pytest.raises((LoginRefused, TooMany)):
            await services.logins.login(ANA if n < 4 else f"my secret {n}", "wrong", f"10.0.0.{n % 30}")
    for _ in range(9):
        with pytest.raises((LoginRefused, TooMany)):
            await services.logins.login(ANA, "wrong", "192.0.2.1")
    found = await failed(services)
    assert len(found) == 11
    assert found[:2] == [("account:ana", f"10.0.0.{n}", {"failures": 1}) for n in (0, 1)]
    assert found[-1][:2] == ("account", "")
    assert sum(after["failures"] for _, _, after in found) + found[-1][2]["turned_away"] == 309
    assert found[-1][2]["turned_away"] == 4 and "secret" not in repr(found)
    assert await failed(services) == found


async def test_after_a_restart_the_server_knows_from_where_people_log_in(services: Services) -> None:
    await services.accounts.add(ADMIN, ANA, "", PASSWORD, [EVERYTHING])
    await services.logins.login(ANA, PASSWORD, "198.51.100.7")
    services.logins._limits = LoginLimits()
    await services.logins._recall()
    for n in range(40):
        guess(services.logins._limits, ANA, f"10.0.0.{n}", 1000)
    assert not guess(services.logins._limits, ANA, "203.0.113.9", 1000)
    assert guess(services.logins._limits, ANA, "198.51.100.7", 1000)
