"""Running the event loop for real, and measuring for how long it stood still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6 import QtCore

TICK_MS = 1
ASKING_S = 0.005  # the condition is asked no more often than this, so that it costs little


@dataclass(frozen=True)
class Spin:
    """What a turn of the event loop brought.

    :ivar reached: whether the condition came to hold before the time was up
    :ivar longest_gap_ms: longest time between two ticks of a timer of 1 ms
    """

    reached: bool
    longest_gap_ms: float


class _Watch(QtCore.QObject):
    """Ticks, remembers the longest gap, and ends the loop."""

    def __init__(
        self, loop: QtCore.QEventLoop, until: Callable[[], object], timeout: float
    ) -> None:
        super().__init__()
        self.reached = False
        self.error: Exception | None = None
        self.longest = 0.0
        self._loop, self._until = loop, until
        self._last = self._asked = time.perf_counter()
        self._end = self._last + timeout
        self._timer = QtCore.QTimer(self)
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        if now - self._asked >= ASKING_S or now > self._end:
            self._ask(now)
        self._last = time.perf_counter()  # what the asking took is not the module's

    def _ask(self, now: float) -> None:
        self._asked = now
        try:
            self.reached = bool(self._until())
        except Exception as error:
            self.error = error
        if self.reached or self.error is not None or now > self._end:
            self._timer.stop()
            self._loop.quit()


def spin(until: Callable[[], object], timeout: float) -> Spin:
    """Run the event loop, as the application does, until something holds.

    :param timeout: seconds to give up after
    :raises Exception: whatever the condition raised
    """
    loop = QtCore.QEventLoop()
    watch = _Watch(loop, until, timeout)
    loop.exec()
    if watch.error is not None:
        raise watch.error
    return Spin(watch.reached, watch.longest * 1000)
