"""Looking for engine processes that a test has left behind."""

from __future__ import annotations

import time
from pathlib import Path


def engine_processes(runs: Path) -> list[int]:
    """Process ids of all processes that work in a private folder below ``runs`` (Linux).

    An engine process and all that it starts have such a folder as working folder.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(process / "cwd").readlink().is_relative_to(runs):
                found.append(int(process.name))
        except OSError:
            continue  # ended, or not ours to look at
    return found


def wait_until_gone(runs: Path, timeout_s: float = 10.0) -> list[int]:
    """The engine processes that are still there after a while; empty is right."""
    end = time.monotonic() + timeout_s
    while engine_processes(runs) and time.monotonic() < end:
        time.sleep(0.05)
    return engine_processes(runs)
