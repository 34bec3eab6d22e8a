"""Jobs whose result goes into the scene."""

from __future__ import annotations

import threading
import time

import pytest

from TotalSegmentatorLib.errors import CancelledError, EngineError, InputError
from TotalSegmentatorLib.jobs import Job, Log, Progress
from TotalSegmentatorLib.scene import SceneJob


def start(work, finish=lambda result: result, on_event=None, **options) -> SceneJob:
    return SceneJob(Job(work, on_event).start(), finish, **options)


def poll_to_the_end(job, seconds=5.0):
    end = time.monotonic() + seconds
    while job.poll():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_result_is_finished_once_on_the_polling_thread():
    threads, done = [], []
    job = start(lambda context: 7, lambda n: threads.append(threading.current_thread()) or n + 1)
    job.when_done(done.append)
    poll_to_the_end(job)
    assert not job.poll()
    assert job.result == 8 and threads == [threading.main_thread()] and done == [job]
    job.when_done(done.append)
    assert done == [job, job]


def test_progress_stays_after_the_end():
    job = start(lambda context: context.emit(Progress(0.4, 3.0)))
    job.wait()
    assert job.progress == Progress(0.4, 3.0)


@pytest.mark.parametrize("when", ["at once", "after the work"])
def test_cancelled_job_finishes_nothing(when):
    finished = []
    go = threading.Event()
    job = start(lambda context: go.wait(5), finished.append)
    if when == "after the work":
        go.set()
        time.sleep(0.1)
    job.cancel()
    go.set()
    with pytest.raises(CancelledError):
        job.wait()
    assert finished == [] and job.done


def test_errors_of_work_and_of_finishing_are_results():
    def bad_work(context):
        raise InputError("input.no_values", "No values.", "")

    def bad_finish(result):
        raise KeyError("nobody expected this")

    first, second = start(bad_work), start(lambda context: 1, bad_finish)
    poll_to_the_end(first)
    poll_to_the_end(second)
    assert first.error.code == "input.no_values"
    assert isinstance(second.error, EngineError) and "KeyError" in str(second.error)
    with pytest.raises(InputError):
        _ = first.result


def test_what_is_checked_at_every_poll_stops_the_work():
    stopped = threading.Event()

    def work(context):
        while not context.cancelled.is_set():
            time.sleep(0.005)
        stopped.set()

    def check():
        raise InputError("input.volume_changed", "Changed.", "Run again.")

    job = start(work, on_poll=check)
    poll_to_the_end(job)
    assert stopped.is_set() and job.error.code == "input.volume_changed"


def test_handler_of_events_may_let_timers_poll():
    seen, nested = [], []

    def on_event(event):
        seen.append(event.text)
        nested.append(job.poll())

    def work(context):
        context.emit(Log("one"))
        context.emit(Log("two"))

    job = start(work, lambda result: "finished once", on_event)
    poll_to_the_end(job)
    assert seen == ["one", "two"] and nested == [True, True] and job.result == "finished once"


def test_waiting_lets_the_application_repaint():
    calls = []
    go = threading.Event()

    def idle():
        calls.append(1)
        if len(calls) == 3:
            go.set()

    start(lambda context: go.wait(5), idle=idle).wait()
    assert len(calls) >= 3


def test_abandoned_job_is_gone_and_calls_nobody():
    called, ended = [], threading.Event()

    def work(context):
        while not context.cancelled.is_set():
            time.sleep(0.005)
        time.sleep(0.1)
        ended.set()

    job = start(work, called.append)
    job.when_done(called.append)
    job.abandon()
    assert ended.is_set() and job.done and called == []
    with pytest.raises(CancelledError):
        _ = job.result
