"""How many files this process may have open: each connection is one."""

from __future__ import annotations

import resource

import structlog

# Where a boot storm of a large site fits in. Soft limits are 1024 on most systems, for programs that use select().
_WANTED = 65_536
_SMALL = 4096

log = structlog.get_logger()


def raise_file_limit() -> int:
    """Take what the system lets us have without asking anybody (setrlimit(2)). How many files that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < _SMALL:
        log.warning("phones.few_files", limit=soft, reason=f"set LimitNOFILE or ulimit -n to {_SMALL} or more")
    return _WANTED if soft == resource.RLIM_INFINITY else soft
