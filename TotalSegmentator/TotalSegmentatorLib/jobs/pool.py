"""The engine processes of an application, which stay for further runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .runner import EngineCommand, EngineProcess


class EnginePool:
    """Lends engine processes, and keeps those that nobody uses: for each way of starting them as
    many as run at once.

    May be used by several threads.

    :param folder: the working folder of the processes between runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle: list[EngineProcess] = []
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, command: EngineCommand, at_once: int = 1) -> Iterator[EngineProcess]:
        """A process for the block alone.

        :param at_once: how many runs with this way of starting go on at once, as far as is known.
        :raises SetupError: ``environment.no_interpreter``.
        """
        process = self._take(command) or EngineProcess(command, self._folder)
        try:
            yield process
        finally:
            if not self._keep(process, at_once):
                process.end()

    def _take(self, command: EngineCommand) -> EngineProcess | None:
        with self._lock:
            found = next((one for one in self._idle if one.command == command), None)
            if found:
                self._idle.remove(found)
            return found

    def _keep(self, process: EngineProcess, most: int) -> bool:
        with self._lock:
            others = sum(one.command == process.command for one in self._idle)
            if others >= most or not process.alive:
                return False
            self._idle.append(process)
            return True

    def release(self) -> None:
        """End the processes that nobody uses, with all the memory that they hold."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()
