"""What the makers of the catalogue say of their phones' factory certificates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ztp_server.domain.catalog import Catalog
from ztp_server.pki.device import DeviceAuthority, DeviceCertificates, SubjectRule


def device_certificates(
    authorities: Sequence[DeviceAuthority], catalog: Catalog, *, weak: bool = False, expired: bool = False
) -> DeviceCertificates:
    """Whose certificate one is, by these CAs and by where each maker writes the MAC."""
    rules = subject_rules(catalog)
    return DeviceCertificates(authorities, rules, catalog.vendor_of_oui, weak=weak, expired=expired)


def subject_rules(catalog: Catalog) -> dict[str, SubjectRule]:
    """The rule of every maker that has one, by vendor."""
    rules = {v.id: v.certificate for v in catalog.vendors.values() if v.certificate}
    return {
        vendor: SubjectRule(rule.attribute, re.compile(rule.pattern), tuple(map(re.compile, rule.generic)))
        for vendor, rule in rules.items()
    }
