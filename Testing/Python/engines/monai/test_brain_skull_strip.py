"""Skull stripping by a command of the user."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import brain_heads as heads
import numpy as np
import pytest
from support.processes import gone, is_alive

from TotalSegmentatorLib.engines.contract import Reporter
from TotalSegmentatorLib.engines.nv_segment import SPEC
from TotalSegmentatorLib.engines.nv_segment.brain import BrainOptions, prepare_brain
from TotalSegmentatorLib.engines.nv_segment.brain.skull_strip import split_command, strip_skull
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.images import write_labelmap, write_nifti
from TotalSegmentatorLib.jobs import JobContext, Log

# What a skull stripper does, as far as its caller sees it: the brain lies ready in a file.
STRIPPER = """
import gzip, os, pathlib, shutil, subprocess, sys, time
behaviour, head, ready, result = sys.argv[1:]
assert gzip.open(head).read(348)[344:347] == b"n+1"
print("It works.", flush=True)
if behaviour == "fails":
    sys.exit("Traceback\\nOSError: no weights.")
if behaviour == "hangs":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(ready).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
if behaviour != "writes nothing":
    shutil.copy(ready, result)
if behaviour == "says what it may use":
    print(os.environ.get("PYTHONNOUSERSITE", "all"))
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A private folder with a blank in its name."""
    folder = tmp_path / "private folder"
    folder.mkdir()
    return folder


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def context(logged) -> JobContext:
    return JobContext(lambda event: logged.append(event.text) if isinstance(event, Log) else None)


@pytest.fixture
def report(context) -> Reporter:
    return Reporter(SPEC, context)


@pytest.fixture(scope="module")
def head():
    return heads.drawn(heads.grid((6, 6, 6)), heads.pose(), noise=5)


@pytest.fixture
def command(tmp_path):
    """A command line: its behaviour, what is ready, and the placeholder of its result."""
    script = tmp_path / "strip it.py"
    script.write_text(STRIPPER, encoding="utf-8")

    def build(behaviour: str, ready: Path, result: str = "{output}") -> str:
        words = (sys.executable, str(script), behaviour, "{input}", str(ready), result)
        return " ".join(shlex.quote(word) for word in words)

    return build


def brain_file(folder: Path, head) -> Path:
    image, labels = head
    path = folder.parent / "a brain.nii.gz"
    # As SynthStrip writes images with negative values: their lowest one around the brain.
    write_nifti(image.with_array(np.where(labels.array > 0, image.array, -40)), path)
    return path


def mask_file(folder: Path, labels) -> Path:
    path = folder.parent / "a mask.nii.gz"
    write_labelmap(labels, path, {})
    return path


def test_the_brain_or_its_mask_comes_back(head, folder, report, command, logged, monkeypatch):
    image, labels = head
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    line = command("says what it may use", brain_file(folder, head))
    assert np.array_equal(strip_skull(line, image, folder, report), labels.array > 0)
    line = command("writes", mask_file(folder, labels), "{mask}")
    assert np.array_equal(strip_skull(line, image, folder, report), labels.array > 0)
    assert logged == ["It works.", "all", "It works."]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("fails", "failed: OSError: no weights."),
        ("writes nothing", "ended without a file for {output}."),
        ("writes another grid", "wrote a file that does not lie on the image's grid."),
        ("writes the head", "wrote an image that does not show a brain without skull."),
        (
            "writes a text",
            "wrote a file of no use: brain.nii.gz is not an image of a known format.",
        ),
    ],
)
def test_failures_are_told(head, folder, report, command, behaviour, words):
    image, _ = head
    ready = folder.parent / "ready.nii.gz"
    ready.write_text("no image", encoding="utf-8")
    if behaviour == "writes the head":
        write_nifti(image, ready)
    if behaviour == "writes another grid":
        write_nifti(heads.drawn(heads.grid((6, 6, 7)), heads.pose(), skull=False)[0], ready)
    with pytest.raises(SetupError) as caught:
        strip_skull(command(behaviour, ready), image, folder, report)
    assert caught.value.code == "environment.skull_strip_failed"
    assert caught.value.message.endswith(words)
    assert str(folder) not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_an_empty_mask_is_no_brain(head, folder, report, command):
    image, labels = head
    empty = mask_file(folder, labels.with_array(np.zeros_like(labels.array)))
    options = BrainOptions(skull_strip=command("writes", empty, "{mask}"))
    with pytest.raises(InputError) as caught:
        prepare_brain(image, options, folder, report)
    assert caught.value.code == "input.no_brain"


def wait_for_pids(path: Path) -> list[int]:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if path.exists() and path.read_text(encoding="utf-8").count(" "):
            return [int(pid) for pid in path.read_text(encoding="utf-8").split()]
        time.sleep(0.01)
    raise AssertionError("the command did not start")


def test_a_command_that_hangs_ends_with_everything_it_started(
    head, folder, report, command, context
):
    pids = folder.parent / "pids"
    found: list[int] = []

    def cancel() -> None:
        found.extend(wait_for_pids(pids))
        assert all(map(is_alive, found))
        context.cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError):
        strip_skull(command("hangs", pids), head[0], folder, report)
    thread.join()
    assert len(found) == 2 and all(map(gone, found))
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="taskkill ends descendants wherever they are")
def test_a_command_ends_with_the_engine(head, folder, command):
    pids = folder.parent / "pids"
    write_nifti(head[0], folder.parent / "head.nii")
    code = (
        "import pathlib, sys\n"
        f"sys.path.insert(0, {str(Path(heads.__file__).parents[4] / 'TotalSegmentator')!r})\n"
        "from TotalSegmentatorLib.engines.contract import Reporter\n"
        "from TotalSegmentatorLib.engines.nv_segment import SPEC\n"
        "from TotalSegmentatorLib.engines.nv_segment.brain.skull_strip import strip_skull\n"
        "from TotalSegmentatorLib.images import read_image\n"
        "from TotalSegmentatorLib.jobs import JobContext\n"
        "report = Reporter(SPEC, JobContext(print))\n"
        "line, image, folder = sys.argv[1:]\n"
        "strip_skull(line, read_image(image)[0], pathlib.Path(folder), report)\n"
    )
    arguments = (command("hangs", pids), str(folder.parent / "head.nii"), str(folder))
    engine = subprocess.Popen([sys.executable, "-c", code, *arguments])
    try:
        found = wait_for_pids(pids)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    assert all(map(gone, found))


def test_programs_that_are_not_there_are_told(head, folder, report):
    with pytest.raises(SetupError) as caught:
        strip_skull("/no/such-stripper {input} {output}", head[0], folder, report)
    assert caught.value.code == "environment.skull_strip_missing"
    assert "such-stripper was" in caught.value.message and "/no" not in caught.value.message


def test_commands_are_split_as_shells_do():
    line = '"a b" -i {input} --out="{output}" # \'c d\''
    assert split_command(line, windows=False) == [
        "a b",
        "-i",
        "{input}",
        "--out={output}",
        "#",
        "c d",
    ]
    line = r'"C:\Program Files\strip.exe" {input} {output} D:\new'
    expected = [r"C:\Program Files\strip.exe", "{input}", "{output}", r"D:\new"]
    assert split_command(line, windows=True) == expected


@pytest.mark.parametrize(
    "line", ["", "strip", "strip {input}", "strip {output}", '"strip {input} {mask}']
)
def test_commands_without_their_placeholders_are_refused(line):
    with pytest.raises(InputError) as caught:
        split_command(line)
    assert caught.value.code == "input.bad_option"
    assert "{input}" in caught.value.remedy
