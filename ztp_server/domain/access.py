"""Who may do what: permissions, the roles built of them, and the one who asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ztp_server.errors import BadValue, Forbidden

# What each permission allows.
PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        "phones:view": "see phones, their settings, status, files without secrets, and why a phone is not served",
        "phones:add": "add and import phones, bring removed ones back",
        "phones:edit": "change phones, one or many, and move them to other base settings",
        "phones:delete": "remove phones",
        "phones:reveal": "see passwords of phones: in files, exports and connection data",
        "phones:approve": "let phones in: approve those that knocked, open windows, make tokens and Digest passwords; "
        "widen by what phones are believed (networks, proofs, another MAC, a site that believes more); give a phone "
        "the lines of a user",
        "phones:restart": "restart and re-sync phones, log their users out",
        "base_settings:view": "see base settings and their revisions",
        "base_settings:add": "make and clone base settings",
        "base_settings:edit": "change base settings, and return to an earlier revision",
        "base_settings:delete": "remove base settings",
        "sites:view": "see sites",
        "sites:add": "make sites",
        "sites:edit": "change sites",
        "sites:delete": "remove sites",
        "platforms:view": "see SIP platforms, without their passwords, and whether they answer",
        "platforms:edit": "make, change, remove and check SIP platforms",
        "users:view": "see users",
        "users:add": "add users",
        "users:edit": "change users",
        "users:delete": "remove users",
        "firmware:view": "see firmware images",
        "firmware:add": "add firmware images",
        "firmware:delete": "remove firmware images",
        "jobs:view": "see jobs of others (one's own are always seen)",
        "jobs:stop": "stop jobs of others",
        "accounts:view": "see accounts, roles and tokens",
        "accounts:edit": "change accounts, roles and tokens; never give more, or to more sites, than one has oneself",
        "trust:view": "see makers' CAs, denied certificates and rules that approve phones",
        "trust:edit": "change makers' CAs, denied certificates and rules that approve phones",
        "audit:view": "see and verify the audit, see events",
        "server:maintain": "rotate the keys of secrets, make backups, examine the server",
    }
)
_PER_SITE = ("phones:", "sites:")
# What belongs to every site, and whoever works at one has to see.
SHARED_VIEWS = frozenset({"base_settings:view", "users:view", "firmware:view"})

ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "admin": frozenset(PERMISSIONS),
        "editor": frozenset(PERMISSIONS)
        - {"phones:reveal", "phones:approve", "accounts:view", "accounts:edit", "audit:view", "firmware:delete"}
        - {"trust:edit", "server:maintain"},
        "installer": frozenset(name for name in PERMISSIONS if name.endswith(":view")) - {"accounts:view", "audit:view"}
        | {"phones:add", "phones:approve", "phones:restart"},
        "operator": frozenset(name for name in PERMISSIONS if name.endswith(":view")) - {"accounts:view", "audit:view"}
        | {"phones:restart"},
        "viewer": frozenset(name for name in PERMISSIONS if name.endswith(":view")) - {"accounts:view", "audit:view"},
    }
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions that somebody has: at one site, or (empty) everywhere."""

    permissions: frozenset[str]
    site: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking: the first argument of every service call. `name` says how they came in as well (`account:ana`,
    `token:ci`, `local:root`); `address` is where from, empty on this machine; `token` the id of the token they showed,
    if any. Without grants nothing is allowed."""

    name: str
    grants: tuple[Grant, ...] = ()
    address: str = ""
    token: str = ""

    @classmethod
    def trusted(cls, name: str) -> Actor:
        """One who may do everything: whoever can run the command line here can read the database and its key."""
        return cls(name, (Grant(frozenset(PERMISSIONS)),))

    def may(self, permission: str, site: str = "") -> bool:
        """Whether the permission is held at a site, or (empty) everywhere."""
        return any(permission in grant.permissions and grant.site in ("", site) for grant in self.grants)

    def require(self, permission: str, site: str = "") -> None:
        """Raises Forbidden naming the permission."""
        if not self.may(permission, site):
            raise Forbidden(permission, site)

    def sites(self, permission: str) -> frozenset[str] | None:
        """The sites at which a permission is held, None for all. Raises Forbidden when at none."""
        if self.may(permission):
            return None
        found = frozenset(grant.site for grant in self.grants if permission in grant.permissions)
        if not found:
            raise Forbidden(permission)
        return found

    def covers(self, grants: Iterable[Grant]) -> bool:
        """Whether everything in some grants is held: nobody gives away what they have not."""
        return all(self.may(permission, grant.site) for grant in grants for permission in grant.permissions)


def parse_permissions(texts: Sequence[str]) -> tuple[str, ...]:
    """Permissions as a role is written: `phones:*` and `*` stand for all of a kind, and stay written so. Sorted, each
    once. Raises BadValue naming the unknown one."""
    for text in texts:
        if not _matching(text):
            raise BadValue("permissions", f"{text[:64]!r} is no permission; there are: {', '.join(PERMISSIONS)}")
    return tuple(sorted(set(texts)))


def expand(texts: Iterable[str]) -> frozenset[str]:
    """The permissions that a role's texts stand for. What a later version of the program knew is left out."""
    return frozenset(name for text in texts for name in _matching(text))


def _matching(text: str) -> list[str]:
    kind, star, rest = text.rpartition("*")
    if not star:
        return [name for name in PERMISSIONS if name == text]
    whole_kind = not rest and (not kind or kind.endswith(":"))
    return [name for name in PERMISSIONS if name.startswith(kind)] if whole_kind else []


def granted(permissions: frozenset[str], site: str = "") -> tuple[Grant, ...]:
    """What a role gives everywhere (no site) or at one site: there, what can be limited to sites; and everywhere the
    sight of what all sites share, or nobody could work with it."""
    if not site:
        return (Grant(permissions),)
    here = frozenset(name for name in permissions if is_per_site(name))
    return Grant(here, site), Grant(permissions & SHARED_VIEWS)


def is_per_site(permission: str) -> bool:
    """Whether a permission can be limited to a site. Base settings, users and accounts belong to all of them, and a
    new site is none yet."""
    return permission.startswith(_PER_SITE) and permission != "sites:add"
