"""The conversation with an engine process: results, failures, crashes, cancelling."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from TotalSegmentatorLib.errors import CancelledError, EngineError, SetupError
from TotalSegmentatorLib.jobs import (
    EngineCommand,
    EngineProcess,
    Job,
    JobContext,
    Log,
    Progress,
    Request,
    Stage,
    Started,
    run_message,
)
from TotalSegmentatorLib.jobs.processes import clean_variables

FAKE = Path(__file__).with_name("fake_engine.py")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone(pid: int) -> bool:
    """Whether a killed process is gone; the system may take a moment to end it."""
    end = time.monotonic() + 2
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], tuple[Job, list]]:
    def start(behaviour: str) -> tuple[Job, list]:
        command = EngineCommand([sys.executable, FAKE, behaviour], clean_variables())
        message = run_message(Request(), tmp_path / "image.nii", tmp_path / "labels.nii")

        def work(context: JobContext) -> object:
            with EngineProcess(command, tmp_path, context) as engine:
                return engine.run(message)

        events: list = []
        return Job(work, events.append).start(), events

    return start


def child_pid(job: Job, events: list) -> int:
    """The process that the fake engine started."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        job.poll()
        for event in events:
            if isinstance(event, Log) and event.text.startswith("child "):
                return int(event.text.split()[1])
        time.sleep(0.02)
    raise AssertionError("the engine did not start")


def test_result_comes_back_with_events_in_order(start, tmp_path):
    job, events = start("result")
    result = job.wait()
    assert result.labels == tmp_path / "labels.nii"
    assert result.label_names == {1: "liver"}
    assert Stage("Working") in events
    assert events.index(Stage("Working")) < events.index(Progress(0.5, 1.0))
    assert Log("a line of a library") in events


def test_one_process_serves_several_runs(tmp_path):
    command = EngineCommand([sys.executable, FAKE, "serve"], clean_variables())
    events: list = []
    with EngineProcess(command, tmp_path, JobContext(events.append)) as engine:
        for name in ("a.nii", "b.nii"):
            message = run_message(Request(), tmp_path / "image.nii", tmp_path / name)
            own: list = []
            assert engine.run(message, JobContext(own.append)).labels == tmp_path / name
            assert Stage(f"Making {name}") in own
    assert events == []
    assert sum(isinstance(event, Started) for event in own) == 0  # it was up already


def test_failure_keeps_its_code(start):
    job, _ = start("fail")
    with pytest.raises(SetupError) as caught:
        job.wait()
    assert caught.value.code == "gpu.out_of_memory"
    assert caught.value.exit_code == 4


def test_crash_tells_the_exit_code_and_the_last_lines(start):
    job, _ = start("crash")
    with pytest.raises(EngineError) as caught:
        job.wait()
    assert caught.value.code == "engine.crashed"
    assert "7" in caught.value.message
    assert "last words" in caught.value.details


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_kill_by_the_system_is_recognised_as_lack_of_memory(start):
    job, _ = start("killed")
    with pytest.raises(SetupError) as caught:
        job.wait()
    assert caught.value.code == "memory.killed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("behaviour", ["obedient", "deaf"])
def test_cancel_ends_the_whole_tree(start, behaviour):
    job, events = start(behaviour)
    child = child_pid(job, events)
    engine = next(event.pid for event in events if isinstance(event, Started))
    assert is_alive(child)
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert gone(engine)
    assert gone(child)


def test_missing_interpreter_is_one_sentence(tmp_path):
    command = EngineCommand([tmp_path / "no-python"], {})
    context = JobContext(lambda event: None)
    with (
        pytest.raises(SetupError) as caught,
        EngineProcess(command, tmp_path, context) as engine,
    ):
        engine.run({})
    assert caught.value.code == "environment.no_interpreter"
