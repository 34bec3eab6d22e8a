"""Looking for engine processes that a test has left behind."""

from __future__ import annotations

import time
from pathlib import Path


def engine_processes(runs: Path) -> list[int]:
    """Process ids of all processes that work in a private folder below ``runs`` (Linux).

    During a run the engine's process and all that it starts have such a folder as working folder.
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


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, timeout_s: float = 2.0) -> bool:
    """Whether a process that is ended is gone; the system may take a moment for it."""
    end = time.monotonic() + timeout_s
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)
