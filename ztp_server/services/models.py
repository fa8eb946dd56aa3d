"""Models of phones, as the catalogue knows them."""

from __future__ import annotations

from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.errors import NotFound
from ztp_server.services.templates import Templates
from ztp_server.services.views import model_view


class Models:
    """What makers' phones can do. It stands in the documentation too, so whoever comes in may read it."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def all(self, who: Actor) -> list[dict[str, Any]]:
        """Every model, by its id."""
        catalog = self._templates.catalog
        return [model_view(model, catalog) for _, model in sorted(catalog.models.items())]

    def get(self, who: Actor, model_id: str) -> dict[str, Any]:
        """Raises NotFound."""
        catalog = self._templates.catalog
        model = catalog.models.get(model_id)
        if model is None:
            raise NotFound(f"no model {model_id[:64]!r}")
        return model_view(model, catalog)
