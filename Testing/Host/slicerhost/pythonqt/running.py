"""What goes on by itself: timers and processes made through `qt`, to find what a test left."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import shiboken6
from PySide6 import QtCore


@dataclass
class Running:
    """The timers and processes of this process; those that were deleted drop out.

    :ivar shots: timers of QTimer.singleShot that have not fired, kept alive until they do
    """

    timers: weakref.WeakSet = field(default_factory=weakref.WeakSet)
    processes: weakref.WeakSet = field(default_factory=weakref.WeakSet)
    shots: set = field(default_factory=set)

    def activeTimers(self) -> list[QtCore.QTimer]:
        """Return the timers that will fire again."""
        timers = [timer for timer in self.timers if shiboken6.isValid(timer)]
        return [timer for timer in timers if QtCore.QTimer.isActive(timer)]

    def activeProcesses(self) -> list[QtCore.QProcess]:
        """Return the processes that have not ended."""
        processes = [process for process in self.processes if shiboken6.isValid(process)]
        ended = QtCore.QProcess.ProcessState.NotRunning
        return [p for p in processes if QtCore.QProcess.state(p) != ended]

    def stop(self) -> None:
        """Stop every timer and kill every process."""
        for timer in self.activeTimers():
            QtCore.QTimer.stop(timer)
        self.shots.clear()
        for process in self.activeProcesses():
            QtCore.QProcess.kill(process)
            QtCore.QProcess.waitForFinished(process, 5000)


# One per process, as there is one event loop.
RUNNING = Running()
