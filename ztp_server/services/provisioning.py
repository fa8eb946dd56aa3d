"""The heart of the program: a phone asks for a file and gets its own, whole and checked, or nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from ztp_server.domain.catalog import Candidate, Requested, Seen
from ztp_server.domain.file_rules import FileRule, FirmwareRule, UploadRule
from ztp_server.domain.request import (
    Answer,
    Challenge,
    Outcome,
    PhoneFile,
    PhoneRequest,
    Redirect,
    Refusal,
    StoredFile,
    Unavailable,
    unproven,
)
from ztp_server.domain.template_context import bootstrap_context
from ztp_server.domain.vendor import Model, Vendor
from ztp_server.errors import Damaged, StoreUnavailable, TemplateError, ZtpError
from ztp_server.services.address import ServerAddress
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.failures import Failures, leave_late
from ztp_server.services.firmware_offers import FirmwareOffers
from ztp_server.services.firmware_requests import FirmwareRequests
from ztp_server.services.fleet import Fleet, is_loopback
from ztp_server.services.hand_over import HandOver
from ztp_server.services.inputs import Inputs
from ztp_server.services.last_good import LastGood
from ztp_server.services.needed_files import names_in
from ztp_server.services.own_files import NO_PROOFS, Known, make_file, render_file
from ztp_server.services.proving import NO_PROOF, prove
from ztp_server.services.templates import Templates
from ztp_server.services.uploads import Uploads
from ztp_server.vendors import template_name

log = structlog.get_logger()

_NOT_THERE = Refusal("no such file")
# The password of phones that are none of ours. Who could guess it would learn that by their answer being used up.
_NOBODYS = secrets.token_hex(16)


class Provisioning:
    """`answer` is called by every door and by every tool that asks what a phone would get."""

    def __init__(
        self,
        templates: Templates,
        address: ServerAddress,
        fleet: Fleet,
        firmware: FirmwareRequests,
        offers: FirmwareOffers,
        uploads: Uploads,
        check_ins: CheckIns,
        hand_over: HandOver,
    ) -> None:
        self._templates = templates
        self._address = address
        self._fleet = fleet
        self._firmware = firmware
        self._offers = offers
        self._uploads = uploads
        self._check_ins = check_ins
        self._hand_over = hand_over
        self._inputs = Inputs(templates, address)
        # Counts requests that prove nothing, where somebody is listened to; tools that try things out have none.
        self.failures: Failures | None = None
        # Where a server listens: what is kept beside the database, and who keeps it, told of each file that is made.
        self.last_good: LastGood | None = None
        self.made: Callable[[Known, str, PhoneFile], None] | None = None

    async def answer(self, request: PhoneRequest) -> Outcome:
        """What this request gets, and why. Never raises for anything a phone or the data can do."""
        started = time.perf_counter()
        await self._fleet.catch_up()
        seen = self._templates.catalog.identify(request.user_agent)
        requested = self._templates.catalog.match(request.path)
        outcome = Outcome(_NOT_THERE, requested.mac or "", seen.model, seen.vendor, firmware=seen.firmware)
        try:
            if request.certificate:
                request = await self._fleet.certificates.applied(request)
            outcome.answer = await self._answer(request, requested, seen, outcome)
        except StoreUnavailable as error:
            outcome.answer = await self._kept(request, requested, outcome, str(error))
        except TemplateError as error:
            self._check_ins.report("template.failed", error.file, str(error))
            outcome.answer = await self._kept(request, requested, outcome, str(error))
        except Exception as error:
            # What was accepted when it was written and cannot be used now: a time zone the data no longer has. Or what
            # a database makes up that somebody wrote into.
            said = str(error) if isinstance(error, ZtpError) else type(error).__name__
            if not isinstance(error, ZtpError):
                log.exception("phone.failed", mac=outcome.mac)
            self._check_ins.report("phone.failed", outcome.mac, said)
            outcome.answer = await self._kept(request, requested, outcome, said)
        milliseconds = round((time.perf_counter() - started) * 1000)
        if self.failures and not outcome.mac and request.login and isinstance(outcome.answer, Challenge):
            await leave_late(started)  # Whose login that is was looked up, and perhaps a phone.
        failures = self.failures if outcome.mac and outcome.why and not outcome.proof else None
        if failures is None or await failures.failed(request, outcome.mac, started):
            self._check_ins.note(request, outcome, milliseconds)
        return outcome

    async def _kept(self, request: PhoneRequest, requested: Requested, outcome: Outcome, problem: str) -> Answer:
        """What a phone was given last, for we fail; an answer of that takes as long for everybody who is given none."""
        found = await self.last_good.answer(request, requested, outcome, problem) if self.last_good else None
        if found:
            return found
        outcome.why = outcome.why or problem
        asks_to_log_in = request.may_log_in and request.login is None and outcome.mac and not outcome.proof
        return Challenge(problem) if asks_to_log_in else Unavailable(problem)

    async def _answer(self, request: PhoneRequest, requested: Requested, seen: Seen, outcome: Outcome) -> Answer:
        answer = await self._by_name(request, requested, seen, outcome)
        if not request.must_log_in or outcome.proof or isinstance(answer, Challenge):
            return answer
        return answer if await self._firmware.may_download(request) else Challenge("no proof")

    async def _by_name(self, request: PhoneRequest, requested: Requested, seen: Seen, outcome: Outcome) -> Answer:
        if self._address.is_local and not is_loopback(request.address):
            # Whatever we told it would lead it to itself, and some phones never come back from that.
            return Refusal("this server calls itself localhost; start it with --public-name")
        if requested.mac:
            return await self._about_a_phone(request, requested, requested.mac, seen, outcome)
        for candidate in _of_vendor_first(requested.candidates, seen.vendor):
            if isinstance(candidate.rule, FirmwareRule):
                return await self._firmware.answer(request, candidate, seen, outcome)
            if isinstance(candidate.rule, FileRule):
                return self._for_everybody(request, candidate, seen)
        return await self._static(request)

    async def _about_a_phone(
        self, request: PhoneRequest, requested: Requested, mac: str, seen: Seen, outcome: Outcome
    ) -> Answer:
        for candidate in requested.candidates:
            is_redirect = isinstance(candidate.rule, FileRule) and candidate.rule.serve == "redirect"
            if is_redirect and request.method != "PUT":
                return self._redirect(request, candidate, seen)
        # Only one who could be some phone of ours is looked up: others learn nothing, not even by the time it takes.
        could_be_proven = await self._fleet.could_be_proven(mac, request)
        known = await self._fleet.find(mac) if could_be_proven else None
        verdict = prove(known, request, datetime.now(UTC)) if known else NO_PROOF
        if known and known.proofs is not NO_PROOFS and self._gives_secrets(request, known):
            verdict = await self._hand_over.settle(known, request, verdict)
        proof = verdict.proof
        if known is None or not proof:
            if requested.candidates:
                outcome.file = requested.candidates[0].rule.pattern.replace("{mac}", mac)
            no_proof = "unknown phone" if could_be_proven and known is None else verdict.reason
            outcome.why = request.refused or no_proof
            if request.login and known is None:
                request.login.fits(_NOBODYS)  # Takes the time that one of a phone takes.
            if request.may_log_in:
                return unproven(request, outcome.why)
            return self._bootstrap(request, requested, mac, seen, outcome.why)
        outcome.proof, outcome.vendor, outcome.model = proof, known.group.vendor.id, known.group.model.id
        # Another device on the phone's network says nothing of the phone.
        said = seen.firmware if seen.vendor == outcome.vendor else ""
        if not self._fleet.offer_holds(known, said):
            await self._offers.refresh(known, said)
        outcome.running = known.running
        own = next((c for c in requested.candidates if c.vendor == outcome.vendor and _serves(c, known)), None)
        if own:
            outcome.file = own.rule.pattern.replace("{mac}", mac)
        if not self._gives_secrets(request, known):
            outcome.why = "no secrets over plain HTTP at this site"
            return self._bootstrap(request, requested, mac, seen, outcome.why)
        return await self._own_file(request, own.rule, known, proof) if own else _NOT_THERE

    def _gives_secrets(self, request: PhoneRequest, known: Known) -> bool:
        return request.listener != "http" or known.group.site.plain_secrets

    async def _own_file(self, request: PhoneRequest, rule: object, known: Known, proof: str) -> Answer:
        if isinstance(rule, UploadRule):
            return await self._uploads.answer(request, rule, known, proof)
        if request.method == "PUT" or not isinstance(rule, FileRule):
            return _NOT_THERE
        made = self.render(rule, known)
        # A list of certificates without one is no file that a phone could read.
        return made if made.body.strip() or rule.format != "pem" else _NOT_THERE

    def render(self, rule: FileRule, known: Known) -> PhoneFile:
        """A phone's file: the bytes made before, or made now; when that fails, those of better days. Raises
        TemplateError and Damaged when there were none."""
        made = known.files.get(rule.pattern)
        if made is None:
            try:
                made = self._make(rule, known)
            except (TemplateError, Damaged) as error:
                last_good = known.last_good.get(rule.pattern)
                if last_good is None:
                    raise
                if isinstance(error, TemplateError):
                    self._check_ins.report("template.failed", error.file, str(error))
                made_of = last_good.made_of and replace(last_good.made_of, problem=str(error))
                return replace(last_good, made_of=made_of)
            known.files[rule.pattern] = made
        return made

    def _make(self, rule: FileRule, known: Known) -> PhoneFile:
        snapshot, server = self._templates.snapshot, self._address.server
        file = make_file(snapshot.renderer, server, rule, known)
        self._check_ins.served.note(snapshot, server, rule, known, file)
        file = replace(file, made_of=self._inputs.made_of(known, names_in(known, rule, file.body)))
        if self.made and file.body.strip():
            self.made(known, rule.pattern, file)
        return file

    def _for_everybody(self, request: PhoneRequest, candidate: Candidate, seen: Seen) -> Answer:
        rule = candidate.rule
        if request.method == "PUT" or not isinstance(rule, FileRule):
            return _NOT_THERE
        if rule.serve == "bootstrap" and (request.listener != "http" or request.token or request.must_log_in):
            # A configured phone must not be emptied by it.
            return Refusal("the bootstrap file is for the first knock over plain HTTP")
        vendor, family_id, _ = self._kind_of_phone(candidate.vendor, seen)
        if rule.serve == "bootstrap" and not vendor.family[family_id].bootstrap:
            return Refusal("phones of its family get no bootstrap file")
        if rule.serve not in ("bootstrap", "public"):
            return _NOT_THERE
        return self._generic(rule, rule.template, candidate.vendor, seen)

    def _bootstrap(self, request: PhoneRequest, requested: Requested, mac: str, seen: Seen, why: str) -> Answer:
        """What any phone of its kind gets instead of a file of its own: said by the User-Agent or else the maker's
        address block, never by whether we know the phone."""
        vendor = seen.vendor or self._templates.catalog.vendor_of_oui(mac)
        for candidate in requested.candidates:
            rule = candidate.rule
            if candidate.vendor != vendor or not isinstance(rule, FileRule) or not rule.bootstrap:
                continue
            if request.listener == "http" and request.method != "PUT" and not request.token:
                return self._generic(rule, rule.bootstrap, candidate.vendor, seen)
        return Refusal(why)

    def _generic(self, rule: FileRule, template: str, vendor_id: str, seen: Seen) -> PhoneFile:
        vendor, family_id, model = self._kind_of_phone(vendor_id, seen)
        url = self._address.steady_url(vendor, vendor.family[family_id], model, seen.firmware)
        context = bootstrap_context(vendor, self._address.server, url)
        name = template_name(vendor_id, family_id, template)
        kind = "public" if rule.serve == "public" else "bootstrap"
        return render_file(self._templates.renderer, rule, name, context, kind)

    def _redirect(self, request: PhoneRequest, candidate: Candidate, seen: Seen) -> Redirect:
        """The same for every MAC. A phone that asks over plain HTTP may not trust us yet, so it is sent to where the
        bootstrap file is; one that came over TLS does."""
        if request.listener == "http":
            return Redirect(self._address.server.urls["http"])
        vendor, family_id, model = self._kind_of_phone(candidate.vendor, seen)
        return Redirect(self._address.steady_url(vendor, vendor.family[family_id], model, seen.firmware))

    def _kind_of_phone(self, vendor_id: str, seen: Seen) -> tuple[Vendor, str, Model | None]:
        """The family and model the User-Agent names, or the vendor's first family."""
        vendor = self._templates.catalog.vendors[vendor_id]
        model = self._templates.catalog.models.get(seen.model)
        if model is None or seen.vendor != vendor_id:
            return vendor, next(iter(vendor.family)), None
        return vendor, model.family, model

    async def _static(self, request: PhoneRequest) -> Answer:
        path = self._templates.catalog.static.get(request.path)
        # Where one may log in, a name that is there is answered like one that is not.
        if request.method == "PUT" or (path is None and not request.may_log_in):
            return _NOT_THERE
        if not await self._firmware.may_download(request):
            return unproven(request, "no proof")
        return StoredFile(path, "static") if path else _NOT_THERE


def _serves(candidate: Candidate, known: Known) -> bool:
    families = getattr(candidate.rule, "families", ())
    return not families or known.group.model.family in families


def _of_vendor_first(candidates: tuple[Candidate, ...], vendor: str) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.vendor != vendor)
