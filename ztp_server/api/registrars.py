"""/registrars: the SIP accounts of phones, as a registrar reads them."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field

from ztp_server.api.operation import Call, Raw, Routes, Upload
from ztp_server.api.phone_import import PhoneQuery
from ztp_server.errors import BadValue
from ztp_server.services.registrar_directory import NOT_FOUND

routes = Routes("Registrars", "SIP registrars, and the accounts of the phones as each of them reads them.")

# Of every kind, SQL and XML as well: it is to be kept, not shown.
_TEXT = "text/plain"
_XML = "application/xml"
# mod_xml_curl sends the variables of an event, a hundred at most.
_FORM = Upload(("application/x-www-form-urlencoded",), 1 << 16)
_MOST_FIELDS = 1000


class RegistrarNames(BaseModel):
    """The registrars there are templates for."""

    items: list[str]


class RegistrarQuery(PhoneQuery):
    """Which phones, and what is given of their passwords."""

    passwords: Literal["ha1", "plain"] = Field(
        "ha1", description="Hashes that fit one user and realm, or the passwords themselves."
    )
    reason: str = Field("", max_length=255, description="Why the secrets are given; it is written down.")


@routes.get("/registrars", answer=RegistrarNames)
async def list_registrars(call: Call) -> Any:
    """The registrars there are templates for."""
    return {"items": await call.services.registrar_export.names(call.who)}


@routes.get("/registrars/{id}/export", answer=_TEXT, permission=("phones:view", "phones:reveal"))
async def export_accounts(call: Call, id: str, query: RegistrarQuery) -> Any:
    """Export the SIP accounts of all lines for a registrar, by its templates.

    Managed, unmanaged and webrtc phones have accounts, remote ones are forwarding targets; removed and blocked phones
    are not there. It takes the permission phones:reveal at the site of each of these phones, and a reason."""
    filters = {name: values for name, values in query.model_dump(exclude={"passwords", "reason"}).items() if values}
    found = await call.services.registrar_export.export(
        call.who, id, filters, passwords=query.passwords, reason=query.reason
    )
    return Raw(found.pieces, f"{_TEXT}; charset=utf-8", file_name=found.registrar.file_name)


@routes.post(
    "/registrars/freeswitch/directory",
    answer=_XML,
    permission=("phones:view", "phones:reveal"),
    upload=_FORM,
    repeatable=True,
    machine=True,
)
async def find_directory_user(call: Call) -> Any:
    """The directory of FreeSWITCH for one user, as its mod_xml_curl asks for it.

    A form with `section=directory`, `user` and `domain`; what else is in it is left alone. The answer holds the one
    account, its password as a hash (`a1-hash`), or says `not found`. The token may stand as the password of Basic,
    which is `gateway-credentials` there. The first answer of a day to a token is a record of the audit, and so is how
    many there were."""
    assert call.upload
    found = await call.services.registrar_directory.find(call.who, _form(call.upload.read()))
    return Raw(found or NOT_FOUND, f"{_XML}; charset=utf-8")


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; of two of one name the first. Raises BadValue."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadValue("body", f"must be a form in UTF-8 with at most {_MOST_FIELDS} fields") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
