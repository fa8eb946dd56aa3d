"""What bodies and answers about phones are built of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.shapes import Answer, Body

Text = Annotated[str, Field(max_length=255)]
ShortText = Annotated[str, Field(max_length=128)]
Position = Annotated[int, Field(ge=1, le=1000)]
Proof = Literal["certificate", "token", "window", "digest", "network"]
Settings = dict[Annotated[str, Field(max_length=160)], Any]


class LineRecord(Answer):
    """One SIP registration, without its password. An empty `auth_user` means the user itself."""

    user: str
    auth_user: str
    display_name: str
    label: str
    shared: bool = False


class LineKeyRecord(Answer):
    """A button. `line` counts from 1, for type line."""

    type: str
    value: str = ""
    label: str = ""
    line: int = 0


class RegisteredLine(Answer):
    """A line at one of its servers: registered, not_registered, or unknown for a `reason`. There is a row for each
    `contact` that the platform tells of, as it tells it."""

    user: str
    server: str
    state: Literal["registered", "not_registered", "unknown"]
    reason: str | None
    contact: str | None
    transport: str | None
    user_agent: str | None
    expires_at: datetime | None
    received: str | None


class StatusRecord(Answer):
    """How far a phone came with its configuration, and whether it is registered. `provisioning` is never_seen,
    provisioning, provisioned, outdated, stale or error, and unknown for a category that is given no files;
    `registration` is online, degraded, offline, never_registered or unknown. `state` sums both up: error, then offline,
    degraded and online, and where registration is not known how far it came; `reason` and `since` are its own. A list
    gives no reasons for `provisioning` and no `lines`: they are those of one phone looked at closely."""

    state: str
    provisioning: str
    registration: str
    reason: str
    since: datetime | None
    provisioning_reason: str
    provisioning_since: datetime | None
    registration_reason: str
    registration_since: datetime | None
    first_seen: datetime | None
    last_seen: datetime | None
    address: str | None
    firmware: str | None
    firmware_wanted: str | None
    lines: list[RegisteredLine] | None


class PhoneRecord(Answer):
    """A phone. What its category has not is null or empty; `settings` are its overrides, secrets as `***`;
    `standalone` is what holds for it, inherited or its own. One that is `logged_out` has what its site has for phones
    on which nobody is logged in. `proofs` are those that count for it alone, none of them for a phone that is blocked;
    null: those of its site."""

    id: str
    name: str
    category: Literal["managed", "unmanaged", "webrtc", "remote"]
    hardware_id: str | None
    model: str | None
    site: str
    base_settings: str | None
    user: str | None
    logged_out: bool
    standalone: bool
    remote_address: str | None
    proofs: list[Proof] | None
    settings: dict[str, Any]
    lines: list[LineRecord]
    line_keys: list[LineKeyRecord]
    status: StatusRecord
    revision: int


class NewPasswordRecord(Answer):
    """A password that was made for a line, counted from 1. It is shown this once."""

    line: int
    password: str


class PhoneWrittenRecord(PhoneRecord):
    """A phone as it was written, with what is to be said of it all the same."""

    warnings: list[str]
    new_passwords: list[NewPasswordRecord]


class LineBody(Body):
    """One SIP registration. Without a password (or with null) it keeps the one that the line of the same user had."""

    user: ShortText
    auth_user: ShortText = ""
    password: ShortText | None = None
    display_name: ShortText = ""
    label: ShortText = ""
    shared: bool = False


class LinePatch(Body):
    """Fields of a line to change."""

    user: ShortText | None = None
    auth_user: ShortText | None = None
    password: ShortText | None = None
    display_name: ShortText | None = None
    label: ShortText | None = None
    shared: bool | None = None


class LineKeyBody(Body):
    """A button. Type line has the number of a line, counted from 1; blf, speed_dial, park, intercom and url a value."""

    type: Annotated[str, Field(max_length=32)]
    value: Text = ""
    label: ShortText = ""
    line: Annotated[int, Field(ge=0, le=1000)] = 0


class LineKeyPatch(Body):
    """Fields of a key to change. A key of another type keeps nothing but its label."""

    type: Annotated[str, Field(max_length=32)] | None = None
    value: Text | None = None
    label: ShortText | None = None
    line: Annotated[int, Field(ge=0, le=1000)] | None = None


class NewLineBody(LineBody):
    """A line, and where it goes; null: to the end."""

    position: Position | None = None


class NewLineKeyBody(LineKeyBody):
    """A key, and where it goes; null: to the end."""

    position: Position | None = None


class MoveBody(Body):
    """From one position to another, counted from 1."""

    start: Position = Field(alias="from")
    end: Position = Field(alias="to")


class NewPhone(Body):
    """A new phone. A managed one has a MAC, a model and base settings; an unmanaged one lines, and of the settings
    those of its SIP connection; a webrtc phone has a user; a remote one an address."""

    name: Text
    category: Literal["managed", "unmanaged", "webrtc", "remote"] = "managed"
    hardware_id: Text | None = None
    model: Text | None = None
    site: Text
    base_settings: Text | None = None
    user: Text | None = None
    remote_address: Text | None = None
    proofs: list[Proof] | None = Field(None, max_length=16)
    settings: Settings = Field(default_factory=dict)
    lines: list[LineBody] = Field(default_factory=list)
    line_keys: list[LineKeyBody] = Field(default_factory=list)


class PhonePatch(Body):
    """What is to change (RFC 7396): a setting that is null is inherited again, lists replace. `proofs` null: those of
    its site count; an empty list blocks the phone."""

    name: Text | None = None
    category: Literal["managed", "unmanaged", "webrtc", "remote"] | None = None
    hardware_id: Text | None = None
    model: Text | None = None
    site: Text | None = None
    base_settings: Text | None = None
    user: Text | None = None
    remote_address: Text | None = None
    proofs: list[Proof] | None = Field(None, max_length=16)
    settings: Settings | None = None
    lines: list[LineBody] | None = None
    line_keys: list[LineKeyBody] | None = None
