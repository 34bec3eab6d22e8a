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

# A subset without a task: the structures are planned, and names may be any.
requests = []
logic.segment = lambda volume, **values: requests.append(values) or Waiting()
class Waiting:
    def wait(self): pass
logic.process(volume, segmentation, subset=["liver", "lungs"])
assert requests[0]["task"] == "" and list(requests[0]["structures"]) == ["liver", "lungs"]

# Options that are attributes go to the tasks that have them.
logic.robustCrop = True
logic.process(volume, segmentation, task="total")
logic.process(volume, segmentation, task="wholebody_ct")
logic.process(volume, segmentation, subset=["liver"])
assert [values.get("robust_crop") for values in requests[1:]] == [True, None, True]
print("done")
"""

SEQUENCE = """
import sys
import slicer
from TotalSegmentator import TotalSegmentatorLogic
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.scene.headless import HeadlessApplication

application = HeadlessApplication()
scene = slicer.mrmlScene = application.scene
volume = application.load_volume(sys.argv[1])
sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
for value in ("0", "1", "2"):
    sequence.SetDataNodeAtValue(volume, value)
browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
browser.SetSelectedItemNumber(1)
application.sequences.UpdateProxyNodesFromSequences(browser)
proxy = browser.GetProxyNode(sequence)
logic = TotalSegmentatorLogic()
logic.enginePython = sys.argv[2]
output = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
started = []
logic.logCallback = started.append
logic.process(proxy, output, task="demo", subset=["liver"], sequenceBrowserNode=browser)
assert browser.GetSelectedItemNumber() == 1
segmentations = browser.GetSequenceNode(output)
assert segmentations.GetNumberOfDataNodes() == 3
for n in range(3):
    content = segmentations.GetNthDataNode(n).GetSegmentation()
    assert content.GetNthSegmentID(0) == "liver" and content.GetNumberOfSegments() == 1
assert output.GetSegmentation().GetSegmentIDs() == ("liver",)
try:
    logic.segmentSequence(volume, task="demo")
except InputError as error:
    assert error.code == "input.not_in_sequence"
else:
    raise AssertionError("not a sequence")
def code_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        return error.code
    raise AssertionError("not refused")

other = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
assert code_of(logic.process, proxy, None, task="demo", sequenceBrowserNode=other) == (
    "input.not_in_sequence")
scene.RemoveNode(other)
assert code_of(logic.segment, proxy, task="demo", output=output) == "output.in_a_sequence"
assert code_of(logic.segment, proxy, task="demo", output=volume) == "output.not_a_segmentation"
assert code_of(logic.segmentSequence, proxy, [], task="demo") == "input.bad_frames"
events = []
run = logic.segment(proxy, task="demo", onEvent=events.append)
browser.SetSelectedItemNumber(2)
single = run.wait()
assert single is not output and single.GetSegmentation().GetSegment("liver")
assert "input.frame_changed" in [getattr(event, "code", "") for event in events]
scene.RemoveNode(single)
browser.SetSelectedItemNumber(1)
before = scene.GetNumberOfNodes()
run = logic.segmentSequence(proxy, "1-2", task="demo")
run.cancel()
try:
    run.wait()
except Exception as error:
    assert error.code == "cancelled", error
assert scene.GetNumberOfNodes() == before
assert logic.canRestorePrevious(output)
logic.restorePrevious(output)
assert browser.GetSequenceNode(output) is None
print("done")
"""

NEW_API = """
import sys
from pathlib import Path
import slicer
from TotalSegmentator import TotalSegmentatorLogic
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.scene.headless import HeadlessApplication

def segments(node):
    content = node.GetSegmentation()
    return [content.GetNthSegment(n) for n in range(content.GetNumberOfSegments())]

application = HeadlessApplication()
volume = application.load_volume(sys.argv[1])
logic = TotalSegmentatorLogic()
logic.enginePython = sys.argv[2]
logic.useStandardSegmentNames = False
run = logic.segment(volume, task="demo", device="cpu")
segmentation = run.wait()
assert segmentation.GetSegmentation().GetSegment("liver").GetName() == "liver"
assert run.progress.fraction > 0.9
labels = [liver.GetName() for liver in segments(segmentation)]
assert segmentation.GetAttribute("TotalSegmentator.task") == "demo"
logic.useStandardSegmentNames = True
run = logic.segment(volume, task="demo", structures=["spleen"], output=segmentation, mode="append",
                    makeTable=True)
assert run.wait() is segmentation
assert len(segments(segmentation)) == len(labels) + 1
assert "Spleen" in [segment.GetName() for segment in segments(segmentation)]
table = application.scene.GetFirstNodeByClass("vtkMRMLTableNode")
assert table.GetNumberOfRows() == 1 and table.GetCellText(0, 0) == "spleen"
logic.restorePrevious(segmentation)
assert [segment.GetName() for segment in segments(segmentation)] == labels
logic.restorePrevious(segmentation)
assert len(segments(segmentation)) == len(labels) + 1
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
# Environments, weights and licence
logic = TotalSegmentatorLogic()
logic.totalSegmentatorWeightsPath = str(Path(sys.argv[0]).parent / "weights")
assert logic.environments() == () and logic.currentEnvironment() is None
assert not logic.canGoBack()
models = catalog.task("total").required_models("fast")
entries = logic.startWeightsList().wait()
assert set(models) <= {entry.model for entry in entries}
assert {entry.state for entry in entries} == {"missing"}
assert logic.startWeightsCheck(models).wait() == ()
assert logic.startWeightsRemoval(models).wait() == 0
for call, code in (
    (logic.startWeightsImport(sys.argv[0]).wait, "weights.damaged_archive"),
    (lambda: logic.setLicense("too short"), "licence.invalid"),
):
    try:
        call()
    except SetupError as error:
        assert error.code == code, error
    else:
        raise AssertionError(code)
assert logic.licenceStatus().state == "none"
terms = logic.termsToAccept(volume, task="nv_ct_body")
assert [one.id for one in terms] == ["nv-segment-ctmr"]
try:
    logic.segment(volume, task="nv_ct_body")
except SetupError as error:
    assert error.code == "licence.not_accepted", error
else:
    raise AssertionError("not refused")
logic.acceptTerms(terms[0].id)
assert logic.termsToAccept(volume, task="nv_ct_body") == ()
assert "qt" not in sys.modules and "torch" not in sys.modules
print("done")
"""


@pytest.mark.parametrize(
    "script",
    [FORMER_API, *(pytest.param(one, marks=pytest.mark.slow) for one in (NEW_API, SEQUENCE))],
    ids=["former", "new", "sequence"],
)
def test_script(script, sample, engine, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(script)
    own = {"XDG_DATA_HOME": str(tmp_path), "TOTALSEG_HOME_DIR": str(tmp_path)}
    answer = subprocess.run(
        [interpreter(ROOT / ".venv"), path, sample.ct, engine.python],
        capture_output=True,
        text=True,
        env={**os.environ, **own, "PYTHONPATH": str(ROOT / "TotalSegmentator")},
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "done"
