"""Why does this phone get what it gets? Answered without a request being made, in plain words."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from ztp_server.domain.access import Actor
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.moment import shown_moment
from ztp_server.domain.request import (
    Certified,
    Listener,
    Outcome,
    PhoneFile,
    PhoneRequest,
    Redirect,
    Refusal,
    StoredFile,
    Unavailable,
)
from ztp_server.domain.site import is_address
from ztp_server.domain.why import Explanation, WouldGet
from ztp_server.errors import BadValue, NotFound, ZtpError
from ztp_server.pki.makers import MakerFolders, load_authorities
from ztp_server.services.address import ServerAddress
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.known_phones import KnownPhones
from ztp_server.services.maker_rules import device_certificates
from ztp_server.services.own_files import own_rules, template_of
from ztp_server.services.templates import Templates
from ztp_server.services.trial_answers import trial_provisioning
from ztp_server.services.why_advice import advice
from ztp_server.services.why_findings import Looked, Shown, findings
from ztp_server.store import Session, Store

_ATTEMPTS = 10
_PROOFS = {
    "network": "its address",
    "certificate": "its certificate",
    "token": "its steady token",
    "window": "the window that is open for it",
}


class Why:
    def __init__(
        self,
        store: Store,
        templates: Templates,
        address: ServerAddress,
        files: FirmwareFiles,
        makers: MakerFolders,
    ) -> None:
        self._makers = makers
        self._store = store
        self._templates = templates
        self._address = address
        self._files = files
        self._known = KnownPhones(store, templates, address)

    async def explain(
        self,
        who: Actor,
        phone: str,
        *,
        address: str = "",
        file: str = "",
        shown: Shown | None = None,
        user_agent: str = "",
    ) -> Explanation:
        """What a phone would be given now and why: of an id, or a MAC, be it known or not. Without an address it is
        taken to ask from where it did last, or else from its site; without a file, for each of its own. Raises BadValue
        naming the field, and NotFound for what the one who asks may not see."""
        if address and not is_address(address):
            raise BadValue("from", f"{address[:64]!r} is no IP address")
        looked = await self._look(who, phone)
        shown = shown and await self._believed(shown)
        address, address_is = (address, "as asked") if address else _likely_address(looked)
        catalog = self._templates.catalog
        if catalog.match(file.lstrip("/")).mac not in (None, looked.mac):
            raise BadValue("file", "is named after another phone: ask about that one")
        found = list(findings(catalog, looked, address, shown, self._address.is_local))
        answers = await self._answers(looked, address, file, shown, user_agent)
        to_do = list(advice(looked, answers, self._address))
        return Explanation(looked.mac, address, address_is, found, answers, looked.attempts, to_do)

    def read_certificate(self, pem: bytes) -> Shown:
        """Whose a client certificate is, by the CAs there are now; blocks while it reads them. Raises Misconfigured for
        a CA that cannot be read."""
        authorities = load_authorities(self._makers.counted(self._address.is_demo))
        try:
            device = device_certificates(authorities, self._templates.catalog).of_file(pem)
        except BadValue as error:
            return Shown(None, error.reason)
        return Shown(Certified(device.vendor, device.mac, device.sha256))

    async def _believed(self, shown: Shown) -> Shown:
        if shown.certified is None:
            return shown
        async with self._store.read() as session:
            denied = await session.denied_certificates.find(shown.certified.sha256)
        return Shown(None, denied.told) if denied else shown

    async def _look(self, who: Actor, text: str) -> Looked:
        sites = who.sites("phones:view")
        async with self._store.read() as session:
            try:
                phone = await session.phones.get_any(text)
            except NotFound:
                phone = None
            if sites is not None and (phone is None or phone.site not in sites):
                raise NotFound(f"no phone {text.strip()[:64]}")
            mac = phone.hardware_id if phone else HardwareId.parse(text).value
            site = await session.sites.get(phone.site) if phone else None
            attempts = await session.check_in_log.page(mac, limit=_ATTEMPTS, sites=sites) if mac else []
            looked = Looked(mac, phone, site, attempts)
            if phone is None:
                return replace(looked, removed=await _removed(session, mac))
            looked = replace(looked, denied=await _denied(session, phone.id))
        if phone.category != "managed":
            return looked
        try:
            return replace(looked, known=await self._known.find(mac))
        except ZtpError as error:
            return replace(looked, problem=str(error))

    async def _answers(
        self, looked: Looked, address: str, file: str, shown: Shown | None, user_agent: str
    ) -> list[WouldGet]:
        provisioning = trial_provisioning(self._store, self._templates, self._address, self._files)
        answers = []
        for listener in self._listeners(shown):
            for name in [file] if file else self._names(looked):
                request = PhoneRequest(
                    path=name.lstrip("/"),
                    user_agent=user_agent,
                    certificate=shown.certified if shown and listener == "mtls" else None,
                    address=address,
                    listener=listener,
                    token=_token(looked),
                )
                outcome = await provisioning.answer(request)
                answers.append(WouldGet(listener, name, outcome.status, self._words(looked, outcome)))
        return answers

    def _listeners(self, shown: Shown | None) -> Iterator[Listener]:
        """Those there are; the one with client certificates only for who has one to show."""
        urls = self._address.server.urls
        if "http" in urls:
            yield "http"
        if "https" in urls:
            yield "https"
        if shown and "mtls" in urls:
            yield "mtls"

    def _names(self, looked: Looked) -> list[str]:
        """The files a phone asks for: its own, or those that any phone of its maker would ask for."""
        if looked.known:
            return list(own_rules(looked.known))
        maker = self._templates.catalog.vendor_of_oui(looked.mac)
        rules = self._templates.catalog.vendors[maker].file if maker else ()
        return [rule.pattern.replace("{mac}", looked.mac) for rule in rules if rule.placeholders == ["mac"]]

    def _words(self, looked: Looked, outcome: Outcome) -> str:
        answer = outcome.answer
        if isinstance(answer, PhoneFile) and answer.kind == "phone" and looked.known:
            proof = _PROOFS.get(outcome.proof, outcome.proof)
            made = self._made_of(looked, outcome.file)
            return f"its own file, {len(answer.body)} bytes{made}; proven by {proof}"
        if isinstance(answer, PhoneFile):
            why = f": {outcome.why}" if outcome.why else ""
            return f"the {answer.kind} file that any phone of its kind gets, {len(answer.body)} bytes{why}"
        if isinstance(answer, Refusal | Unavailable):
            return answer.reason
        if isinstance(answer, Redirect):
            return f"sent on to {answer.location}"
        return f"the file {answer.path.name} from disk" if isinstance(answer, StoredFile) else "an upload"

    def _made_of(self, looked: Looked, file: str) -> str:
        rule = own_rules(looked.known).get(file) if looked.known else None
        if looked.known is None or not isinstance(rule, FileRule):
            return ""
        return f", made by the rule {rule.pattern!r} from template {template_of(looked.known, rule)}"


def _token(looked: Looked) -> str:
    """The token that a phone shows: the one in its files, once it was seen with it."""
    known = looked.known
    steady = known.proofs.steady if known else None
    return known.steady_token if known and steady and steady.first_used_at else ""


async def _denied(session: Session, phone_id: str) -> str:
    """How the certificate was denied that a phone last proved itself with; empty when it was not."""
    progress = await session.phone_status.get(phone_id)
    sha256 = progress.certificate if progress else ""
    denied = await session.denied_certificates.find(sha256) if sha256 else None
    return denied.told if denied else ""


async def _removed(session: Session, mac: str) -> str:
    try:
        gone, _ = await session.removed_phones.get(mac)
    except NotFound:
        return ""
    return f"phone {gone.name!r} had it and was removed by {gone.actor} at {shown_moment(gone.at)}"


def _likely_address(looked: Looked) -> tuple[str, str]:
    """Where a phone would ask from, and how we came to think so."""
    for attempt in looked.attempts:
        if attempt.address:
            return attempt.address, "where it asked from last"
    for network in looked.site.networks if looked.site else ():
        first = ipaddress.ip_network(network)
        return str(first[min(1, first.num_addresses - 1)]), f"in {network}, the first network of its site"
    return "", "not known"
