"""What the use of a proof changes: a bootstrap token or window is bound to the address that uses it first, and ends
when the phone proves itself with something of its own. Written down before the answer goes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from ztp_server.domain.proof import PhoneProofs, PhoneToken, ProvisioningWindow
from ztp_server.domain.request import PhoneRequest
from ztp_server.errors import StoreUnavailable
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.lasting_proof import lasting_proof
from ztp_server.services.own_files import Known
from ztp_server.services.proving import Verdict
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Ends:
    """What is over now that the phone was seen with a proof of its own."""

    steady_begins: bool
    bootstrap: bool
    window: bool

    def __bool__(self) -> bool:
        return self.steady_begins or self.bootstrap or self.window


class HandOver:
    def __init__(self, store: Store, templates: Templates, check_ins: CheckIns) -> None:
        self._store = store
        self._templates = templates
        self._check_ins = check_ins

    async def settle(self, known: Known, request: PhoneRequest, verdict: Verdict) -> Verdict:
        """The verdict as it holds, once what it changes is written down. Raises StoreUnavailable when something could
        not be bound to its address."""
        if verdict.replayed:
            self._refused(known, verdict)
        if verdict.unused:
            return await self._bound(known, request, verdict.unused, verdict)
        ends = self._ends(known, request, verdict)
        if ends:
            await self._end(known, request, verdict, ends)
        return verdict

    async def _bound(
        self, known: Known, request: PhoneRequest, unused: PhoneToken | ProvisioningWindow, verdict: Verdict
    ) -> Verdict:
        now, is_token = datetime.now(UTC), isinstance(unused, PhoneToken)
        what, action = ("bootstrap token", "phone_token.used") if is_token else ("window", "window.used")
        async with self._store.write() as session:
            address = await session.phone_proofs.use_first(unused, request.address, now)
            if address == request.address:
                await self._tell(session, known, action, f"its {what} was first used by {address}")
        if address != request.address:
            used_by = f"was used by {address} meanwhile" if address else "is gone"
            refused = Verdict(reason=f"its {what} {used_by}; {request.address} came too late", replayed=True)
            self._refused(known, refused)
            return refused
        if isinstance(unused, PhoneToken):
            known.proofs = replace(known.proofs, bootstrap=replace(unused, first_used_at=now, address=address))
        else:
            known.proofs = replace(known.proofs, window=replace(unused, first_used_at=now, address=address))
        return replace(verdict, unused=None)

    def _ends(self, known: Known, request: PhoneRequest, verdict: Verdict) -> _Ends:
        has = known.proofs
        steady_begins = (
            verdict.of_its_own
            and verdict.proof == "token"
            and has.steady is not None
            and has.steady.first_used_at is None
        )
        # One that was made for later, while the phone is at home in its steady proof, waits for its first use.
        was_used = has.bootstrap is not None and has.bootstrap.first_used_at is not None
        bootstrap = has.bootstrap is not None and (steady_begins or (verdict.of_its_own and was_used))
        return _Ends(steady_begins, bootstrap, has.window is not None and self._is_lasting(known, verdict))

    def _is_lasting(self, known: Known, verdict: Verdict) -> bool:
        """Whether the phone will go on to prove itself like this: its network does for one that has nothing else."""
        if verdict.proof != "network":
            return verdict.of_its_own
        catalog, group = self._templates.catalog, known.group
        lasting = lasting_proof(
            catalog, known.address, known.phone, group.site, group.base, known.proofs, known.running
        )
        return lasting.kind == "network"

    async def _end(self, known: Known, request: PhoneRequest, verdict: Verdict, ends: _Ends) -> None:
        has, phone_id, reason = known.proofs, known.phone.id, f"the phone proved itself: {verdict.proof}"
        try:
            async with self._store.write() as session:
                if ends.steady_begins and has.steady:
                    await session.phone_proofs.use_first(has.steady, request.address, datetime.now(UTC))
                if ends.bootstrap and await session.phone_proofs.remove_token(phone_id, "bootstrap"):
                    await self._tell(session, known, "phone_token.ended", f"bootstrap token: {reason}")
                if ends.window and await session.phone_proofs.close_window(phone_id):
                    await self._tell(session, known, "window.closed", reason)
        except StoreUnavailable as error:
            # A phone with a proof gets its file. The next request tries again; until then nothing was handed over.
            log.warning("proofs.not_written", mac=known.phone.hardware_id, reason=str(error))
            return
        known.proofs = _without(has, ends)

    def _refused(self, known: Known, verdict: Verdict) -> None:
        self._check_ins.report("proof.refused", known.phone.hardware_id, verdict.reason, about="replayed")

    async def _tell(self, session: Session, known: Known, action: str, reason: str) -> None:
        await session.events.add("server", action, known.phone.hardware_id, {"reason": reason})


class NoHandOver(HandOver):
    """Changes nothing: for who only asks what a phone would get."""

    async def settle(self, known: Known, request: PhoneRequest, verdict: Verdict) -> Verdict:
        return verdict


def _without(has: PhoneProofs, ends: _Ends) -> PhoneProofs:
    steady = has.steady
    if steady and ends.steady_begins:
        steady = replace(steady, first_used_at=datetime.now(UTC))
    return replace(
        has,
        steady=steady,
        bootstrap=None if ends.bootstrap else has.bootstrap,
        window=None if ends.window else has.window,
    )
