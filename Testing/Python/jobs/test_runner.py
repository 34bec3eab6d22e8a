"""The conversation with an engine process: results, failures, crashes, cancelling."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from support.processes import gone, is_alive

from TotalSegmentatorLib.errors import CancelledError, EngineError, InputError, SetupError
from TotalSegmentatorLib.jobs import (
    EngineCommand,
    EngineProcess,
    Job,
    JobContext,
    Log,
    Progress,
    Stage,
    Started,
    runner,
)


@pytest.fixture
def process(fake, tmp_path) -> Iterator[EngineProcess]:
    process = EngineProcess(fake, tmp_path)
    yield process
    process.end()


@pytest.fixture
def run(process, message):
    """Runs the fake engine in this thread; gives the events."""

    def run(behaviour: str = "result") -> list:
        events: list = []
        process.run(message(behaviour), JobContext(events.append))
        return events

    return run


@pytest.fixture
def start(process, message):
    """Starts the fake engine in a job, and waits until it has started a child."""

    def start(behaviour: str) -> tuple[Job, list, int]:
        events: list = []
        job = Job(lambda context: process.run(message(behaviour), context), events.append).start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            job.poll()
            for event in events:
                if isinstance(event, Log) and event.text.startswith("child "):
                    return job, events, int(event.text.split()[1])
        raise AssertionError("the engine did not start")

    return start


def pid_of(events: list) -> int:
    (started,) = (event for event in events if isinstance(event, Started))
    return started.pid


def test_result_comes_back_with_events_in_order(process, message, tmp_path):
    events: list = []
    result = process.run(message(), JobContext(events.append))
    assert result.labels == tmp_path / "result.nii"
    assert result.label_names == {1: "liver"}
    assert events.index(Stage("Making result.nii")) < events.index(Progress(0.5, 1.0))
    assert Log("a line of a library") in events


def test_one_process_serves_several_runs(run):
    first, second = run("a"), run("b")
    assert Stage("Making a.nii") in first and Stage("Making b.nii") in second
    assert pid_of(first) == pid_of(second)


def test_failure_keeps_its_code(run):
    with pytest.raises(SetupError) as caught:
        run("out-of-memory")
    assert caught.value.code == "gpu.out_of_memory"
    assert caught.value.exit_code == 4


def test_crash_tells_the_exit_code_and_the_last_lines(run):
    with pytest.raises(EngineError) as caught:
        run("crash")
    assert caught.value.code == "engine.crashed"
    assert "7" in caught.value.message
    assert "last words" in caught.value.details


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("kills", "words"), [((0, 1), "engine, because"), ((1, 1), "engine, most likely because")]
)
def test_kill_by_the_system_is_recognised_as_lack_of_memory(run, monkeypatch, kills, words):
    monkeypatch.setattr(runner.cgroups, "kills_by_system", iter(kills).__next__)
    with pytest.raises(SetupError) as caught:
        run("killed")
    assert caught.value.code == "memory.exhausted"
    assert f"{words} memory ran out." in caught.value.message


@pytest.mark.parametrize("behaviour", ["exit-137", "aborted"])
def test_other_ends_by_a_lack_of_memory(run, behaviour):
    with pytest.raises(SetupError) as caught:
        run(behaviour)
    assert caught.value.code == "memory.exhausted"


@pytest.mark.parametrize(
    ("behaviour", "kills", "code"),
    [
        ("helper-gone", (0, 0), "memory.exhausted"),
        ("helper-memory", (0, 0), "memory.exhausted"),
        ("helper-failed", (0, 0), "engine.failed"),
        ("helper-failed", (0, 1), "memory.exhausted"),
    ],
)
def test_a_process_of_the_engine_that_is_gone(run, monkeypatch, behaviour, kills, code):
    """nnU-Net says the same whether the system ended it or its work failed."""
    left = iter(kills)
    monkeypatch.setattr(runner.cgroups, "kills_by_system", lambda: next(left, kills[-1]))
    with pytest.raises((SetupError, EngineError)) as caught:
        run(behaviour)
    assert caught.value.code == code


def test_a_lack_of_memory_that_was_got_over_is_not_why_a_process_ended(run):
    with pytest.raises(EngineError) as caught:
        run("recovered")
    assert caught.value.code == "engine.crashed"


@pytest.mark.parametrize("behaviour", ["crash", "out-of-memory"])
def test_a_process_in_doubt_is_replaced_for_the_next_run(behaviour, run, process):
    before = pid_of(run())
    with pytest.raises((EngineError, SetupError)):
        run(behaviour)
    assert not process.alive
    assert pid_of(run()) != before


def test_wrong_input_leaves_the_process_usable(run, process):
    before = pid_of(run())
    with pytest.raises(InputError):
        run("wrong-input")
    assert process.alive
    assert pid_of(run()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_died_while_idle_is_replaced_without_a_word(run):
    before = run()
    os.kill(pid_of(before), signal.SIGKILL)
    assert gone(pid_of(before))
    after = run()
    assert pid_of(after) != pid_of(before)
    assert Counter(map(type, after)) == Counter(map(type, before))


def test_a_process_that_dies_before_it_answers_is_replaced_without_a_word(run):
    before = pid_of(run())
    assert pid_of(run("vanish-once")) != before


def test_an_engine_that_never_answers_is_a_crash(run):
    with pytest.raises(EngineError) as caught:
        run("vanish")
    assert caught.value.code == "engine.crashed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cancel_ends_the_whole_tree_of_a_deaf_engine(start, process, monkeypatch):
    monkeypatch.setattr(runner, "CANCEL_GRACE_S", 0.3)
    job, events, child = start("deaf")
    assert is_alive(child)
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert gone(pid_of(events)) and gone(child)
    assert not process.alive


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cancel_that_is_heeded_keeps_the_process_for_the_next_run(start, run):
    job, events, child = start("obedient")
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert gone(child)
    assert pid_of(run()) == pid_of(events)


def test_missing_interpreter_is_one_sentence(tmp_path):
    with pytest.raises(SetupError) as caught:
        EngineProcess(EngineCommand([tmp_path / "no-python"], {}), tmp_path)
    assert caught.value.code == "environment.no_interpreter"
