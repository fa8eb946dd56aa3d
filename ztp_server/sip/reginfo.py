"""Who is registered, as a registrar tells it: `application/reginfo+xml` (RFC 3680) → registrations.

Read with expat and not with lxml, which remembers every name that a thread ever read: made-up ones would fill the
memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from xml.parsers import expat

from ztp_server.errors import BadValue

LARGEST = 65_536
MOST_ELEMENTS = 2000
LONGEST_TEXT = 1024
_NAMESPACE = "urn:ietf:params:xml:ns:reginfo"


@dataclass(frozen=True, slots=True)
class Contact:
    """One place where an address of record can be reached. `state` is `active` or `terminated`, `event` what made it so
    (`registered`, `created`, `refreshed`, `shortened`, `expired`, `deactivated`, `probation`, `unregistered`,
    `rejected`). `expires` and `duration` are in seconds, None when not told."""

    id: str
    uri: str
    state: str
    event: str
    expires: int | None = None
    duration: int | None = None
    user_agent: str = ""
    display_name: str = ""

    @property
    def is_active(self) -> bool:
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Registration:
    """An address of record: `state` is `init`, `active` or `terminated`; contacts by their id."""

    aor: str
    id: str
    state: str
    contacts: Mapping[str, Contact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegInfo:
    """One document. `is_full` when it tells everything, and not what changed alone; registrations by their id."""

    version: int
    is_full: bool
    registrations: Mapping[str, Registration]


def read_reginfo(body: bytes) -> RegInfo:
    """Raises BadValue, repeating nothing of the body, when it is too large, has a DOCTYPE, or is no such document."""
    if len(body) > LARGEST:
        raise BadValue("reginfo", f"more than {LARGEST} bytes")
    reading = _Reading()
    # The encoding that is given here goes before the one that is declared: a DOCTYPE cannot hide in another.
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.StartElementHandler = reading.begin
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        raise BadValue("reginfo", "not well-formed XML, or a number that is none") from None
    if reading.found is None:
        raise BadValue("reginfo", "no reginfo document")
    return replace(reading.found, registrations=reading.registrations)


def _refuse_doctype(*_declared: object) -> None:
    """Raised before any of its entities is declared, and so before one is expanded."""
    raise BadValue("reginfo", "has a DOCTYPE")


class _Reading:
    """What was read so far. Elements of other namespaces are passed over with all that is in them."""

    def __init__(self) -> None:
        self.found: RegInfo | None = None
        self.registrations: dict[str, Registration] = {}
        self._contacts: dict[str, Contact] = {}
        self._path: list[str] = []
        self._attributes: dict[str, str] = {}
        self._inside: dict[str, str] = {}
        self._unknown = ""
        self._elements = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise BadValue("reginfo", f"more than {MOST_ELEMENTS} elements")
        namespace, _, local = name.rpartition(" ")
        self._path.append(local if namespace == _NAMESPACE else "")
        if self._path == ["reginfo"]:
            state = attributes.get("state")
            if state not in ("full", "partial"):
                raise BadValue("reginfo", "state is neither full nor partial")
            self.found = RegInfo(_number(attributes.get("version")) or 0, state == "full", {})
        elif self._path == ["reginfo", "registration"]:
            one = Registration(_cut(attributes, "aor"), _cut(attributes, "id"), _cut(attributes, "state"), {})
            self._contacts = {}
            self.registrations[one.id] = replace(one, contacts=self._contacts)
        elif self._path == ["reginfo", "registration", "contact"]:
            self._attributes, self._inside = attributes, {}
        elif self._path[-1] == "unknown-param":
            self._unknown = attributes.get("name", "").lower()

    def text(self, piece: str) -> None:
        if len(self._path) == 4 and self._path[2] == "contact":
            name = self._unknown if self._path[3] == "unknown-param" else self._path[3]
            if name in ("uri", "display-name", "user-agent"):
                self._inside[name] = (self._inside.get(name, "") + piece)[:LONGEST_TEXT]

    def end(self, _name: str) -> None:
        if self._path == ["reginfo", "registration", "contact"]:
            one = self._contact()
            self._contacts[one.id] = one
        self._path.pop()

    def _contact(self) -> Contact:
        given = self._attributes
        agent = _cut(given, "user_agent") or self._inside.get("user-agent", "")
        return Contact(
            id=_cut(given, "id"),
            uri=self._inside.get("uri", "").strip(),
            state=_cut(given, "state"),
            event=_cut(given, "event"),
            expires=_number(given.get("expires")),
            duration=_number(given.get("duration-registered")),
            user_agent=agent.strip(),
            display_name=self._inside.get("display-name", "").strip(),
        )


def _cut(attributes: Mapping[str, str], name: str) -> str:
    return attributes.get(name, "")[:LONGEST_TEXT]


def _number(text: str | None) -> int | None:
    """Raises ValueError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise ValueError
    return int(text)


class Registrations:
    """What the documents of one dialog come to, in the order of their versions (RFC 3680, section 5.2). A new dialog
    needs a new one: it counts from its own beginning."""

    def __init__(self) -> None:
        self.known: dict[str, Registration] = {}
        # False when a document was missed, or was too much to keep: a full one is needed (`Subscription.refresh`).
        self.is_complete = False
        self._version = -1

    def take(self, document: RegInfo) -> bool:
        """Take in a document; whether anything may have changed. A full one counts whatever its version, since Kamailio
        calls each of them 0; that none is late is seen to by the dialog it comes in."""
        if document.version <= self._version and not document.is_full:
            return False
        follows = document.version == self._version + 1
        self._version = document.version
        known = {} if document.is_full else dict(self.known)
        for place, told in document.registrations.items():
            contacts = {**(known[place].contacts if place in known else {}), **told.contacts}
            known[place] = replace(told, contacts={name: one for name, one in contacts.items() if one.is_active})
            if told.state == "terminated":
                del known[place]
        fits = sum(1 + len(one.contacts) for one in known.values()) <= MOST_ELEMENTS
        self.known = known if fits else {}
        self.is_complete = fits and (document.is_full or (self.is_complete and follows))
        return True
