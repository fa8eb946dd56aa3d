"""/registrars"""

from __future__ import annotations

from tests.api.conftest import Rest


async def test_accounts_are_exported_with_a_reason_by_who_may_reveal(rest: Rest) -> None:
    assert (await rest.get("/registrars")).json == {"items": ["asterisk", "freeswitch", "kamailio", "kamailio-aliases"]}
    assert (await rest.get("/registrars/kamailio/export")).fields == ["reason"]
    assert (await rest.get("/registrars/nothing/export", reason="why")).status == 404
    assert (await rest.get("/registrars/kamailio/export", token="viewer-token", reason="why")).status == 403
    assert (await rest.get("/registrars/kamailio/export", reason="why", passwords="none")).fields == ["passwords"]

    answer = await rest.get("/registrars/kamailio/export", reason="why", site="madrid")
    assert answer.status == 200 and answer.body.count(b"INSERT INTO subscriber") == 4
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''subscriber.sql"
    assert b"second" not in answer.body
