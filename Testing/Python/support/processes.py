"""Looking for engine processes that a test has left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def engine_processes(runs: Path) -> list[int]:
    """Process ids of all processes that work in a private folder below ``runs`` (Linux).

    During a run the engine's process and all that it starts have such a folder as working folder.
    """
    return _processes(lambda process: _works_in(process, runs))


def wait_until_gone(runs: Path, timeout_s: float = 10.0) -> list[int]:
    """The processes that are still there after a while; empty is right.

    Of those that work below ``runs``, and of those that were started with it as their temporary
    folder: an engine comes to a private folder with its first run, and to ``runs`` itself when it
    removes that folder because its application was killed.
    """

    def belongs(process: Path) -> bool:
        return _works_in(process, runs) or f"TMPDIR={runs}" in _variables(process)

    end = time.monotonic() + timeout_s
    while (left := _processes(belongs)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _processes(wanted: Callable[[Path], bool]) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted(process):
                found.append(int(process.name))
        except OSError:
            continue  # ended, or not ours to look at
    return found


def _works_in(process: Path, folder: Path) -> bool:
    return Path(process / "cwd").readlink().is_relative_to(folder)


def _variables(process: Path) -> list[str]:
    return os.fsdecode((process / "environ").read_bytes()).split("\0")


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
