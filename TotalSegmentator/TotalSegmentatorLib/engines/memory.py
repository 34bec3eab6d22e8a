"""The memory of an engine process that no value uses any more."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

# More than what a run at 3 mm takes is not worth keeping.
_MUCH_MEMORY = 3 << 30


def give_back_memory() -> None:
    """Return memory that no value uses to the system: the C library is told to hold on to it."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def has_much_memory() -> bool:
    """Whether this process holds so much that others may be short of it; known on Linux only."""
    if sys.platform != "linux":
        return False
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") > _MUCH_MEMORY
