"""The command ``dicom`` ended from outside at any time: folders are whole or absent."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from SampleData.dicom_series import made_slices, save
from support.processes import wait_until_gone

from TotalSegmentatorLib.dicom_workflow.record import REPORT
from TotalSegmentatorLib.dicom_workflow.staging import FOLDER

COMMAND = [sys.executable, "-m", "TotalSegmentatorLib.cli.main"]
MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator"
TIMES = 6
KINDS = ("seg", "rtstruct", "sr")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture
def studies(tmp_path) -> Path:
    """Two studies of the demo model's region, with junk beside them."""
    folder = tmp_path / "studies"
    for patient in ("1", "2"):
        save(made_slices(patient=patient), folder / patient)
    (folder / "notes.txt").write_text("no image")
    return folder


def start(studies: Path, output: Path, runs: Path, engine, workers: int) -> subprocess.Popen[str]:
    arguments = ["--task", "demo", "--rtstruct", "--sr", "--engine-python", engine.python]
    arguments += ["--workers", str(workers)]
    return subprocess.Popen(
        [*COMMAND, "dicom", studies, output, *arguments],
        cwd=MODULE,
        env={**os.environ, "TMPDIR": str(runs)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(output: Path) -> None:
    """What is there is whole, and the report can be read."""
    for folder in output.glob("[0-9]*"):
        names = {f"TotalSegmentator.{kind}.dcm" for kind in KINDS}
        assert {path.name for path in folder.iterdir()} == names
        for path in folder.iterdir():
            dcmread(path)
    if (output / REPORT).exists():
        json.loads((output / REPORT).read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "workers"),
    [(signal.SIGTERM, 1), (signal.SIGKILL, 1), (signal.SIGINT, 2), (signal.SIGKILL, 2)],
)
def test_killed_at_random_times(how, workers, studies, engine, tmp_path, runs):
    began, whole = time.monotonic(), tmp_path / "whole"
    process = start(studies, whole, runs, engine, workers)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    seconds = time.monotonic() - began
    expected = sorted(path.relative_to(whole) for path in whole.rglob("*"))
    output, rng = tmp_path / "results", random.Random(7)
    for _ in range(TIMES):
        process = start(studies, output, runs, engine, workers)
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        process.send_signal(how)
        message = process.communicate(timeout=60)[1]
        assert "Traceback" not in message
        assert wait_until_gone(runs) == []
        check(output)
        if how is not signal.SIGKILL:
            assert process.returncode in (0, 130, -how), message
            assert not (output / FOLDER).exists()
            assert list(runs.iterdir()) == []
        if len(list(output.glob("[0-9]*"))) == 2:  # nothing would be left to do
            shutil.rmtree(output)
    process = start(studies, output, runs, engine, workers)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    assert sorted(path.relative_to(output) for path in output.rglob("*")) == expected
    states = {one["state"] for one in json.loads((output / REPORT).read_text())["series"]}
    assert states <= {"done", "skipped"}
    assert list(runs.iterdir()) == []
