"""What every table of a vendor.toml has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class TomlRow(BaseModel):
    """A table of vendor.toml: unknown keys are an error, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
