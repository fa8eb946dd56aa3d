"""/approval-rules: which unknown phones become phones by themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.accounts import refuse_null
from ztp_server.api.edits import Reason, RemovalQuery, Slug
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.domain.approval_rule import MOST_APPROVED, MOST_NETWORKS
from ztp_server.domain.moment import parse_moment
from ztp_server.services.unknown_phone_views import approval_rule_view

routes = Routes(
    "approval rules",
    "Unknown phones of a family that ask from these networks become phones at a site by themselves, so many at most.",
)

_PATH = "/approval-rules/{id}"
_Networks = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(max_length=MOST_NETWORKS, description="CIDRs from which they ask; empty: those of the site."),
]
_Most = Annotated[int, Field(ge=1, le=MOST_APPROVED, description="How many it may approve in all.")]
_Proof = Annotated[
    Literal["network", "certificate"],
    Field(description="`certificate`: only phones that show their factory certificate as well."),
]
_Until = Annotated[str, Field(max_length=64, description="When it ends; null: it does not.")]
_Id = Annotated[str, Field(max_length=64)]


class ApprovalRuleRecord(Answer):
    """A rule. `approved` of `most` have become phones."""

    id: str
    site: str
    base_settings: str
    networks: list[str]
    proof: Literal["network", "certificate"]
    most: int
    approved: int
    until: str | None
    created_by: str
    revision: int


class NewApprovalRule(Body):
    """A new rule; the family is that of the base settings."""

    id: Slug
    site: _Id
    base_settings: _Id
    most: _Most
    networks: _Networks = Field(default_factory=list)
    proof: _Proof = "network"
    until: _Until | None = None
    reason: Reason = ""


class ApprovalRulePatch(Body):
    """What is to change; null takes the end away."""

    site: _Id = ""
    base_settings: _Id = ""
    most: _Most = 1
    networks: _Networks = Field(default_factory=list)
    proof: _Proof = "network"
    until: _Until | None = None
    reason: Reason = ""


@routes.get("/approval-rules", answer=Page[ApprovalRuleRecord], permission="trust:view")
async def list_approval_rules(call: Call, query: PageQuery) -> Any:
    """List approval rules, by id."""
    place = read_cursor(query.cursor, str)
    found, more = await call.services.approval_rules.page(call.who, place[0] if place else "", query.limit)
    return page(map(approval_rule_view, found), make_cursor(found[-1].id) if more else None)


@routes.post("/approval-rules", answer=ApprovalRuleRecord, status=201, permission="trust:edit")
async def add_approval_rule(call: Call, body: NewApprovalRule) -> Any:
    """Make an approval rule.

    That takes phones:approve and phones:add at its site as well: a rule does what whoever makes it may do."""
    rule = await call.services.approval_rules.add(call.who, body.id, _changes(call, body), reason=body.reason)
    return Reply(approval_rule_view(rule), location=f"/approval-rules/{rule.id}")


@routes.get(_PATH, answer=ApprovalRuleRecord, permission="trust:view")
async def get_approval_rule(call: Call, id: str) -> Any:
    """Show an approval rule."""
    return approval_rule_view(await call.services.approval_rules.get(call.who, id))


@routes.patch(_PATH, answer=ApprovalRuleRecord, permission="trust:edit", revised=True)
async def edit_approval_rule(call: Call, id: str, body: ApprovalRulePatch) -> Any:
    """Change an approval rule.

    How many it has approved stays."""
    for name in ("site", "base_settings", "most", "networks", "proof"):
        refuse_null(call, name)
    rule = await call.services.approval_rules.edit(
        call.who, id, _changes(call, body), reason=body.reason, revision=call.revision
    )
    return approval_rule_view(rule)


@routes.delete(_PATH, permission="trust:edit", revised=True)
async def remove_approval_rule(call: Call, id: str, query: RemovalQuery) -> None:
    """Remove an approval rule.

    The phones that it approved stay."""
    await call.services.approval_rules.remove(call.who, id, reason=query.reason, revision=call.revision)


def _changes(call: Call, body: NewApprovalRule | ApprovalRulePatch) -> dict[str, Any]:
    """What was written of a body."""
    changes = {name: getattr(body, name) for name in call.given if name not in ("id", "reason")}
    if changes.get("until") is not None:
        changes["until"] = parse_moment("until", changes["until"])
    return changes
