"""What bodies, queries and answers are built of."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A JSON body. What it does not name is refused, and nothing is taken for something else: "1" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """Parameters behind the question mark. What it does not name is refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Answer(BaseModel):
    """A JSON answer, for the documentation: what services give is sent as it is, and tests hold both together."""

    model_config = ConfigDict(extra="forbid")


Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """A part of a list, and where the next one begins; null after the last."""

    items: list[Item]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{params[0].__name__}Page"


class PageQuery(Query):
    """A part of a list."""

    limit: int = Field(100, ge=1, le=1000, description="How many at most.")
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the part before.")


def _flag(value: str) -> str:
    return {"1": "true", "0": "false"}.get(value, value)


# `?dry_run=true`, or `=1`; it arrives as "true" or "false".
Flag = Annotated[Literal["true", "false", "1", "0"], AfterValidator(_flag)]


class FieldProblem(Answer):
    """What is wrong with one field: its dotted name, counted from 1 (`lines.1.user`)."""

    field: str
    reason: str


class PhoneInTheWay(Answer):
    """A phone that still uses what was to go."""

    id: str
    hardware_id: str
    name: str


class Problem(Answer):
    """Why a request was not done (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field([], description="With 422: every field that is wrong.")
    count: int = Field(0, description="With 409, where phones are in the way: how many.")
    phones: list[PhoneInTheWay] = Field([], description="The first of them that this token may see.")
