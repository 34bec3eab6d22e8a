"""A piece of work in the background whose events are delivered on the thread that asks for them."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import CancelledError, SegmentationError, internal_error
from .events import Event, Progress
from .shortage import MAIN, shortage_error

T = TypeVar("T")
# Short enough for a panel to stay smooth, long enough for a job to get on between two polls.
_SHARE_OF_A_POLL_S = 0.015
# An engine that does not listen is ended sooner.
_PATIENCE_AT_EXIT_S = 10.0
EventHandler = Callable[[Event], None]


class JobContext:
    """What the work sees of its job: where to report, and whether to stop."""

    def __init__(self, emit: EventHandler) -> None:
        self.emit = emit
        self.cancelled = threading.Event()

    def passing(self, emit: EventHandler) -> JobContext:
        """The same job, whose events go to ``emit`` instead."""
        context = JobContext(emit)
        context.cancelled = self.cancelled
        return context

    def check(self) -> None:
        """:raises CancelledError: if the job was cancelled."""
        if self.cancelled.is_set():
            raise CancelledError()


class Job(Generic[T]):
    """Runs ``work`` in a thread; nothing is called back from that thread.

    A GUI calls :meth:`poll` from a timer, a script calls :meth:`wait`; both deliver the events on
    their own thread, so that handlers may touch the scene and widgets.

    When the application quits, the work is cancelled and waited for, but only for a while: whoever
    should have done so may have been interrupted.

    :param work: does the work, reports to its context and returns the result.
    :param on_event: receives every event.
    :param on_poll: called at every poll, for what the job needs from the thread that polls.
    """

    def __init__(
        self,
        work: Callable[[JobContext], T],
        on_event: EventHandler | None = None,
        on_poll: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._on_event = on_event
        self._on_poll = on_poll
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._context = JobContext(self._events.put)
        self._result: T | None = None
        self.error: SegmentationError | None = None
        self.progress = Progress()
        # Not Thread.join(): until Python 3.13, an exception from a signal handler in it lets the
        # thread count as ended (gh-90882).
        self._ended = threading.Event()
        self._ended.set()  # it has not begun

    def start(self, on_event: EventHandler | None = None) -> Job[T]:
        """Begin, and return the job itself.

        :param on_event: receives every event, instead of the one that the job was made with.
        """
        self._on_event = on_event or self._on_event
        self._ended.clear()
        atexit.register(self._quit)
        try:
            threading.Thread(target=self._run, name="segmentation-job", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            self._end()
            raise
        return self

    def _run(self) -> None:
        try:
            self._result = self._work(self._context)
        except SegmentationError as error:
            self.error = error
        except MemoryError:
            self.error = shortage_error(MAIN, details=traceback.format_exc())
        except Exception as error:
            self.error = internal_error(error)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        atexit.unregister(self._quit)

    def _quit(self) -> None:
        self.cancel()
        self._ended.wait(_PATIENCE_AT_EXIT_S)

    @property
    def running(self) -> bool:
        """True while the thread works or events wait to be delivered."""
        return not self._ended.is_set() or not self._events.empty()

    def cancel(self) -> None:
        """Ask the work to stop; the job ends soon after with a :class:`CancelledError`."""
        self._context.cancelled.set()

    def poll(self, hurry: bool = False) -> bool:
        """Deliver the events that came since the last call; False when the job has ended.

        :param hurry: come back at once; else after a short wait.

        The short wait hands the interpreter lock to the job's threads: an application whose event
        loop is not Python (Slicer) may keep the lock outside of such calls.
        """
        if self._on_poll and not self._ended.is_set() and not self._context.cancelled.is_set():
            self._on_poll()
        ended = self._ended.wait(0 if hurry else _SHARE_OF_A_POLL_S)
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return not ended
            if isinstance(event, Progress):
                self.progress = event
            if self._on_event:
                self._on_event(event)

    def wait(self, interval_s: float = 0.05, stop: threading.Event | None = None) -> T:
        """Deliver events until the end, then return the result.

        :param stop: the job is cancelled when it is set.
        :raises SegmentationError: whatever the work raised.
        """
        try:
            while self.poll():
                if stop and stop.is_set():
                    self.cancel()
                time.sleep(interval_s)
        except BaseException:  # a signal, or a handler that fails: the engine must not go on
            self.cancel()
            self.join()
            raise
        return self.result

    def join(self) -> None:
        """Wait for the end of the work, if it has begun; events that wait are not delivered."""
        self._ended.wait()

    @property
    def result(self) -> T:
        """The result of an ended job.

        :raises SegmentationError: whatever the work raised.
        """
        if self.error:
            raise self.error
        return self._result  # type: ignore[return-value]
