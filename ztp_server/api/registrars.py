"""/registrars: the SIP accounts of phones, as a registrar reads them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ztp_server.api.operation import Call, Raw, Routes
from ztp_server.api.phone_import import PhoneQuery

routes = Routes("Registrars", "SIP registrars, and the accounts of the phones as each of them reads them.")

# Of every kind, SQL and XML as well: it is to be kept, not shown.
_TEXT = "text/plain"


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
