"""A job whose result goes into the scene: once, and on the thread that polls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import slicer

from ..errors import CancelledError, SegmentationError, internal_error
from ..jobs import Job, Progress

R = TypeVar("R")
_LOOK_S = 0.02


class SceneJob(Generic[R]):
    """Follows a :class:`~TotalSegmentatorLib.jobs.Job` and hands its result over when it has ended.

    Something must call :meth:`poll` or :meth:`wait`; in the application the module does it.

    :param job: does the work in a thread of its own.
    :param finish: puts the job's result into the scene and returns what :attr:`result` shall be.
    :param on_poll: called by every poll while the job runs, before the events are delivered.
    :param idle: called by :meth:`wait` again and again, e.g. to let the application repaint.
    """

    def __init__(
        self,
        job: Job[Any],
        finish: Callable[[Any], R],
        on_poll: Callable[[], None] | None = None,
        idle: Callable[[], None] | None = None,
    ) -> None:
        self._job: Job[Any] | None = job
        self._finish = finish
        self._on_poll = on_poll
        self._idle = idle
        self._result: R | None = None
        self._cancelled = False
        self._polling = False
        self._callbacks: list[Callable[[SceneJob[R]], None]] = []
        self._progress = Progress()
        self.error: SegmentationError | None = None

    def when_done(self, callback: Callable[[SceneJob[R]], None]) -> None:
        """Call back once, when the job has ended: well, with an :attr:`error`, or cancelled."""
        if self.done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def poll(self, hurry: bool = False) -> bool:
        """Deliver events; True while the job goes on.

        :param hurry: see :meth:`TotalSegmentatorLib.jobs.Job.poll`.
        """
        if self._job is None or self._polling:  # a handler of events may let timers run
            return not self.done
        self._polling = True
        try:
            if not self._look(hurry) and not self.done:  # a handler may have abandoned it
                self._end()
        finally:
            self._polling = False
        if self._job is None:
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback(self)
        return self._job is not None

    def _look(self, hurry: bool) -> bool:
        assert self._job is not None
        try:
            if self._on_poll and self.error is None:
                self._on_poll()
        except SegmentationError as error:
            self.error = error
            self._job.cancel()
        return self._job.poll(hurry)

    def _end(self) -> None:
        assert self._job is not None
        try:
            if self._cancelled:  # also after the job's last look at it
                raise CancelledError()
            if self.error is None:
                self._result = self._finish(self._job.result)
        except SegmentationError as error:
            self.error = error
        except Exception as error:
            self.error = internal_error(error)
        self._progress = self._job.progress
        self._job = None  # whoever keeps this object must not keep the voxels

    def wait(self) -> R:
        """Wait for the end and return the result.

        :raises SegmentationError: what went wrong; the scene is as before.
        :raises RuntimeError: if a handler of the job's own events waits for it.
        """
        if self._polling:
            raise RuntimeError("a handler of events cannot wait for the job that tells them")
        try:
            while self.poll():
                if self._idle:
                    self._idle()
                time.sleep(_LOOK_S)
        except BaseException:  # a signal, or a handler that fails: the engine must not go on
            self.abandon()
            raise
        return self.result

    def cancel(self) -> None:
        """Stop the job; it ends soon after, and the scene stays as it is."""
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> None:
        """Stop the job and wait until nothing of it is left; nobody is called back any more."""
        self._callbacks.clear()
        self.cancel()
        if self._job is not None:
            self._job.join()
            self._end()

    @property
    def done(self) -> bool:
        """True as soon as the job has ended and its result was handed over."""
        return self._job is None

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return self._job.progress if self._job is not None else self._progress

    @property
    def result(self) -> R:
        """What the ended job has put into the scene.

        :raises SegmentationError: what went wrong; the scene is as before.
        """
        if self.error:
            raise self.error
        return self._result  # type: ignore[return-value]


@dataclass(frozen=True)
class SceneResult:
    """What a segmentation has put into the scene.

    :param segmentation: the node; of a sequence the proxy.
    :param table: what was found, if a table was asked for.
    :param reports: the content of ``report.json``, for each frame of a sequence.
    :param frames: their numbers, from 1; empty if it was no sequence.
    """

    segmentation: slicer.vtkMRMLSegmentationNode
    table: slicer.vtkMRMLTableNode | None
    reports: tuple[Mapping[str, Any], ...]
    frames: tuple[int, ...] = ()


class SegmentationJob(SceneJob[SceneResult]):
    """A segmentation; :attr:`result` is the segmentation node."""

    @property
    def result(self) -> slicer.vtkMRMLSegmentationNode:  # type: ignore[override]
        """The segmentation node.

        :raises SegmentationError: what went wrong; the scene is as before.
        """
        return super().result.segmentation

    @property
    def table(self) -> slicer.vtkMRMLTableNode | None:
        """The table of what was found; None before the end, or if none was asked for."""
        return self._result.table if self._result else None

    @property
    def reports(self) -> tuple[Mapping[str, Any], ...]:
        """What was found; empty before the end."""
        return self._result.reports if self._result else ()

    @property
    def frames(self) -> tuple[int, ...]:
        """The numbers, from 1, of the frames that the reports are about; empty for one volume."""
        return self._result.frames if self._result else ()
