"""Two programs at one GPU, of which one waits; the device is made up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from TotalSegmentatorLib.engines import turns
from TotalSegmentatorLib.engines.contract import Reporter
from TotalSegmentatorLib.engines.nnunet import SPEC
from TotalSegmentatorLib.errors import CancelledError
from TotalSegmentatorLib.jobs import JobContext, Stage
from TotalSegmentatorLib.jobs.workspace import try_lock

LIBRARY = Path(__file__).resolve().parents[3] / "TotalSegmentator"
GPU = SimpleNamespace(type="mps")
WAITING = Stage("Waiting for the GPU: another program is using it")


@pytest.fixture
def lock_file(tmp_path: Path, monkeypatch) -> Path:
    path = tmp_path / "gpu.lock"
    monkeypatch.setattr(turns, "_lock_file", lambda device: path)
    return path


@pytest.fixture
def other(lock_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program, which has its turn until its input closes."""
    code = (
        "import pathlib, sys, types\n"
        f"sys.path.insert(0, {str(LIBRARY)!r})\n"
        "from TotalSegmentatorLib.engines import turns\n"
        f"turns._lock_file = lambda device: pathlib.Path({str(lock_file)!r})\n"
        "with turns.turn(types.SimpleNamespace(type='mps'), None):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


@pytest.fixture
def context() -> JobContext:
    context = JobContext(lambda event: context.events.append(event))
    context.events = []
    return context


def until_waiting(context: JobContext) -> None:
    end = time.monotonic() + 10
    while WAITING not in context.events and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("ending", ["regular", "killed"])
def test_the_second_waits_until_the_first_has_ended(ending, other, context):
    def end() -> None:
        until_waiting(context)
        time.sleep(2.5 * turns._LOOK_S)
        other.kill() if ending == "killed" else other.stdin.close()

    thread = threading.Thread(target=end)
    thread.start()
    with turns.turn(GPU, Reporter(SPEC, context)):
        assert context.events == [WAITING]
        thread.join()
        other.wait(timeout=10)


def test_nothing_is_told_if_the_gpu_is_free(lock_file, context):
    report = Reporter(SPEC, context)
    for _ in range(2):
        with turns.turn(GPU, report), open(lock_file, "ab") as file:
            assert not try_lock(file)
    with open(lock_file, "ab") as file:
        assert try_lock(file)
    assert context.events == []


def test_waiting_can_be_cancelled(other, context):
    def cancel() -> None:
        until_waiting(context)
        context.cancelled.set()

    threading.Thread(target=cancel).start()
    with (
        pytest.raises(CancelledError),
        turns.turn(GPU, Reporter(SPEC, context)),
    ):
        raise AssertionError("it was another's turn")


def test_the_processor_is_for_all(other, context):
    with turns.turn(SimpleNamespace(type="cpu"), Reporter(SPEC, context)):
        assert context.events == []


def test_a_run_goes_on_where_no_lock_can_be_made(tmp_path, monkeypatch, context):
    (tmp_path / "file").touch()
    monkeypatch.setattr(turns, "_lock_file", lambda device: tmp_path / "file" / "gpu.lock")
    with turns.turn(GPU, Reporter(SPEC, context)):
        pass


def test_the_file_is_the_user_s_own(tmp_path, monkeypatch, context):
    """Nobody else can make it first."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with turns.turn(GPU, Reporter(SPEC, context)):
        (found,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert found.name == "mps.lock"


def test_a_run_goes_on_without_a_home(monkeypatch, context):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with turns.turn(GPU, Reporter(SPEC, context)):
        pass


def test_the_file_does_not_depend_on_the_folder_for_temporary_files(monkeypatch):
    before = turns._lock_file(GPU)
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    monkeypatch.setattr("tempfile.tempdir", "/elsewhere")
    assert turns._lock_file(GPU) == before
