"""Which phones have a line of some name, found by index."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.schema import lines, phones, user_lines


class LineOwnerStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def phones(self, user: str, whole: str, most: int) -> list[str]:
        """Ids of at most so many phones that have a line, of their own or of the user who is on them, with this user
        or authentication user, or with this whole address as its user."""
        names = {"user": user, "whole": whole, "most": most}
        return list((await self._connection.execute(_PHONES, names)).scalars())


def _fits(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    user: sa.BindParameter[str] = sa.bindparam("user", type_=sa.String)
    whole: sa.BindParameter[str] = sa.bindparam("whole", type_=sa.String)
    return [table.c.user.in_((user, whole)), table.c.auth_user == user]


# Each condition by its own index: all in one would walk the tables.
_OWN = [sa.select(lines.c.phone_id.label("id")).where(fits) for fits in _fits(lines)]
_OF_USERS = [
    sa.select(phones.c.id).join_from(user_lines, phones, phones.c.user_id == user_lines.c.user_id).where(fits)
    for fits in _fits(user_lines)
]
_FOUND = sa.union(*_OWN, *_OF_USERS).subquery()
_PHONES = sa.select(_FOUND.c.id).order_by(_FOUND.c.id).limit(sa.bindparam("most", type_=sa.Integer))
