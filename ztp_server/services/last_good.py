"""A phone's last good file out of what is kept beside the database, for a time in which that cannot be asked.

The phone must prove itself as ever, by something that outlasts its use. What may have changed since it was kept is
not given to anybody.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ztp_server.domain.catalog import Requested
from ztp_server.domain.denied_certificate import refusal
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.kept_phone import StandingProofs, counted_of
from ztp_server.domain.proof import DigestCredential, PhoneProofs, PhoneToken
from ztp_server.domain.request import Outcome, PhoneFile, PhoneRequest
from ztp_server.errors import ZtpError
from ztp_server.services.own_files import networks_of
from ztp_server.services.proving import prove
from ztp_server.store.last_good import Found, LastGoodFile

# Phones of which something may be another now; beyond that, all of them.
MOST_IN_DOUBT = 50_000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Report = Callable[[str, str, str], None]


@dataclass
class Doubts:
    """What may be another now than it was when it was kept: phones by their MACs, everything when `of_all`."""

    macs: set[str] = field(default_factory=set)
    of_all: bool = False

    def __bool__(self) -> bool:
        return self.of_all or bool(self.macs)

    def add(self, other: Doubts) -> None:
        self.macs |= other.macs
        self.of_all = self.of_all or other.of_all or len(self.macs) > MOST_IN_DOUBT
        if self.of_all:
            self.macs.clear()


class LastGood:
    def __init__(self, file: LastGoodFile, report: Report) -> None:
        self._file = file
        self._report = report
        self._doubts, self._since = Doubts(), Doubts()

    @property
    def is_in_doubt(self) -> bool:
        return bool(self._doubts)

    def forget(self, kind: str, key: str) -> None:
        """Something was changed: what is kept of it is given to nobody until it was read anew."""
        if kind in ("phone", "proof"):
            heard = Doubts({key})
        elif kind in ("site", "certificate"):
            heard = Doubts(of_all=True)
        else:
            return  # nothing by which anybody is believed
        self._doubts.add(heard)
        self._since.add(heard)

    def begin(self) -> None:
        """All that is in doubt is going to be read anew."""
        self._since = Doubts()

    def doubt(self) -> None:
        """More was changed than can be read at once."""
        self._doubts.add(Doubts(of_all=True))

    def settle(self) -> None:
        """What was in doubt is as it is kept now, but for what was heard since `begin`."""
        self._doubts = self._since

    async def answer(
        self, request: PhoneRequest, requested: Requested, outcome: Outcome, problem: str
    ) -> PhoneFile | None:
        """The file that is asked for, as the phone was given it last, or None. `problem` is why it is not made now.
        What is learnt of the phone goes into the outcome, which names a proof already if one was found before."""
        mac = requested.mac or ""
        names = {(c.rule.pattern, c.vendor) for c in requested.candidates if isinstance(c.rule, FileRule)}
        if not names or not mac or request.method == "PUT" or self._doubts.of_all or mac in self._doubts.macs:
            return None
        try:
            found = await asyncio.to_thread(self._file.find, mac, sorted({name for name, _ in names}))
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, ZtpError) as error:
            self._report("last_good.unreadable", self._file.path.name, str(error))
            return None
        # Asked again: somebody may have said "forget" meanwhile.
        if found is None or self._doubts.of_all or mac in self._doubts.macs:
            return None
        proof = outcome.proof or prove(_provable(found), _applied(request, found.denied), datetime.now(UTC)).proof
        gives_secrets = request.listener != "http" or found.site.plain_secrets
        if found.file is None or (found.file.name, found.phone.vendor) not in names or not (proof and gives_secrets):
            return None
        outcome.proof, outcome.vendor = proof, found.phone.vendor
        outcome.model = found.phone.owner.split("/")[1]
        outcome.file = found.file.name.replace("{mac}", mac)
        file = found.file.file
        return replace(file, made_of=file.made_of and replace(file.made_of, problem=problem))


def _provable(found: Found) -> StandingProofs:
    kept = found.phone
    steady = PhoneToken("", "steady", kept.steady, "", "", _LONG_AGO) if kept.steady else None
    digest = DigestCredential("", kept.digest_user, kept.digest_password, "", _LONG_AGO) if kept.digest_user else None
    return StandingProofs(
        kept.hardware_id,
        kept.vendor,
        networks_of(found.site),
        counted_of(kept, found.site),
        PhoneProofs(steady=steady, digest=digest),
    )


def _applied(request: PhoneRequest, denied: frozenset[str]) -> PhoneRequest:
    """The request, without its certificate when that is denied."""
    if request.certificate is None or request.certificate.sha256 not in denied:
        return request
    return replace(request, certificate=None, refused=refusal(request.certificate.sha256, "it was denied"))
