"""The engine process and its three streams, also when libraries or the application misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.jobs.runner import run_message

LIBRARY = Path(__file__).resolve().parents[3] / "TotalSegmentator"
VARIABLES = {**os.environ, "PYTHONPATH": str(LIBRARY)}


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "TotalSegmentatorLib.engines.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=VARIABLES,
        start_new_session=True,
    )


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


def test_bad_request_is_an_event_and_the_worker_serves_on(tmp_path):
    worker = start(tmp_path)
    message = run_message(Request(engine="nnunett"), tmp_path / "i.nii", tmp_path / "l.nii")
    events = []
    try:
        for _ in range(2):
            worker.stdin.write(json.dumps(message) + "\n")
            worker.stdin.flush()
            while not events or events[-1]["event"] != "failed":
                events.append(json.loads(worker.stdout.readline()))
            assert events.pop()["error"]["code"] == "input.unknown_engine"
        assert worker.poll() is None
    finally:
        worker.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("moment", ["at once", "idle"])
def test_worker_ends_with_its_application_and_takes_the_image_along(moment, tmp_path):
    folder = tmp_path / "tseg-private"
    folder.mkdir()
    (folder / "image.nii").write_bytes(b"patient")
    worker = start(folder)
    if moment == "idle":
        assert "started" in worker.stdout.readline()
    for stream in (worker.stdin, worker.stdout, worker.stderr):
        stream.close()
    worker.wait(timeout=30)
    end = time.monotonic() + 5
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()
    assert tmp_path.is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_worker_removes_nothing_but_a_private_folder_of_a_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    worker = start(tmp_path)
    for stream in (worker.stdin, worker.stdout, worker.stderr):
        stream.close()
    worker.wait(timeout=30)
    assert (tmp_path / "thesis.txt").exists()
