"""What a process and all that it starts use: time, CPU seconds, memory. Reads Linux's /proc."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SAMPLE_S = 0.02
_SIZE = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What was used in some time.

    :param wall_s: seconds that passed.
    :param cpu_s: seconds of all cores together, of all processes.
    :param peak_rss_mb: the most memory, in millions of bytes, that all processes had at one time.
        A page that forked processes still share counts once; files in memory, such as libraries,
        and shared memory count as those of the process that has most of them.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mb: float


class Watched:
    """A process, measured together with all its descendants; on leaving the context it has ended.

    One at a time: the seconds of processes that have ended are told for all of them together.

    :param command: how it is started.
    :param variables: its environment.
    :param log: receives what it writes to standard error.
    :param folder: that it works in; this process's by default.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        variables: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
    ) -> None:
        self._log = log
        self._began, self._cpu = time.perf_counter(), _seconds_of_the_dead()
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=dict(variables),
                cwd=folder,
                text=True,
            )
        self._tree = _Tree(self._process.pid)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._tree.stop()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a line of JSON and wait for the line that answers it.

        :raises RuntimeError: if the process ends instead.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended without an answer; see {self._log}")
        return json.loads(line)

    def end(self) -> None:
        """Close its standard input and wait for its end.

        :raises RuntimeError: if it failed.
        """
        self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the process failed; see {self._log}")

    def lap(self) -> Usage:
        """What was used since the start or the last lap."""
        began, cpu = self._began, self._cpu
        self._began = time.perf_counter()
        self._cpu = _seconds_of_the_dead() + self._tree.cpu_seconds()
        return Usage(self._began - began, self._cpu - cpu, self._tree.take_peak_mb())


def _seconds_of_the_dead() -> float:
    """CPU seconds of all children of this process that have ended, with all of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Tree:
    """Follows a process and its descendants in a thread."""

    def __init__(self, root: int) -> None:
        self._members = {root}
        self._others: set[int] = set()
        self._peak_kb = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def take_peak_mb(self) -> float:
        """The highest memory since the last call."""
        with self._lock:
            peak, self._peak_kb = self._peak_kb, 0
        return peak * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """Of all that live, with the children that they have waited for."""
        with self._lock:
            ticks = [map(int, _stat(pid)[11:15]) for pid in self._find()]
        return sum(map(sum, ticks)) / _TICKS_PER_S

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            with self._lock:
                self._peak_kb = max(self._peak_kb, self._memory_kb())

    def _memory_kb(self) -> int:
        """Memory now; what is told of less than the peak may be too much."""
        members = self._find()
        own, files, shared = zip((0, 0, 0), *map(_memory_kb, members), strict=True)
        rest = max(files) + max(shared)
        # Which pages are shared takes long to find out, so it is asked only if it matters.
        if len(members) == 1 or sum(own) + rest <= self._peak_kb:
            return sum(own) + rest
        return sum(map(_proportional_kb, members)) + rest

    def _find(self) -> list[int]:
        """All members that live; a process is looked at once only."""
        alive = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._members &= alive
        self._others &= alive
        for pid in sorted(alive - self._members - self._others):
            fields = _stat(pid)
            known = self._members if fields and int(fields[1]) in self._members else self._others
            known.add(pid)
        return sorted(self._members)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; zeros for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50


def _memory_kb(pid: int) -> tuple[int, ...]:
    """A process's own memory, that of files, and shared memory."""
    sizes = _sizes_kb(f"/proc/{pid}/status")
    return tuple(sizes.get(f"Rss{kind}", 0) for kind in ("Anon", "File", "Shmem"))


def _proportional_kb(pid: int) -> int:
    """A process's own memory, with its share of the pages that forked processes still share."""
    return _sizes_kb(f"/proc/{pid}/smaps_rollup").get("Pss_Anon", 0)


def _sizes_kb(path: str) -> dict[str, int]:
    """The sizes in a file of /proc; empty for a process that has gone."""
    try:
        return {name: int(size) for name, size in _SIZE.findall(Path(path).read_text())}
    except OSError:
        return {}
