"""What a phone keeps in flash: parameters that outlive its files, and reboot it when one of them changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ztp_server.domain.vendor import FlashRule
from ztp_server.simulator.failure import shown

_SECRET_NAME = re.compile(r"pass|pwd|secret|token|credential|auth|key|pin\b", re.IGNORECASE)
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Change:
    """A parameter in flash that a boot gave another value. `before` is empty where the flash held none."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} changed ({self.values})"

    @property
    def values(self) -> str:
        return f"{self.shown(self.before)} → {self.shown(self.after)}"

    def shown(self, value: str) -> str:
        """A value as it may be printed: in one short line, and not at all when the name speaks of a secret."""
        if _SECRET_NAME.search(self.name):
            return "hidden"
        text = "".join(character if character.isprintable() else " " for character in shown(value))
        return f"{text[:_SHOWN_CHARACTERS]}…" if len(text) > _SHOWN_CHARACTERS else text or "nothing"


class Flash:
    """The flash of one phone, over its boots. `held` are values by name."""

    def __init__(self, held: Mapping[str, str] | None = None) -> None:
        """`held` is empty for a phone out of its box. None: nobody knows what this phone holds, so the value that it
        is first given of a name counts as the one it has."""
        self._known = held is not None
        self.held = dict(held or {})

    def write(self, values: Mapping[str, str]) -> list[Change]:
        """Keep values. Returns what changed by it: nothing means that the phone has no reason to reboot."""
        before = {name: self.held.get(name, "" if self._known else value) for name, value in values.items()}
        self.held.update(values)
        return [Change(name, before[name], value) for name, value in values.items() if before[name] != value]


def split_flash(rule: FlashRule | None, parameters: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters as (those that go to flash, the others). What would go there and is not switched on is in neither."""
    if rule is None:
        return {}, dict(parameters)
    switches = {rule.switch, *(rule.needs.replace("{name}", name) for name in parameters if rule.needs)}
    kept = {name for name in parameters if rule.regex.fullmatch(name) and name not in switches}
    flash = {name: value for name, value in parameters.items() if name in kept and _is_on(rule, name, parameters)}
    return flash, {name: value for name, value in parameters.items() if name not in kept}


def _is_on(rule: FlashRule, name: str, parameters: Mapping[str, str]) -> bool:
    needed = filter(None, (rule.switch, rule.needs.replace("{name}", name)))
    return all(parameters.get(switch) == "1" for switch in needed)
