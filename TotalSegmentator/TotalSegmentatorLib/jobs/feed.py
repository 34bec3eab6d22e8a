"""A feed: what only the polling thread may read, handed to the job's thread piece by piece."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from .job import JobContext

T = TypeVar("T")
_LOOK_S = 0.05


class Feed(Generic[T]):
    """Items of an iterable that is advanced on the thread that polls, used by a job's thread.

    A scene may be read on its own thread only, and its sequences are too large to be read at once:
    at most one item waits.

    :param items: advanced by :meth:`give`; what it raises is raised in the job.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._source = iter(items)
        self._waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
        self._ended = False

    def give(self) -> None:
        """Make the next item, if the job has taken the last one."""
        if self._ended or self._waiting.full():
            return
        try:
            self._waiting.put((next(self._source), None))
        except Exception as error:  # also StopIteration, which tells the job the end
            self._ended = True
            self._waiting.put((None, error))

    def take(self, context: JobContext) -> Iterator[T]:
        """The items, in the job's thread.

        :raises CancelledError: if the job was cancelled.
        """
        while True:
            context.check()
            try:
                item, error = self._waiting.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
