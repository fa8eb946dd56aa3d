"""Which files of its own a phone has to have before it is provisioned: those its maker's boot asks for and does not do
without, and those that these name."""

from __future__ import annotations

from collections.abc import Mapping

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.vendor import Family
from ztp_server.errors import BadValue
from ztp_server.services.own_files import Known
from ztp_server.xml_parameters import read_attributes


def asked_first(catalog: Catalog, model_id: str) -> tuple[str, ...]:
    """The patterns of a model's own files that its boot names itself."""
    model = catalog.models.get(model_id)
    if model is None:
        return ()
    vendor = catalog.vendor_of(model)
    steps = vendor.family[model.family].boot
    asked = {step.path.lower() for step in steps if step.method == "GET" and step.path and not step.optional}
    return tuple(
        rule.pattern
        for rule in vendor.file
        if rule.serve == "phone" and rule.pattern.lower() in asked and model.family in (rule.families or [model.family])
    )


def names_in(known: Known, rule: FileRule, body: bytes) -> tuple[str, ...]:
    """The further files of its own that a file tells a phone to fetch, by its maker's boot."""
    lists = _lists(known.group.family)
    if not lists or not _is_read_first(known.group.family, rule):
        return ()
    parameters = _parameters(rule, body)
    named = [name.strip().lower() for listed in lists for name in parameters.get(listed, "").split(",")]
    mac = known.phone.hardware_id
    own = [other.pattern.replace("{mac}", mac) for other in known.group.vendor.file if other.serve == "phone"]
    return tuple(name for name in own if name.lower() in named)


def _lists(family: Family) -> list[str]:
    return [step.listed_in for step in family.boot if step.listed_in and not step.optional]


def _is_read_first(family: Family, rule: FileRule) -> bool:
    return any(step.reads and step.path.lower() == rule.pattern.lower() for step in family.boot)


def _parameters(rule: FileRule, body: bytes) -> Mapping[str, str]:
    if rule.format == "xml":
        try:
            return read_attributes(body)
        except BadValue:
            return {}  # More parameters than any file that names others.
    pairs = (line.partition("=") for line in body.decode().split("\n"))
    return {name: value for name, _, value in pairs}
