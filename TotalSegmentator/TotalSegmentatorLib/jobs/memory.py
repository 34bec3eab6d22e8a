"""The main memory of this computer, asked of the operating system."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

from .cgroups import memory_limit

_MEMINFO = Path("/proc/meminfo")


def memory() -> tuple[int, int]:
    """Main memory in bytes, of this computer or of the container or cluster job that this is: all
    of it, and what can be used without swapping."""
    if sys.platform == "win32":
        return _windows_memory()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if sys.platform == "darwin":
        answer = subprocess.run(["vm_stat"], capture_output=True, text=True, check=False)
        return total, min(total, free_in_vm_stat(answer.stdout))
    limit, free = memory_limit() or (total, total)
    return min(total, limit), min(total, free, free_in_meminfo(_MEMINFO.read_text("ascii")))


def free_in_meminfo(text: str) -> int:
    """Bytes that Linux's ``/proc/meminfo`` gives as available."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def free_in_vm_stat(text: str) -> int:
    """Bytes that macOS's ``vm_stat`` gives as free, or as used by nobody at present."""
    size = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative):\s*(\d+)", text, re.MULTILINE)
    return int(size[1]) * sum(map(int, pages)) if size else 0


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "total",
                "free",
                "total_page_file",
                "free_page_file",
                "total_virtual",
                "free_virtual",
                "free_extended_virtual",
            )
        ),
    )


def _windows_memory() -> tuple[int, int]:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return status.total, status.free
