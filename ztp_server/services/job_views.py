"""Jobs, and previews of bulk work, as doors show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ztp_server.domain.job import ITEM_STATES, Job, JobItem
from ztp_server.services.bulk_preview import PhonePreview, Preview


def job_view(job: Job, order: Mapping[str, Any], *, undoable: bool) -> dict[str, Any]:
    """A job without secrets: `order` is what was asked for, as its kind shows it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "actor": job.who.name,
        "order": dict(order),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "summary": {state: job.summary[state] for state in ITEM_STATES if job.summary.get(state)},
        "reason": job.reason,
        "stopping": job.stop,
        "undoes": job.undoes or None,
        "undoable": undoable,
        "created_at": job.created_at,
        "not_before": job.not_before,
        "not_after": job.not_after,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def item_view(item: JobItem) -> dict[str, Any]:
    return {
        "position": item.position,
        "subject": item.subject,
        "label": item.label,
        "state": item.state,
        "detail": item.detail,
        "told": item.told and item.told.as_dict(),
    }


def preview_view(preview: Preview) -> dict[str, Any]:
    return {
        **{name: getattr(preview, name) for name in ("phones", "checked", "changed", "unchanged", "refused")},
        "refusals": [{"id": row.id, "label": row.label, "reason": row.reason} for row in preview.refusals],
        "items": [_phone(row) for row in preview.items],
        "next_cursor": preview.next_cursor or None,
    }


def _phone(row: PhonePreview) -> dict[str, Any]:
    return {
        "id": row.id,
        "label": row.label,
        "state": row.state,
        "reason": row.reason,
        "fields": {name: {"before": before, "after": after} for name, (before, after) in row.fields.items()},
        "settings": [asdict(change) for change in row.settings],
        "files": None if row.files is None else dict(row.files),
    }
