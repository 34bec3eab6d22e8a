"""The examples of the documents do what the documents say.

Those of a section share their names with the sections before. A comment ``# -> ...`` in an example
is a line that it prints; three dots stand for anything.
"""

from __future__ import annotations

import doctest
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUNNER = Path(__file__).with_name("run_examples.py")
CONSOLE, README = ROOT / "Docs" / "console.md", ROOT / "README.md"
# What its numbers are about can only be found by the demo model itself.
REAL = "A first segmentation"
HOST = "Without waiting"


@dataclass(frozen=True)
class Example:
    """A block of Python in a document.

    :param section: title of the section that it stands in.
    """

    section: str
    text: str

    @property
    def expected(self) -> str:
        """What the document says that it prints."""
        return "".join(f"{line}\n" for line in re.findall(r"# -> (.*)", self.text))


def examples(document: Path) -> list[Example]:
    found, section = [], ""
    for title, text in re.findall(
        r"^## (.+?)$|^```python\n(.*?)^```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        section = title or section
        if text:
            found.append(Example(section, text))
    return found


def run(where: str, chosen: list[Example], image: Path, engine: Path | str, folder: Path) -> str:
    """Run examples one after the other in a fresh process; what they print must be as documented.

    :return: what it wrote to standard error.
    """
    shutil.copy(image, folder / "ct.nii.gz")
    answer = subprocess.run(
        [sys.executable, RUNNER, where, image, engine],
        input=json.dumps([example.text for example in chosen]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
    )
    assert answer.returncode == 0, answer.stderr
    for example, printed in zip(chosen, json.loads(answer.stdout.splitlines()[-1]), strict=True):
        same = doctest.OutputChecker().check_output(example.expected, printed, doctest.ELLIPSIS)
        assert same, f"{example.section}:\n{example.text}\nprinted\n{printed}"
    return answer.stderr


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """An empty folder to work in, and a user without earlier runs."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.slow
def test_bare_slicer_core(sample, ready):
    """In one process: what stands in README, then the page about the console."""
    page = examples(CONSOLE)
    assert page[0].section == REAL
    # Its names are used by what follows; what it prints needs the real model.
    silent = re.sub(r"^(    )?print.*|^# ->.*|^for .*", "", page[0].text, flags=re.MULTILINE)
    others = [example for example in page if example.section not in (REAL, HOST)]
    readme = [example for example in examples(README) if example.section == "In Slicer"]
    assert readme and len(others) > 12
    run("bare", [*readme, Example(REAL, silent), *others], sample.ct_small, "stand-in", ready)
    assert (ready / "liver.seg.nrrd").is_file()


PROCESS = """
import threading
import qt
from TotalSegmentator import TotalSegmentatorLogic

ticks = []
timer = qt.QTimer()
timer.setInterval(5)
timer.connect("timeout()", lambda: ticks.append(threading.current_thread()))
timer.start()
lines = []
logic = TotalSegmentatorLogic()
logic.logCallback = lines.append
segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
logic.process(getNode("CTACardio"), segmentation, fast=True)
timer.stop()
print(segmentation.GetSegmentation().GetNumberOfSegments())  # -> 117
print(len(ticks) > 0, set(ticks) == {threading.main_thread()})  # -> True True
print("Measuring the structures" in lines)  # -> True
"""


@pytest.mark.slow
def test_event_loop(sample, ready):
    """In the application jobs go on by themselves, and a script that waits leaves it alive."""
    chosen = [example for example in examples(CONSOLE) if example.section == HOST]
    assert chosen
    run("host", [*chosen, Example("process()", PROCESS)], sample.ct_small, "stand-in", ready)


@pytest.mark.slow
def test_numbers_of_the_demo_model(sample, engine, ready):
    chosen = [example for example in examples(CONSOLE) if example.section == REAL]
    assert chosen
    run("bare", chosen, sample.ct, engine.python, ready)
