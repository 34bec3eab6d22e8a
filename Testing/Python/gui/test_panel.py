"""The panel as people use it: Apply, Cancel, errors, a scene that changes in mid-run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from slicerhost.api_check import check as check_api
from support.processes import engine_processes, wait_until_gone

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.images import Layer, SegmentRecord, read_image
from TotalSegmentatorLib.jobs import Job
from TotalSegmentatorLib.scene import image_to_volume, import_layers, volume_to_image

MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator" / "TotalSegmentator.py"
UI = MODULE.parent / "Resources" / "UI" / "TotalSegmentator.ui"
RUN_TIMEOUT_S = 240


@pytest.fixture
def panel(module, host, engine, runs):
    """The panel, entered, with the engine of this checkout and the demo task chosen."""
    host.enter(module)
    module.widget.logic.enginePython = str(engine.python)
    task = module.widget.ui.taskComboBox
    task.currentIndex = task.findData("demo")
    return module.widget


@pytest.fixture
def volume(panel, sample):
    """The sample CT, chosen as input."""
    image, _ = read_image(sample.ct)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    image_to_volume(image, node)
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    return node


@pytest.fixture
def earlier(panel, volume):
    """A segmentation with work in it, chosen as output."""
    image = volume_to_image(volume)
    labels = image.with_array((image.array > 300).astype(np.uint8))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "earlier work")
    record = SegmentRecord("mine", "My bone", 1, (1, 2, 3), "")
    import_layers([Layer(labels, (record,))], node, volume)
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    return node


def segment_ids(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]


def node_ids() -> set[str]:
    scene = slicer.mrmlScene
    return {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}


def start_and_wait_for_engine(panel, host, runs) -> None:
    panel.ui.applyButton.click()
    assert panel.ui.cancelButton.enabled
    assert host.wait(lambda: engine_processes(runs), 60), panel.ui.statusLabel.text


def finished(panel, host) -> bool:
    return host.wait(lambda: panel._run is None, RUN_TIMEOUT_S)


def test_api_of_the_application_has_all_that_the_panel_uses():
    assert check_api(MODULE, UI) == []


def test_fresh_panel_says_what_to_do(panel):
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip == "Choose a volume first."
    assert not panel.ui.cancelButton.enabled
    titles = {task.title for task in catalog.tasks() if not task.hidden}
    assert panel.ui.taskComboBox.count == len(titles)


def test_state_is_kept_in_the_parameter_node(panel, volume, host, module):
    assert panel.ui.applyButton.enabled
    task = panel.ui.taskComboBox
    task.currentIndex = task.findData("total")
    speed = panel.ui.speedComboBox
    speed.currentIndex = speed.findData("fastest")
    host.leave()
    host.enter(module)
    assert panel._parameterNode.task == "total"
    assert panel._parameterNode.speed == "fastest"
    assert panel.ui.speedComboBox.currentData == "fastest"
    assert panel._parameterNode.inputVolume is volume


def test_speeds_are_those_of_the_task(panel, volume):
    task = panel.ui.taskComboBox
    task.currentIndex = task.findData("total")
    assert [panel.ui.speedComboBox.itemData(i) for i in range(3)] == list(catalog.SPEEDS)
    task.currentIndex = task.findData("lung_vessels")
    assert panel.ui.speedComboBox.count == 1
    assert not panel.ui.speedComboBox.enabled


def test_apply_brings_a_segmentation(panel, volume, host, runs):
    start_and_wait_for_engine(panel, host, runs)
    assert not panel.ui.applyButton.enabled
    assert finished(panel, host)
    node = panel._parameterNode.outputSegmentation
    assert node is not None, panel.ui.statusLabel.text
    assert node.GetName() == "ct segmentation (demo)"
    assert len(segment_ids(node)) >= 25
    liver = node.GetSegmentation().GetSegment("liver")
    assert liver.GetName() == "Liver"
    assert "10200004" in liver.GetTerminology()
    assert panel.ui.progressBar.value == panel.ui.progressBar.maximum
    assert "Done" in panel.ui.statusLabel.text
    assert "demo" in panel.ui.statusLabel.text
    assert "Warning: The demo model" in panel.ui.logTextEdit.toPlainText()
    assert panel.ui.applyButton.enabled
    assert panel.ui.show3DButton.enabled
    assert not panel.ui.undoButton.enabled  # there was nothing before
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetName() == "ct segmentation (demo) report"
    assert "Liver" in [table.GetCellText(row, 1) for row in range(table.GetNumberOfRows())]
    assert node.GetAttribute("TotalSegmentator.task") == "demo"
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []


def test_result_can_be_undone_and_brought_back(panel, volume, earlier, host, runs):
    assert not panel.ui.undoButton.enabled
    start_and_wait_for_engine(panel, host, runs)
    assert not panel.ui.undoButton.enabled
    assert finished(panel, host)
    found = segment_ids(earlier)
    assert "mine" not in found and "liver" in found
    panel.ui.undoButton.click()
    assert segment_ids(earlier) == ["mine"]
    assert "back" in panel.ui.statusLabel.text
    panel.ui.undoButton.click()
    assert segment_ids(earlier) == found
    slicer.mrmlScene.RemoveNode(earlier)
    assert not panel.ui.undoButton.enabled


@pytest.mark.slow
def test_frames_of_a_sequence(panel, volume, sample, host, runs):
    assert not panel.ui.framesLineEdit.isVisibleTo(panel.ui.inputsCollapsibleButton)
    logic = slicer.vtkSlicerSequencesLogic()
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "ct sequence")
    for value in ("0", "1", "2"):
        sequence.SetDataNodeAtValue(volume, value)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetSelectedItemNumber(0)
    logic.UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    panel.ui.inputVolumeSelector.setCurrentNode(proxy)
    assert panel.ui.framesLineEdit.isVisibleTo(panel.ui.inputsCollapsibleButton)
    panel.ui.framesLineEdit.text = "2-5"
    panel.ui.applyButton.click()
    assert "There is no frame 5; the sequence has 3." in panel.ui.statusLabel.text
    panel.ui.framesLineEdit.text = "2-3"
    start_and_wait_for_engine(panel, host, runs)
    assert finished(panel, host)
    node = panel._parameterNode.outputSegmentation
    assert "Done: 2 frames segmented." in panel.ui.statusLabel.text
    assert panel.ui.statusLabel.text.count("demo model") == 1
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert {table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())} == {"2", "3"}
    assert browser.GetSelectedItemNumber() == 0
    assert segment_ids(node) == []  # frame 1 was not asked for
    browser.SetSelectedItemNumber(2)
    logic.UpdateProxyNodesFromSequences(browser)
    assert "liver" in segment_ids(node)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    panel.ui.applyButton.click()
    assert "The segmentation shows a sequence." in panel.ui.statusLabel.text
    assert wait_until_gone(runs) == []


def test_cancel_changes_nothing_and_leaves_no_process(panel, volume, earlier, host, runs):
    before = node_ids()
    segmentation = earlier.GetSegmentation()
    start_and_wait_for_engine(panel, host, runs)
    panel.ui.cancelButton.click()
    assert finished(panel, host)
    assert "cancelled" in panel.ui.statusLabel.text
    assert node_ids() == before
    assert earlier.GetSegmentation() is segmentation
    assert segment_ids(earlier) == ["mine"]
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []
    assert panel.ui.applyButton.enabled


def test_killed_engine_is_one_sentence_and_changes_nothing(panel, volume, earlier, host, runs):
    start_and_wait_for_engine(panel, host, runs)
    for pid in engine_processes(runs):
        os.kill(pid, 9)
    assert finished(panel, host)
    assert "memory" in panel.ui.statusLabel.text
    assert segment_ids(earlier) == ["mine"]
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize("event", ["scene closed", "volume removed"])
def test_scene_that_changes_in_mid_run(event, panel, volume, host, runs):
    start_and_wait_for_engine(panel, host, runs)
    if event == "scene closed":
        host.closeScene()
    else:
        slicer.mrmlScene.RemoveNode(volume)
        panel.ui.cancelButton.click()
    assert finished(panel, host)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_volume_removed_before_the_result_arrives(panel, volume, host, runs):
    start_and_wait_for_engine(panel, host, runs)
    slicer.mrmlScene.RemoveNode(volume)
    assert finished(panel, host)
    assert "removed from the scene" in panel.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


@pytest.mark.slow
def test_id_that_is_used_again_is_not_the_same_volume(panel, volume, host, runs):
    """A script's run goes on when the scene is closed; the next patient gets the same node id."""
    run = panel.logic.segment(volume, task="demo")
    id_before = volume.GetID()
    slicer.mrmlScene.Clear(0)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other patient")
    assert other.GetID() == id_before
    with pytest.raises(InputError) as caught:
        run.wait()
    assert caught.value.code == "input.node_removed"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


