"""Which jobs may be begun, or gone on with."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from ztp_server.store.schema_access import jobs

WAITING = ("queued", "running")
_LONGEST_LEASE = timedelta(minutes=1)


def may_begin(now: datetime) -> sa.ColumnElement[bool]:
    """Whether the time of a job has come. One that is running had its time, whatever the clock says since."""
    return sa.or_(jobs.c.state == "running", jobs.c.not_before.is_(None), jobs.c.not_before <= now)


def is_over(now: datetime) -> sa.ColumnElement[bool]:
    """Whether nobody has the right to run a job any more. One that lasts longer than any is given was given before the
    clock was set back."""
    return sa.or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < now, jobs.c.lease_until > now + _LONGEST_LEASE)
