"""What the files of phones are made of, told by a short text: another one when anything changed that phones share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ztp_server.domain.attempt import MadeOf
from ztp_server.domain.firmware import Library
from ztp_server.services.address import ServerAddress
from ztp_server.services.own_files import Known
from ztp_server.services.templates import Snapshot, Templates


class Inputs:
    def __init__(self, templates: Templates, address: ServerAddress) -> None:
        self._templates = templates
        self._address = address
        self._snapshot: Snapshot | None = None
        self._of_vendor: dict[str, str] = {}
        self._seen_address: tuple[object, object] = (None, None)
        self._of_address = ""

    @property
    def stand(self) -> tuple[object, ...]:
        """The templates and the address as they are now: the same objects until there are others."""
        return self._templates.snapshot, self._address.server, self._address.trusted_makers

    def of_group(
        self, model: str, site: tuple[str, int], base_settings: tuple[str, int], library: Library | None
    ) -> str:
        """For the phones of a model at a site on base settings, each named with its revision. A model that left the
        catalogue has none."""
        found = self._templates.catalog.models.get(model)
        if found is None:
            return ""
        images = [library.default(model), *sorted(library.versions(model))] if library else []
        vendor = self._templates.catalog.vendor_of(found).id
        return _digest([self.of_templates(vendor), self._address_part(), model, *site, *base_settings, *images])

    def of_templates(self, vendor: str) -> str:
        """For the files of a maker's folder as they are in service, with the folders that its templates name."""
        snapshot = self._templates.snapshot
        if snapshot is not self._snapshot:
            self._snapshot, self._of_vendor = snapshot, {}
        if vendor not in self._of_vendor:
            self._of_vendor[vendor] = _digest([*_folders(snapshot, vendor), snapshot.catalog.settings.defaults()])
        return self._of_vendor[vendor]

    def made_of(self, known: Known, names: tuple[str, ...]) -> MadeOf:
        """What a file of a phone is made of now. `names` are the further files that it tells the phone to fetch."""
        group, phone, offer = known.group, known.phone, known.offer
        site, base = (group.site.id, group.site.revision), (group.base.id, group.base.revision)
        return MadeOf(
            phone=phone.id,
            phone_revision=phone.revision,
            site=site[0],
            site_revision=site[1],
            base_settings=base[0],
            base_settings_revision=base[1],
            templates=self.of_templates(group.vendor.id)[:12],
            firmware=offer.version if offer.update else "",
            firmware_wanted=offer.wanted,
            inputs=self.of_group(group.model.id, site, base, known.library),
            names=names,
            poll=_poll(known),
            problem=offer.reason if offer.missing else "",
        )

    def _address_part(self) -> str:
        server, makers = self._address.server, self._address.trusted_makers
        if self._seen_address[0] is not server or self._seen_address[1] is not makers:
            self._seen_address = (server, makers)
            logins = {kind: list(prefixes) for kind, prefixes in self._address.logins.items()}
            # Of a server on which nobody logs in, what it was before there were logins.
            self._of_address = _digest(
                [dict(server.urls), server.ca, server.ntp, sorted(makers), *([logins] if logins else [])]
            )
        return self._of_address


def _folders(snapshot: Snapshot, vendor: str) -> list[Any]:
    texts = snapshot.renderer.sources
    own = _within(texts, vendor)
    templates = "".join(text for name, text in own.items() if name.endswith(".j2"))
    named = [other for other in snapshot.catalog.vendors if other != vendor and f"{other}/" in templates]
    return [own, *(_within(texts, other) for other in named)]


def _within(texts: Mapping[str, str], folder: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name.startswith(f"{folder}/")}


def _poll(known: Known) -> int:
    """How often the phone is to ask again by its settings, in seconds; 0 when it is not, or nobody knows how to say it
    to its family."""
    values = known.effective.plain
    told = known.group.family.support("poll_enabled").state == "parameter"
    return values["poll_period"] if told and values["poll_enabled"] else 0


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
