"""A phone, as an administrator records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

PhoneCategory = Literal["managed", "unmanaged", "webrtc", "remote"]
PHONE_CATEGORIES: tuple[str, ...] = get_args(PhoneCategory)


@dataclass(frozen=True, slots=True)
class Line:
    """One SIP registration. An empty `auth_user` means the user itself; `password` never leaves but to the phone.
    `shared` is a line that several phones show (shared call appearance)."""

    user: str
    auth_user: str = ""
    password: str = field(default="", repr=False)
    display_name: str = ""
    label: str = ""
    shared: bool = False

    def checked(self, place: str) -> Line:
        """Return self, or raise BadValue naming the field below `place`."""
        if not self.user:
            raise BadValue(f"{place}.user", "a line needs a SIP user")
        for name in ("user", "auth_user", "password", "display_name", "label"):
            check_text(f"{place}.{name}", getattr(self, name), max_length=128)
        return self


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone record. `id` and `revision` belong to the store; `settings` holds overrides only. What the category
    has not is empty. `user` is the id of the person it belongs to, `remote_address` an E.164 number or SIP address;
    `proofs` are those that count for this phone, None: those of its site. From a phone that is `logged_out` its user
    was taken; its lines are its own again when that ends."""

    name: str
    hardware_id: str
    model: str
    site: str
    base_settings: str
    category: str = "managed"
    lines: tuple[Line, ...] = ()
    line_keys: tuple[LineKey, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    remote_address: str = ""
    proofs: tuple[str, ...] | None = None
    logged_out: bool = False
    id: str = ""
    revision: int = 0

    @property
    def is_hot_desk(self) -> bool:
        """Whether it has no lines but those of whoever is logged in on it."""
        return self.category == "managed" and not self.lines

    @property
    def has_nobody(self) -> bool:
        """Whether it gets what its site has for phones on which nobody is logged in."""
        return self.category == "managed" and (self.logged_out or not (self.lines or self.user))

    @property
    def borrows_from(self) -> str:
        """The id of the user whose lines it gets, empty where it has its own or nobody is logged in."""
        return self.user if self.is_hot_desk and not self.logged_out else ""

    @property
    def holder(self) -> str:
        """For whom its files are made: what was made for one is not given to the next. Empty: for who it belongs to."""
        return holder_of(self.user, logged_out=self.logged_out, has_lines=bool(self.lines))


def holder_of(user: str, *, logged_out: bool, has_lines: bool) -> str:
    """As `Phone.holder`, of a managed phone. No user has the id that stands for nobody."""
    return "-" if logged_out else "" if has_lines else user


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line as somebody writes it who may not know its password: without one (None) the line keeps what it had."""

    user: str
    auth_user: str = ""
    password: str | None = field(default=None, repr=False)
    display_name: str = ""
    label: str = ""
    shared: bool = False

    def onto(self, before: Line | None) -> Line:
        kept = before.password if before else ""
        password = kept if self.password is None else self.password
        return Line(self.user, self.auth_user, password, self.display_name, self.label, self.shared)


def changed_lines(before: Sequence[Line], given: Sequence[Line | LineChange]) -> tuple[Line, ...]:
    """The lines given, each with the password it had: that of the line of the same user, wherever that stood. Of
    several of one user, the first keeps the first's."""
    left = list(before)
    lines = []
    for line in given:
        same = next((own for own in left if own.user == line.user), None)
        if same is not None:
            left.remove(same)
        lines.append(line.onto(same) if isinstance(line, LineChange) else line)
    return tuple(lines)
