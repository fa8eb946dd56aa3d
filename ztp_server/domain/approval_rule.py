"""Rules by which unknown phones become phones without anybody looking."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from ztp_server.domain.moment import shown_moment
from ztp_server.domain.site import Network, parse_networks
from ztp_server.errors import BadValue

# What a phone has to come with: an address in the networks alone, or its own factory certificate as well.
RuleProof = Literal["network", "certificate"]
RULE_PROOFS: tuple[str, ...] = get_args(RuleProof)
MOST_APPROVED = 100_000
MOST_NETWORKS = 64
# A wider network is no place where one's phones are: half of the Internet is 1 bit.
_WIDEST = {4: 8, 6: 7}


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """An unknown phone of the family of `base_settings` that asks from one of `networks` (none: those of the site)
    becomes a phone at `site`. `approved` of `most` have; it ends at `until`."""

    id: str
    site: str
    base_settings: str
    most: int
    networks: tuple[str, ...] = ()
    proof: str = "network"
    until: datetime | None = None
    approved: int = 0
    created_by: str = ""
    revision: int = 0

    def ended(self, now: datetime) -> str:
        """Why it approves nothing more; empty while it does."""
        if self.until and self.until <= now:
            return f"ended at {shown_moment(self.until)}"
        return f"has approved its {self.most}" if self.approved >= self.most else ""


def is_narrow(network: Network) -> bool:
    """Whether a network is small enough for its addresses to say anything of who is there."""
    return network.prefixlen >= _WIDEST[network.version]


def parse_rule_networks(texts: list[str]) -> tuple[str, ...]:
    """CIDRs in canonical form. Raises BadValue naming the one that is none, or too wide to mean one's own phones."""
    networks = parse_networks(texts)
    if len(networks) > MOST_NETWORKS:
        raise BadValue("networks", f"{len(networks)} networks, at most {MOST_NETWORKS}")
    for text in networks:
        network = ipaddress.ip_network(text)
        if not is_narrow(network):
            widest = _WIDEST[network.version]
            raise BadValue("networks", f"{text} is too wide: whoever reached us would be approved; at most /{widest}")
    return networks


def check_rule(rule: ApprovalRule, now: datetime, before: ApprovalRule | None = None) -> ApprovalRule:
    """The rule, or BadValue naming the field. A rule whose time is over may be changed in other things."""
    if rule.proof not in RULE_PROOFS:
        raise BadValue("proof", f"{rule.proof[:64]!r} is none of {', '.join(RULE_PROOFS)}")
    if not 1 <= rule.most <= MOST_APPROVED:
        raise BadValue("most", f"must be 1 to {MOST_APPROVED}: how many phones it may approve in all")
    is_new = before is None or before.until != rule.until
    if rule.until and is_new and rule.until <= now:
        raise BadValue("until", "is over already")
    return rule
