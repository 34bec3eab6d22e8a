"""A queue of runs: each is started when the one before it has ended."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import CancelledError, SegmentationError, internal_error


class Ending(Protocol):
    """What can be queued: something that runs, can be cancelled, and tells when it has ended."""

    error: SegmentationError | None

    def when_done(self, callback: Callable[[Ending], None]) -> None:
        """Call back once at the end."""

    def cancel(self) -> None:
        """Ask it to stop."""


class State(enum.Enum):
    """Where an order is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Order:
    """Something to run.

    :param title: for people.
    :param start: starts it; called when its turn has come.
    :param finish: called with what has ended well.
    :param fail: called with what went wrong, a cancellation included.
    :param needs: an order that must have ended well before; else this one is cancelled without a
        word, as that one has told what is wrong.
    """

    title: str
    start: Callable[[], Ending]
    finish: Callable[[Ending], None]
    fail: Callable[[SegmentationError], None]
    needs: Order | None = None
    state: State = field(default=State.WAITING, init=False)
    error: SegmentationError | None = field(default=None, init=False)


class RunQueue:
    """Runs orders one after the other; a failed one does not stop those behind it.

    Orders that have ended stay listed until the next one is added to an idle queue.

    :param on_change: called whenever an order was added, began or ended.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._current: Ending | None = None
        self.orders: tuple[Order, ...] = ()

    @property
    def running(self) -> Order | None:
        """The order that runs."""
        return next((o for o in self.orders if o.state is State.RUNNING), None)

    @property
    def waiting(self) -> tuple[Order, ...]:
        """The orders that have not begun."""
        return tuple(o for o in self.orders if o.state is State.WAITING)

    def add(self, *orders: Order) -> None:
        """Append orders, and begin if nothing runs."""
        kept = self.orders if self.running or self.waiting else ()
        self.orders = (*kept, *orders)
        self._go_on()

    def remove(self, order: Order) -> None:
        """Take an order out that has not begun."""
        if order.state is State.WAITING:
            self.orders = tuple(o for o in self.orders if o is not order)
            self._on_change()

    def cancel(self) -> None:
        """Ask the order that runs to stop; the next one begins when nothing of it is left."""
        if self._current is not None:
            self._current.cancel()

    def cancel_all(self, which: Callable[[Order], bool] = lambda order: True) -> None:
        """Stop the order that runs, and begin no other.

        :param which: leaves an order alone for which it is false.
        """
        for order in self.waiting:
            if which(order):
                order.state = State.CANCELLED
        if self.running and which(self.running):
            self.cancel()
        self._on_change()

    def forget_ended(self) -> None:
        """List only what runs or waits: an order may keep alive what it worked on."""
        self.orders = tuple(o for o in self.orders if o.state in (State.RUNNING, State.WAITING))
        self._on_change()

    def _go_on(self) -> None:
        while not self.running and self.waiting:
            order = self.waiting[0]
            if order.needs and order.needs.state in (State.FAILED, State.CANCELLED):
                order.state = State.CANCELLED
                continue
            order.state = State.RUNNING
            try:
                current = order.start()
            except Exception as error:
                _fail(order, error)
                continue
            self._current = current
            current.when_done(lambda ended, order=order: self._ended(order, ended))
        self._on_change()

    def _ended(self, order: Order, ended: Ending) -> None:
        self._current = None
        try:
            if ended.error:
                raise ended.error
            order.finish(ended)
            order.state = State.DONE
        except Exception as error:
            _fail(order, error)
        self._go_on()


def _fail(order: Order, error: Exception) -> None:
    if not isinstance(error, SegmentationError):  # the queue must go on, whatever it is
        error = internal_error(error)
    order.error = error
    order.state = State.CANCELLED if isinstance(error, CancelledError) else State.FAILED
    order.fail(error)
