"""The engine process and its three streams, also when libraries or the application misbehave."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import engine_processes, gone

from TotalSegmentatorLib.engines import worker as worker_module
from TotalSegmentatorLib.jobs import Request, Started
from TotalSegmentatorLib.jobs.runner import run_message

LIBRARY = Path(__file__).resolve().parents[3] / "TotalSegmentator"
VARIABLES = {**os.environ, "PYTHONPATH": str(LIBRARY)}


class Worker:
    """A worker with an engine for tests, and its pipes.

    :param folder: its working folder between runs.
    """

    def __init__(self, folder: Path, idle_s: float = 60) -> None:
        script = Path(__file__).with_name("small_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, script, str(idle_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
        )

    def send(self, *messages: dict) -> None:
        """Write messages at once, one line each."""
        self.process.stdin.write("".join(json.dumps(one) + "\n" for one in messages))
        self.process.stdin.flush()

    def read_until(self, name: str) -> list[dict]:
        """The events up to the first of this name, which must come before the run ends."""
        events: list = []
        while not events or events[-1]["event"] not in (name, "result", "failed"):
            events.append(json.loads(self.process.stdout.readline()))
        assert events[-1]["event"] == name, events
        return events

    def run(self, folder: Path, behaviour: str) -> dict:
        """What the engine told in its result."""
        self.send(message(folder, behaviour))
        return self.read_until("result")[-1]["result"]["provenance"]

    def cwd(self) -> Path:
        return Path(f"/proc/{self.process.pid}/cwd").readlink()

    def close_pipes(self) -> None:
        """What happens when the application has ended."""
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def message(folder: Path, behaviour: str) -> dict:
    """A run whose private folder is *folder*."""
    (folder / "image-1").mkdir(exist_ok=True)
    image, labels = folder / "image-1" / "image.nii", folder / "image-1" / f"{behaviour}.nii"
    return run_message(Request(engine="nnunet"), image, labels, folder)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The working folder of workers between runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def worker(home: Path) -> Iterator[Worker]:
    """A worker that waits for a minute for its next run."""
    worker = Worker(home)
    yield worker
    worker.process.kill()
    worker.process.wait()
    worker.close_pipes()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private folder of a run with an image in it."""
    folder = tmp_path / "tseg-private"
    folder.mkdir()
    (folder / "owner.lock").write_bytes(b"\0")
    (folder / "image.nii").write_bytes(b"patient")
    return folder


def removed(folder: Path) -> bool:
    """Whether a folder goes soon."""
    end = time.monotonic() + 5
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not folder.exists()


def test_nothing_that_a_library_prints_reaches_the_protocol():
    code = (
        "import os, subprocess, sys\n"
        "from TotalSegmentatorLib.engines.worker import take_protocol_stream\n"
        "protocol = take_protocol_stream()\n"
        "print('from Python', flush=True)\n"
        "os.write(1, b'from C\\n')\n"
        "subprocess.run([sys.executable, '-c', 'print(\"from a child\")'])\n"
        "print('event', file=protocol, flush=True)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=VARIABLES, check=True
    )
    assert answer.stdout == "event\n"
    for noise in ("from Python", "from C", "from a child"):
        assert noise in answer.stderr


def test_a_forked_child_does_not_wait_for_the_commands():
    """nnU-Net forks while a thread waits for commands; a child closes its sys.stdin."""
    code = (
        "import multiprocessing, sys, threading\n"
        "from TotalSegmentatorLib.engines.worker import take_command_stream\n"
        "commands = take_command_stream()\n"
        "threading.Thread(target=commands.readline, daemon=True).start()\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(pool.map(abs, [-1, -2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=VARIABLES,
    )
    try:
        assert process.stdout.readline() == "[1, 2]\n"
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.stdin.close()


def test_bad_request_is_an_event_and_the_worker_serves_on(worker, private):
    wrong = message(private, "keep")
    wrong["request"]["engine"] = "nnunett"
    for _ in range(2):
        worker.send(wrong)
        assert worker.read_until("failed")[-1]["error"]["code"] == "input.unknown_engine"
    worker.run(private, "keep")


