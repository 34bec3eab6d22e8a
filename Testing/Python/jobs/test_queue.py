"""The queue: one run after the other, whatever becomes of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.errors import CancelledError, InputError, SegmentationError
from TotalSegmentatorLib.jobs import Order, RunQueue, State

REFUSED = InputError("input.no_volume", "No volume.", "Choose one.")


@dataclass
class Run:
    """A run that ends when the test says so."""

    error: SegmentationError | None = None
    callbacks: list = field(default_factory=list)
    cancelled: bool = False

    def when_done(self, callback):
        self.callbacks.append(callback)

    def cancel(self):
        self.cancelled = True

    def end(self, error=None):
        self.error = CancelledError() if self.cancelled else error
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback(self)


class Bench:
    """A queue and what came out of it."""

    def __init__(self):
        self.changes = 0
        self.queue = RunQueue(self.count)
        self.runs: dict[str, Run] = {}
        self.finished: list[str] = []
        self.failed: list[tuple[str, str]] = []

    def count(self):
        self.changes += 1

    def order(self, title, refused=False, bad_finish=False):
        def start():
            if refused:
                raise REFUSED
            self.runs[title] = Run()
            return self.runs[title]

        def finish(run):
            if bad_finish:
                raise REFUSED
            self.finished.append(title)

        return Order(title, start, finish, lambda error: self.failed.append((title, error.code)))

    def states(self):
        return [order.state.value for order in self.queue.orders]


def test_one_after_the_other():
    bench = Bench()
    bench.queue.add(bench.order("a"), bench.order("b"))
    assert list(bench.runs) == ["a"] and bench.states() == ["running", "waiting"]
    bench.runs["a"].end()
    assert list(bench.runs) == ["a", "b"] and bench.finished == ["a"]
    bench.queue.add(bench.order("c"))
    bench.runs["b"].end()
    bench.runs["c"].end()
    assert bench.finished == ["a", "b", "c"] and bench.states() == ["done"] * 3
    bench.queue.add(bench.order("d"))
    assert bench.states() == ["running"]  # what had ended is gone


def test_failures_do_not_stop_those_behind():
    bench = Bench()
    bench.queue.add(
        bench.order("a"), bench.order("b", refused=True), bench.order("c", bad_finish=True)
    )
    bench.runs["a"].end(InputError("input.no_values", "", ""))
    bench.runs["c"].end()
    assert bench.failed == [("a", "input.no_values"), ("b", REFUSED.code), ("c", REFUSED.code)]
    assert bench.states() == ["failed"] * 3 and bench.queue.running is None


def test_cancel_stops_one_and_cancel_all_stops_all():
    bench = Bench()
    bench.queue.add(*(bench.order(title) for title in "abcd"))
    bench.queue.cancel()
    assert bench.states()[0] == "running"  # until nothing of it is left
    bench.runs["a"].end()
    assert bench.states() == ["cancelled", "running", "waiting", "waiting"]
    bench.queue.remove(bench.queue.waiting[0])
    assert [order.title for order in bench.queue.orders] == ["a", "b", "d"]
    bench.queue.remove(bench.queue.orders[1])  # runs: stays
    bench.queue.cancel_all()
    bench.runs["b"].end()
    assert bench.states() == ["cancelled"] * 3 and list(bench.runs) == ["a", "b"]
    assert bench.failed == [("a", "cancelled"), ("b", "cancelled")]


def test_order_that_adds_an_order():
    bench = Bench()
    first = bench.order("a")
    first.finish = lambda run: bench.queue.add(bench.order("b"))
    bench.queue.add(first)
    bench.runs["a"].end()
    assert bench.states() == ["done", "running"]
    bench.runs["b"].end()
    assert bench.finished == ["b"]


@given(st.lists(st.sampled_from(["add", "refused", "end", "fail", "cancel", "all", "remove"])))
def test_at_most_one_runs_and_it_never_stands_still(steps):
    bench = Bench()
    started: list[str] = []
    for number, step in enumerate(steps):
        running = bench.queue.running
        if step in ("add", "refused"):
            bench.queue.add(bench.order(str(number), refused=step == "refused"))
        elif step in ("end", "fail") and running:
            bench.runs[running.title].end(REFUSED if step == "fail" else None)
        elif step == "cancel":
            bench.queue.cancel()
        elif step == "all":
            bench.queue.cancel_all()
        elif step == "remove" and bench.queue.waiting:
            bench.queue.remove(bench.queue.waiting[-1])
        states = [order.state for order in bench.queue.orders]
        assert states.count(State.RUNNING) <= 1
        assert State.RUNNING in states or State.WAITING not in states
        assert list(bench.runs)[: len(started)] == started
        started = list(bench.runs)
