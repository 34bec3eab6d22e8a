"""What a job reads through the thread that polls it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.jobs import Feed, Job, JobContext


def job_of(items: Iterator[int]) -> Job[list[int]]:
    feed = Feed(items)

    def work(context: JobContext) -> list[int]:
        return list(feed.take(context))

    return Job(work, on_poll=feed.give).start()


def test_items_are_made_on_the_polling_thread_one_at_a_time():
    threads, made, taken = set(), [], []
    most_waiting = 0

    def items() -> Iterator[int]:
        nonlocal most_waiting
        for number in range(5):
            threads.add(threading.current_thread())
            made.append(number)
            most_waiting = max(most_waiting, len(made) - len(taken))
            yield number

    feed = Feed(items())

    def work(context: JobContext) -> None:
        for number in feed.take(context):
            taken.append(number)

    Job(work, on_poll=feed.give).start().wait(interval_s=0.001)
    assert taken == [0, 1, 2, 3, 4]
    assert threads == {threading.main_thread()}
    assert most_waiting <= 2


def test_what_cannot_be_made_fails_the_job():
    def items() -> Iterator[int]:
        yield 1
        raise InputError("input.no_voxels", "The volume holds no voxels.", "Load it.")

    with pytest.raises(InputError) as caught:
        job_of(items()).wait()
    assert caught.value.code == "input.no_voxels"


def test_a_job_that_waits_for_an_item_can_be_cancelled():
    feed: Feed[int] = Feed([1])
    job = Job(lambda context: list(feed.take(context))).start()  # nobody gives
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
