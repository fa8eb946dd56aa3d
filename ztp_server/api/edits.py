"""What edits of sites and base settings share: how settings are written, and what an edit answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ztp_server.api.shapes import Answer, Body, Flag, Query

# A value as JSON has it; null stands for: inherited.
Settings = dict[
    Annotated[str, Field(min_length=1, max_length=160)],
    bool | int | float | Annotated[str, Field(max_length=65_536)] | list[str] | None,
]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$", description="An id: a-z 0-9 - _")]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Reason = Annotated[str, Field(max_length=255, description="Why; kept with the change.")]


class DryRun(Query):
    dry_run: Flag = Field("false", description="Change nothing; say what would change.")


class RemovalQuery(Query):
    reason: Reason = ""


class RevealBody(Body):
    reason: Annotated[str, Field(min_length=1, max_length=255, description="Why; it goes into the audit.")]


class RevealedSettings(Answer):
    """The secrets among settings."""

    settings: dict[str, Any]


class ChangedField(Answer):
    """A field that changes, by its dotted name (`settings.rtp_dscp`). Null: not there, inherited. Secrets are `***`,
    and `*** (another one)` in place of another."""

    name: str
    before: Any
    after: Any


class AffectedPhones(Answer):
    """How many phones a change touches, in all and of each model, site and base settings."""

    phones: int
    models: dict[str, int]
    sites: dict[str, int]
    base_settings: dict[str, int]


class FileSample(Answer):
    """One phone, and what becomes of its files: a unified diff, without secrets, of each that differs."""

    phone: str
    model: str
    files: dict[str, str]


class EditAnswer(Answer):
    """What an edit did, or would do. `samples` are given with `dry_run` only: one phone of each model, five at most."""

    changes: list[ChangedField]
    affected: AffectedPhones
    warnings: list[str]
    samples: list[FileSample]
