"""Edits of sites and base settings as doors show them: plain data, secrets as `***`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ztp_server.domain.base_settings import BaseSettings, BaseSettingsRevision
from ztp_server.domain.settings import SettingsTable
from ztp_server.services.base_settings_revisions import Default, RevisionDiff
from ztp_server.services.edits import Edited, FieldChange
from ztp_server.services.sample_diffs import Sample
from ztp_server.services.views import base_settings_view


def edited_view(edited: Edited[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with what its edit did, or would do."""
    affected = edited.affected
    return {
        **record,
        "changes": changes_view(edited.changes),
        "affected": {
            "phones": affected.phones,
            "models": dict(affected.models),
            "sites": dict(affected.sites),
            "base_settings": dict(affected.base_settings),
        },
        "warnings": list(edited.warnings),
        "samples": [sample_view(sample) for sample in edited.samples],
    }


def changes_view(changes: Sequence[FieldChange]) -> list[dict[str, Any]]:
    return [{"name": change.name, "before": change.before, "after": change.after} for change in changes]


def sample_view(sample: Sample) -> dict[str, Any]:
    return {"phone": sample.phone, "model": sample.model, "files": dict(sample.files)}


def revision_view(revision: BaseSettingsRevision) -> dict[str, Any]:
    return {
        "revision": revision.number,
        "author": revision.author,
        "reason": revision.reason,
        "at": revision.at.isoformat(),
    }


def whole_revision_view(base: BaseSettings, made: BaseSettingsRevision, table: SettingsTable) -> dict[str, Any]:
    """What base settings were in a revision, and who made it."""
    return {**base_settings_view(base, table), **revision_view(made)}


def revision_diff_view(diff: RevisionDiff) -> dict[str, Any]:
    return {
        "from": diff.before,
        "to": diff.after,
        "changes": changes_view(diff.changes),
        "sample": sample_view(diff.sample) if diff.sample else None,
    }


def default_view(name: str, default: Default) -> dict[str, Any]:
    """A setting of a model, with the values underneath it, nearest first. `support`: `parameter` and `server` can be
    set, `absent` and `unproven` cannot, for the reason that `note` gives."""
    value, support = default.value, default.support
    return {
        "name": name,
        "value": value.value,
        "source": value.source,
        "underneath": [{"value": under.value, "source": under.source} for under in value.underneath],
        "support": support.state,
        "note": getattr(support, support.state),
    }
