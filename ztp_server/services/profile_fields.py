"""The logged-out profile of a site as it is written: as a field of its own (`logged_out`, merged as RFC 7396 has it),
or part by part among the settings of a site (`logged_out.digit_map`, `logged_out.line`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.logged_out import NO_PROFILE, LoggedOut, refuse_in_profile
from ztp_server.domain.phone import Line, LineChange
from ztp_server.errors import BadValue
from ztp_server.services.checks import changed_settings

FIELD = "logged_out"
PREFIX = f"{FIELD}."
_LINE = "line"


def is_of_profile(name: str) -> bool:
    return name == FIELD or name.startswith(PREFIX)


def changed_profile(catalog: Catalog, before: LoggedOut, changes: Mapping[str, Any], *, unset_any: bool) -> LoggedOut:
    """The profile after a change of its site. None takes away: a setting, the line, or all of it. Raises BadValue
    naming the field."""
    parts = {name.removeprefix(PREFIX): value for name, value in changes.items() if name.startswith(PREFIX)}
    whole = changes.get(FIELD, {})
    if whole is None:
        before, whole = NO_PROFILE, {}
    lines = [given[_LINE] for given in (whole, parts) if _LINE in given]
    parts.pop(_LINE, None)
    try:
        line = before.line
        for given in lines:
            line = None if given is None else _line(given, line)
        settings = dict(before.settings)
        for given, is_merged in ((whole.get("settings") or {}, True), (parts, unset_any)):
            refuse_in_profile(given, catalog.settings)
            settings = changed_settings(catalog, settings, given, unset_any=is_merged)
    except BadValue as error:
        raise error.within(FIELD) from None
    return LoggedOut(settings, line)


def _line(given: Any, before: Line | None) -> Line:
    """A line without a password keeps that of the one before, if that is of the same user."""
    change = given if isinstance(given, LineChange | Line) else LineChange(**given)
    if isinstance(change, Line):
        return change.checked(_LINE)
    return change.onto(before if before and before.user == change.user else None).checked(_LINE)
