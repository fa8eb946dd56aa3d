"""The files in which phones send what their users changed."""

from __future__ import annotations

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.file_rules import UploadRule
from ztp_server.domain.overrides import OverridesRule
from ztp_server.domain.phone import Phone


def override_rules(catalog: Catalog, phone: Phone) -> list[tuple[UploadRule, OverridesRule]]:
    """Those of one phone, each with what is kept of it."""
    model = catalog.models.get(phone.model)
    if model is None:
        return []
    vendor = catalog.vendor_of(model)
    return [
        (rule, vendor.overrides)
        for rule in vendor.upload
        if rule.kind == "overrides" and vendor.overrides and (not rule.families or model.family in rule.families)
    ]