@pytest.mark.slow
def test_cancel_in_the_last_moment_changes_nothing(panel, volume, runs):
    run = panel.logic.segment(volume, task="demo")
    run._job._thread.join()
    run.cancel()
    with pytest.raises(CancelledError):
        run.wait()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_panel_left_during_setup_goes_on_with_what_was_asked(panel, volume, host, monkeypatch):
    ready = []
    monkeypatch.setattr(panel.logic, "isEngineReady", lambda: bool(ready))
    monkeypatch.setattr(panel, "confirm", lambda text: True)
    setup = Job(lambda context: (time.sleep(0.3), ready.append(True))).start()
    monkeypatch.setattr(panel.logic, "startSetup", lambda onEvent: setup)
    panel.ui.applyButton.click()
    host.leave()
    assert host.wait(lambda: ready and panel._run is not setup, 10)
    assert finished(panel, host)
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert len(segment_ids(node)) >= 25


def test_labelmap_is_not_taken_as_input(panel, host, module):
    host.leave()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    host.enter(module)
    assert panel._parameterNode.inputVolume is None
    assert not panel.ui.applyButton.enabled


def test_badly_sheared_volume_is_refused_before_anything_starts(panel, volume, runs):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 2, 9.0)
    volume.SetIJKToRASMatrix(matrix)
    panel.ui.applyButton.click()
    assert panel._run is None
    assert "off perpendicular" in panel.ui.statusLabel.text
    assert list(runs.iterdir()) == []


