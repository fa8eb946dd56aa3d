"""What a phone of a family can be told over the network: to look for its files again, and to restart.

The rows `[notify]` and `[[notify.restart]]` of a family.toml. What proves each stands beside it, as a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ztp_server.domain.firmware import is_older, is_within
from ztp_server.domain.toml_row import TomlRow

# An event package with its parameters (RFC 6665, section 8.2.1).
_EVENT = r"^[A-Za-z0-9!%*_+'~.-]+(;[A-Za-z0-9!%*_+'~.-]+=[A-Za-z0-9!%*_+'~.-]+)*$"
Event = Annotated[str, Field(pattern=_EVENT, max_length=128)]
_KINDS = {"event": ("event", "content_type", "body"), "rest": ("path", "content_type", "body", "user", "password")}


class RestartWay(TomlRow):
    """A way to restart a phone.

    event: a SIP event, with a body where one is given
    rest: the phone's own HTTP interface, asked with POST; `password` names the setting that holds it, `says` the
        fields of its answer (JSON) by which it agrees
    resync: the event of the re-sync, which restarts while what it `needs` is so

    `needs` is what must hold for a phone before the way is open to it: settings, and raw parameters as
    `custom.<parameter>`. `firmware` is the least that knows it: a phone whose firmware is not known has not. With
    `idle` the phone waits until its calls have ended. `does` and `cost` tell people what comes of it.
    """

    way: Literal["event", "rest", "resync"]
    event: Event | Literal[""] = ""
    content_type: str = Field(default="", pattern=r"^[A-Za-z0-9.+-]*(/[A-Za-z0-9.+-]+)?$", max_length=128)
    body: str = Field(default="", max_length=1024)
    path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=256)
    user: str = Field(default="", pattern=r"^[!-9;-~]*$", max_length=64)
    password: str = ""
    says: Mapping[str, str] = {}
    firmware: str = Field(default="", pattern=r"^([0-9]+(\.[0-9]+)*)?$", max_length=64)
    idle: bool = False
    needs: Mapping[str, Any] = {}
    does: str = ""
    cost: str = ""

    @model_validator(mode="after")
    def _goes_together(self) -> RestartWay:
        mine = _KINDS.get(self.way, ())
        for name in ("event", "content_type", "body", "path", "user", "password"):
            if getattr(self, name) and name not in mine:
                raise ValueError(f"way {self.way} has no {name}")
        if mine and not getattr(self, mine[0]):
            raise ValueError(f"way {self.way} needs {mine[0]}")
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password go together")
        if self.body and not self.content_type:
            raise ValueError("a body needs a content_type")
        if self.way == "resync" and not self.needs:
            raise ValueError("way resync needs what makes a re-sync restart the phone")
        return self

    @property
    def name(self) -> str:
        """What people call it, whose re-sync is this event."""
        return {"event": self.event, "rest": self.path, "resync": "the re-sync"}[self.way]

    def closed_because(self, values: Mapping[str, Any], firmware: str) -> str:
        """Why a phone cannot be restarted so, given its resolved settings and what it last said it runs; empty when it
        can. Names settings, and no value but those wanted."""
        for name, wanted in self.needs.items():
            if values.get(name) != wanted:
                return f"it needs {name}={spelled(wanted)}"
        if self.password and not values.get(self.password):
            return f"it needs {self.password}, which is not set here"
        if not self.firmware:
            return ""
        if not firmware:
            return f"it needs firmware {self.firmware}, and what the phone runs is not known"
        if is_older(firmware, self.firmware) and not is_within(firmware, self.firmware):
            return f"it needs firmware {self.firmware}, the phone runs {firmware}"
        return ""


class Notify(TomlRow):
    """`resync` is the SIP event at which a phone looks for its files again, `does` what it makes of it; with `idle` it
    waits until its calls have ended. The ways to `restart` are tried in this order (an event alone is one way);
    `no_restart` tells people what to do where there is none."""

    resync: Event
    does: str = ""
    idle: bool = False
    restart: tuple[RestartWay, ...] = ()
    no_restart: str = ""

    @field_validator("restart", mode="before")
    @classmethod
    def _one_event(cls, given: Any) -> Any:
        if isinstance(given, str):
            return [{"way": "event", "event": given}] if given else []
        return given


def spelled(value: Any) -> str:
    """A value as it is written on a command line."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
