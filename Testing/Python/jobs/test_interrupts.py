"""A job whose waiting thread is interrupted: it is over before anybody goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from TotalSegmentatorLib import jobs
from TotalSegmentatorLib.errors import CancelledError
from TotalSegmentatorLib.jobs import Job, JobContext

# Ends while nobody waits for the job that it has started.
INTERRUPTED = """
import sys, threading
from TotalSegmentatorLib.jobs import Job, workspace
begun = threading.Event()
def work(context):
    with workspace():
        begun.set()
        while True:
            context.check()
            context.cancelled.wait()
Job(work).start()
begun.wait()
sys.exit(130)
"""


def interrupt(number: int, frame: object) -> None:
    raise CancelledError()


@pytest.fixture
def interrupts():
    """Signals raise an error in the main thread, as those of the command line do."""
    before = signal.signal(signal.SIGINT, interrupt)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="a signal for one thread")
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("interval_s", [0.0, 0.05])
def test_a_signal_while_waiting_ends_the_work_first(interval_s):
    over = threading.Event()

    def work(context: JobContext) -> None:
        time.sleep(0.2)  # until the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        context.cancelled.wait(10)
        time.sleep(0.2)  # cleans up
        over.set()

    job = Job(work)
    with pytest.raises(CancelledError):
        job.start().wait(interval_s)
    job.join()
    assert over.is_set()


def test_a_job_that_nobody_waits_for_ends_with_the_application(runs):
    command = [sys.executable, "-c", f"import tempfile; tempfile.tempdir = {str(runs)!r}"]
    command[-1] += INTERRUPTED
    package = Path(jobs.__file__).parents[2]
    assert subprocess.run(command, cwd=package, timeout=60).returncode == 130
    assert list(runs.iterdir()) == []


def test_a_job_that_has_not_begun_is_not_waited_for():
    job = Job(lambda context: 1)
    job.join()
    assert not job.running and not job.poll()
    assert job.start().wait() == 1
