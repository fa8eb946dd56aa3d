"""How far a phone came with its configuration, as far as its requests tell, and the rules by which that is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ztp_server.domain.registration import LineRegistration

# How long after the second poll it missed a phone counts as gone.
SLACK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Progress:
    """What is kept of a managed phone that was proven at least once. `inputs` names what its files were made of when it
    last had all of them (empty: it never had), `phone_revision` its own record then. `problem` is why it was last given
    nothing new (empty: it was). `since` is when any of these last changed; by `due_at` it should have asked again
    (None: it does not poll). `certificate` is the SHA-256 of the one it last proved itself with, if it ever did."""

    phone_id: str
    first_at: datetime
    last_at: datetime
    since: datetime
    address: str = ""
    firmware: str = ""
    firmware_wanted: str = ""
    inputs: str = ""
    phone_revision: int = 0
    problem: str = ""
    due_at: datetime | None = None
    certificate: str = ""


def provisioning_state(progress: Progress | None, inputs: str, phone_revision: int, now: datetime) -> str:
    """One of PROVISIONING_STATES: by what is kept of a phone, what its files are made of now, and its revision now.
    store/phone_status.py says the same in SQL."""
    if progress is None:
        return "never_seen"
    if progress.problem:
        return "error"
    if progress.due_at is not None and progress.due_at < now:
        return "stale"
    if not progress.inputs:
        return "provisioning"
    if progress.inputs != inputs or progress.phone_revision < phone_revision:
        return "outdated"
    return "provisioned"


@dataclass(frozen=True, slots=True)
class Registration:
    """Whether a phone is registered: one of REGISTRATION_STATES, why, and since when. `lines` say it of each line;
    None: nobody looked so closely."""

    state: str
    reason: str
    since: datetime | None = None
    lines: tuple[LineRegistration, ...] | None = None


NOT_KNOWN = Registration("unknown", "")


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a phone for people. `provisioning` is one of PROVISIONING_STATES, or `unknown` for a category that
    is given no files. `since` is when it came to that, as far as is known."""

    provisioning: str
    reason: str
    since: datetime | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    address: str = ""
    firmware: str = ""
    firmware_wanted: str = ""
    registration: Registration = NOT_KNOWN

    @property
    def state(self) -> str:
        """Both in one word: trouble with its files goes first, then whether it is registered, where that is known."""
        if self.provisioning == "error" or self.registration.state not in ("online", "degraded", "offline"):
            return self.provisioning
        return self.registration.state
