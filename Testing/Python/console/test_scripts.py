"""Scripts for Slicer's Python console, on bare slicer-core: no Qt, no application."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment.paths import interpreter

ROOT = Path(__file__).resolve().parents[3]

FORMER_API = """
import sys
import slicer
from TotalSegmentator import TotalSegmentatorLogic
from TotalSegmentatorLib.scene.headless import HeadlessApplication

application = HeadlessApplication()
slicer.mrmlScene = application.scene
volume = application.load_volume(sys.argv[1])
segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "result")
logic = TotalSegmentatorLogic()
logic.enginePython = sys.argv[2]
lines = []
logic.logCallback = lines.append
logic.process(volume, segmentation, fast=True, task="demo", subset=["liver", "spleen"])
ids = [segmentation.GetSegmentation().GetNthSegmentID(i)
       for i in range(segmentation.GetSegmentation().GetNumberOfSegments())]
assert sorted(ids) == ["liver", "spleen"], ids
assert any("demo" in line.lower() for line in lines), lines
assert "qt" not in sys.modules and "torch" not in sys.modules
assert logic.getSupportedQualityModesForTask("total") == ["normal", "fast", "faster"]
assert logic.isLicenseRequiredForTask("face") and not logic.isLicenseRequiredForTask("total")
assert logic.tasks["total"]["title"]
name, color = logic.getSegmentLabelColor(logic.totalSegmentatorLabelTerminology["kidney_left"])
assert name == "Left kidney" and len(color) == 3
print("done")
"""

NEW_API = """
import sys
import slicer
from TotalSegmentator import TotalSegmentatorLogic
from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.scene.headless import HeadlessApplication

application = HeadlessApplication()
volume = application.load_volume(sys.argv[1])
logic = TotalSegmentatorLogic()
logic.enginePython = sys.argv[2]
logic.useStandardSegmentNames = False
run = logic.segment(volume, task="demo", device="cpu")
segmentation = run.wait()
assert segmentation.GetSegmentation().GetSegment("liver").GetName() == "liver"
assert run.progress.fraction > 0.9
run = logic.segment(volume, task="demo")
run.cancel()
try:
    run.wait()
except CancelledError:
    pass
else:
    raise AssertionError("not cancelled")
assert application.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
try:
    logic.segment(volume, task="demoo")
except InputError as error:
    assert "demo" in error.remedy
print("done")
"""


@pytest.mark.parametrize("script", [FORMER_API, NEW_API], ids=["former", "new"])
def test_script(script, sample, engine, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(script)
    answer = subprocess.run(
        [interpreter(ROOT / ".venv"), path, sample.ct, engine.python],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "TotalSegmentator")},
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "done"
