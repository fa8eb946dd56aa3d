"""Parameters behind the question mark, as a model."""

from __future__ import annotations

from typing import Any, get_origin

from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from ztp_server.api.bodies import is_storable
from ztp_server.api.problems import Unanswered, field_problems


def parse_query(given: MultiMapping[str], model: type[BaseModel]) -> BaseModel:
    """Raises Unanswered 422 naming every parameter that is unknown, wrong, or twice where one is meant."""
    lists = {field.alias or name for name, field in model.model_fields.items() if is_list(field.annotation)}
    found: dict[str, Any] = {}
    errors = []
    for name in dict.fromkeys(given):
        values = given.getall(name)
        if not all(map(is_storable, values)):
            errors.append((name[:64], "holds a character that no database takes"))
        elif len(values) > 1 and name not in lists:
            errors.append((name[:64], "stands there twice"))
        found[name] = values if name in lists else values[0]
    if errors:
        raise Unanswered(422, "; ".join(f"{name}: {reason}" for name, reason in errors[:3]), errors)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise field_problems(error) from None


def is_list(annotation: Any) -> bool:
    """Whether a parameter may be repeated."""
    return get_origin(annotation) is list