def test_an_engine_that_ends_itself_is_an_event(worker, private):
    worker.send(message(private, "exit"))
    error = worker.read_until("failed")[-1]["error"]
    assert error["code"] == "engine.failed" and "ended itself" in error["message"]
    worker.run(private, "keep")


def test_each_run_begins_with_the_number_of_the_process(worker, private):
    for _ in range(2):
        worker.send(message(private, "keep"))
        events = worker.read_until("result")
        assert events[0] == {"v": 1, "event": "started", "pid": worker.process.pid}
        assert {"v": 1, "event": "log", "text": "to standard output"} in events


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_run_by_run_the_worker_is_in_the_folder_of_the_run(worker, home, runs):
    for name in ("a", "b"):
        folder = runs / name
        folder.mkdir()
        told = worker.run(folder, "places")
        assert told["cwd"] == str(folder)
        assert told["child"] == [str(folder), str(folder)]
        assert Path(told["temporary"]).parent == Path(told["socket"]).parents[1] == folder
        assert worker.cwd() == home
    assert list(home.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_child_outlives_its_run(worker, private):
    assert gone(worker.run(private, "child")["child"])
    assert engine_processes(private) == []


def test_engines_keep_values_between_runs(worker, private):
    assert worker.run(private, "keep") == worker.run(private, "keep")


def test_cancel_ends_the_run_and_not_the_worker(worker, private):
    worker.send(message(private, "wait"))
    worker.read_until("log")
    worker.send({"v": 1, "command": "cancel"})
    assert worker.read_until("failed")[-1]["error"]["code"] == "cancelled"
    worker.run(private, "keep")


def test_cancel_right_after_the_run_was_sent_is_heeded(worker, private):
    worker.send(message(private, "wait"), {"v": 1, "command": "cancel"})
    assert worker.read_until("failed")[-1]["error"]["code"] == "cancelled"


def test_cancel_that_comes_too_late_is_not_the_next_runs(worker, private):
    worker.run(private, "keep")
    worker.send({"v": 1, "command": "cancel"}, message(private, "keep"))
    worker.read_until("result")


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_idle_worker_ends_and_leaves_files_alone(home, private):
    worker = Worker(home, idle_s=0.2)
    worker.run(private, "keep")
    worker.process.wait(timeout=10)
    worker.close_pipes()
    assert (private / "image.nii").exists()  # its session goes on


@pytest.mark.parametrize(
    ("much", "pause_s", "after_runs"), [(False, 60, [2]), (False, 0.02, [1, 2]), (True, 60, [1, 2])]
)
def test_memory_goes_back_after_a_pause_and_at_once_if_it_is_much(
    monkeypatch, much, pause_s, after_runs
):
    ran, given_back, worker = [], [], worker_module.Worker(io.StringIO())
    monkeypatch.setattr(worker, "_answer", lambda run: ran.append(run) or Started(1))
    monkeypatch.setattr(worker_module, "_PAUSE_S", pause_s)
    monkeypatch.setattr(worker_module, "leave_devices", lambda: None)  # long in a large process
    monkeypatch.setattr(worker_module, "has_much_memory", lambda: much)
    monkeypatch.setattr(worker_module, "give_back_memory", lambda: given_back.append(len(ran)))
    worker._runs.put({"command": "run"})
    threading.Timer(0.2, worker._runs.put, [{"command": "run"}]).start()
    worker.serve(idle_s=0.5)
    assert given_back == after_runs


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("moment", ["in the run", "after the run"])
def test_worker_ends_with_its_application_and_takes_the_image_along(moment, worker, private):
    if moment == "in the run":
        worker.send(message(private, "wait"))
        worker.read_until("log")
    else:
        worker.run(private, "keep")
    worker.close_pipes()
    assert removed(private)
    assert gone(worker.process.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("name", ["tseg-kept", "thesis"])
def test_worker_removes_nothing_but_a_private_folder_that_has_an_owner(name, worker, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    if name == "thesis":
        (folder / "owner.lock").touch()
    worker.run(folder, "keep")
    worker.close_pipes()
    worker.process.wait(timeout=30)
    assert folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_worker_that_never_served_ends_with_its_application(worker):
    worker.close_pipes()
    worker.process.wait(timeout=30)