def test_missing_weights_are_asked_about(panel, volume, host, runs, monkeypatch, tmp_path):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    panel.logic.totalSegmentatorWeightsPath = str(tmp_path)
    questions: list[str] = []
    monkeypatch.setattr(panel, "confirm", lambda text: questions.append(text))
    task = panel.ui.taskComboBox
    task.currentIndex = task.findData("total")
    panel.ui.applyButton.click()
    assert panel._run is None
    assert len(questions) == 1
    assert "weights" in panel.ui.statusLabel.text


def test_missing_engine_is_asked_about(panel, volume, monkeypatch):
    panel.logic.enginePython = None
    monkeypatch.setattr(panel.logic, "isEngineReady", lambda: False)
    questions: list[str] = []
    monkeypatch.setattr(panel, "confirm", lambda text: questions.append(text))
    panel.ui.applyButton.click()
    assert len(questions) == 1
    assert "PyTorch" in questions[0]
    assert panel._run is None
    assert panel.ui.applyButton.enabled


def test_self_tests_of_the_module(module):
    """What `ctest` runs in Slicer."""
    suite = module.python.TotalSegmentatorTest()
    suite.runTest()


def test_terminology_is_known_after_the_start(module, host):
    logic = slicer.modules.terminologies.logic()
    entry = slicer.vtkSlicerTerminologyEntry()
    assert logic.DeserializeTerminologyEntry(
        catalog.structure("kidney_left").terminology_entry(), entry
    )
    names = vtk.vtkStringArray()
    logic.GetLoadedTerminologyNames(names)
    loaded = {names.GetValue(i) for i in range(names.GetNumberOfValues())}
    assert entry.GetTerminologyContextName() in loaded
