"""Where the makers write a phone's MAC into its factory certificate."""

from __future__ import annotations

import re

from ztp_server.domain.catalog import Catalog
from ztp_server.pki.device import SubjectRule


def subject_rules(catalog: Catalog) -> dict[str, SubjectRule]:
    """The rule of every maker that has one, by vendor."""
    rules = {v.id: v.certificate for v in catalog.vendors.values() if v.certificate}
    return {vendor: SubjectRule(rule.attribute, re.compile(rule.pattern)) for vendor, rule in rules.items()}
