"""What Linux lets a group of processes have of the memory: in containers and on clusters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Version 1 says "no limit" with about 2**63.
_NO_LIMIT = 1 << 60
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
# Files in memory that go as soon as somebody needs the memory.
_GIVEN_UP = r"^(?:total_)?inactive_file (\d+)$"


def kills_by_system(root: Path = _ROOT, own: Path = _OWN) -> int:
    """How many processes of this one's group Linux has ended because memory ran out.

    :returns: 0 also where that cannot be known.
    """
    names = ("memory.events", "memory.oom_control")
    counts = (_number(group, names, r"^oom_kill (\d+)$") for group in _groups(root, own))
    # Groups further up count others' processes too.
    return next((count for count in counts if count is not None), 0)


def memory_limit(root: Path = _ROOT, own: Path = _OWN) -> tuple[int, int] | None:
    """The bytes that this process's groups may have, and what of them is free; None without a
    limit."""
    found = []
    for group in _groups(root, own):
        limit = _number(group, _LIMITS)
        if limit is not None and limit < _NO_LIMIT:
            used = (_number(group, _USED) or 0) - (_number(group, ("memory.stat",), _GIVEN_UP) or 0)
            found.append((limit, max(0, limit - used)))
    if not found:
        return None
    return min(limit for limit, _free in found), min(free for _limit, free in found)


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """The folders of the memory groups that this process is in, its own first."""
    try:
        lines = own.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _id, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        group = top / name.lstrip("/")
        # A container may see its own group as the top.
        yield from (path for path in (group, *group.parents) if path.is_relative_to(top))


def _number(group: Path, names: tuple[str, ...], pattern: str = r"^(\d+)$") -> int | None:
    """The number in the first of the files that is there; None if none is, or holds none."""
    for name in names:
        try:
            found = re.search(pattern, (group / name).read_text("utf-8"), re.MULTILINE)
        except OSError:
            continue
        return int(found[1]) if found else None
    return None
