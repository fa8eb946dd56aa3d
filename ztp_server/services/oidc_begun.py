"""Log-ins under way at a provider, kept by the browsers themselves: signed, for ten minutes, each good once."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections import OrderedDict
from dataclasses import astuple

from ztp_server.errors import LoginRefused
from ztp_server.services.oidc import Begun

SECONDS = 600
_MOST_USED = 10_000
_REFUSAL = "this log-in was not begun here, is used up, or took too long; begin again"


class BegunLogins:
    """Writes log-ins down as texts for a browser, and takes them back. The key is this process's own: what another one,
    or this one before a restart, wrote is begun again."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[str, None] = OrderedDict()

    def written(self, begun: Begun, now: float) -> str:
        """A log-in begun at `now`, in seconds of any clock that does not go back."""
        text = base64.urlsafe_b64encode(json.dumps([now, *astuple(begun)]).encode()).decode()
        return f"{text}.{self._signature(text)}"

    def take(self, text: str, state: str, now: float) -> Begun:
        """The log-in that a browser kept, which has to be the one that the provider speaks of. Raises LoginRefused."""
        content, _, signature = text.partition(".")
        if not _same(signature, self._signature(content)):
            raise LoginRefused(_REFUSAL)
        at, *rest = json.loads(base64.urlsafe_b64decode(content))
        begun = Begun(*rest)
        if now - at > SECONDS or begun.state in self._used or not _same(begun.state, state):
            raise LoginRefused(_REFUSAL)
        self._used[begun.state] = None
        if len(self._used) > _MOST_USED:
            self._used.popitem(last=False)
        return begun

    def _signature(self, text: str) -> str:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
