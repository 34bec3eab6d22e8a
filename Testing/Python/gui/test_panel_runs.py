"""Runs from the panel: Apply, Cancel, the queue, errors and their remedies, results."""

from __future__ import annotations

import os
import tempfile
import time

import numpy as np
import pytest
import slicer
import vtk
from panel_steps import (
    agree_to_install,
    apply,
    cancel,
    error_text,
    finished,
    node_ids,
    remedy_button,
    segment_ids,
    segmentations,
    start,
)
from support.processes import wait_until_gone

from TotalSegmentatorLib import remedies
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.jobs import Job
from TotalSegmentatorLib.remedies import Remedy
from TotalSegmentatorLib.scene import SceneJob, image_to_volume


def test_apply_brings_a_segmentation(panel, volume, host, runs):
    start(panel, host, runs)
    assert panel.ui.applyButton.text == "&Cancel"
    assert finished(panel, host)
    node = panel._parameterNode.resultSegmentation
    assert node is not None, panel.ui.statusLabel.text
    assert panel._parameterNode.outputSegmentation is None  # the next run does not write over it
    assert panel.ui.resultsCollapsibleButton.text == "Results of ct segmentation (demo)"
    assert node.GetName() == "ct segmentation (demo)"
    assert len(segment_ids(node)) >= 25
    liver = node.GetSegmentation().GetSegment("liver")
    assert liver.GetName() == "Liver"
    assert "10200004" in liver.GetTerminology()
    assert panel.ui.progressBar.value == panel.ui.progressBar.maximum
    assert "Done" in panel.ui.statusLabel.text
    assert "demo" in panel.ui.statusLabel.text
    assert "Warning: The demo model" in panel.ui.logTextEdit.toPlainText()
    assert panel.ui.applyButton.text == "&Apply" and panel.ui.applyButton.enabled
    assert panel.ui.show3DButton.enabled
    assert not panel.ui.undoButton.enabled  # there was nothing before
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetName() == "ct segmentation (demo) report"
    assert "Liver" in [table.GetCellText(row, 1) for row in range(table.GetNumberOfRows())]
    assert node.GetAttribute("TotalSegmentator.task") == "demo"
    assert node.GetStorageNode() is None or not node.GetStorageNode().GetFileName()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")  # not asked for
    assert panel.ui.resultsTree.topLevelItemCount >= 25
    assert "found" in panel.ui.resultsLabel.text
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []


def test_result_can_be_undone_and_brought_back(quickPanel, volume, earlier, host):
    panel = quickPanel
    assert not panel.ui.undoButton.enabled
    apply(panel, host)
    assert segment_ids(earlier) == ["liver", "spleen"]
    panel.ui.undoButton.click()
    assert segment_ids(earlier) == ["mine"]
    assert "back" in panel.ui.statusLabel.text
    panel.ui.undoButton.click()
    assert segment_ids(earlier) == ["liver", "spleen"]
    slicer.mrmlScene.RemoveNode(earlier)
    assert not panel.ui.undoButton.enabled


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("replace", ["liver", "spleen"]),
        ("append", ["mine", "liver", "spleen"]),
        ("update", ["mine", "liver", "spleen"]),
    ],
)
def test_earlier_segments(quickPanel, volume, earlier, host, mode, expected):
    box = quickPanel.ui.modeComboBox
    assert box.enabled
    box.currentIndex = box.findData(mode)
    apply(quickPanel, host)
    assert segment_ids(earlier) == expected


def test_ids_as_names(quickPanel, volume, host):
    quickPanel.ui.standardNamesCheckBox.click()
    apply(quickPanel, host)
    (node,) = segmentations()
    assert node.GetSegmentation().GetSegment("liver").GetName() == "liver"


def test_region_is_segmented_and_pasted_back(quickPanel, volume, host, quick):
    center = [0.0] * 6
    volume.GetRASBounds(center)
    middle = [sum(center[2 * i : 2 * i + 2]) / 2 for i in range(3)]
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetXYZ(middle)
    roi.SetRadiusXYZ(60, 50, 40)
    quickPanel.ui.regionSelector.setCurrentNode(roi)
    apply(quickPanel, host)
    assert error_text(quickPanel) == ""
    assert len(quick.requests[0]["region"]) == 8
    (node,) = segmentations()
    bounds = [0.0] * 6
    node.GetSegmentation().GetBounds(bounds)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)
    whole = slicer.util.arrayFromVolume(volume)
    k, j, i = np.nonzero(array)
    assert array.shape == whole.shape and len(k)
    spacing = volume.GetSpacing()
    assert np.ptp(i) * spacing[0] <= 124 and np.ptp(j) * spacing[1] <= 104
    assert (whole[array > 0] > 300).all()
    slicer.mrmlScene.RemoveNode(roi)
    assert quickPanel._parameterNode.region is None


def test_several_volumes_in_one_go(quickPanel, volume, host):
    panel = quickPanel
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    other.CopyContent(volume)
    panel.ui.moreVolumesSelector.setCheckState(other, 2)
    assert [node.GetName() for node in panel._parameterNode.moreVolumes] == ["other"]
    panel.ui.applyButton.click()
    assert panel.ui.queueList.count == 2
    assert "running" in panel.ui.queueList.item(0).text()
    assert "waiting" in panel.ui.queueList.item(1).text()
    assert finished(panel, host)
    assert {node.GetName() for node in segmentations()} == {
        "ct segmentation",
        "other segmentation",
    }
    assert panel._parameterNode.resultSegmentation is not None


def test_runs_can_be_queued_and_taken_out(quickPanel, volume, host, quick):
    panel = quickPanel
    quick.hold()
    panel.ui.applyButton.click()
    assert panel.ui.queueButton.isVisibleTo(panel.parent)
    panel.ui.queueButton.click()
    panel.ui.queueButton.click()
    assert panel.ui.queueList.count == 3
    panel.ui.queueList.currentRow = 2
    panel.ui.removeFromQueueButton.click()
    assert panel.ui.queueList.count == 2
    quick.release()
    assert finished(panel, host)
    assert len(quick.requests) == 2
    assert not panel.ui.queueButton.isVisibleTo(panel.parent)


def test_cancel_all_empties_the_queue(quickPanel, volume, host, quick, runs):
    panel = quickPanel
    quick.hold()
    panel.ui.applyButton.click()
    panel.ui.queueButton.click()
    panel.ui.cancelAllButton.click()
    assert finished(panel, host)
    assert segmentations() == [] and len(quick.requests) <= 1
    assert wait_until_gone(runs) == []


def test_failed_run_does_not_stop_the_next(quickPanel, volume, host, quick):
    quick.fail("engine.failed", "The network failed.")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    other.CopyContent(volume)
    quickPanel.ui.moreVolumesSelector.setCheckState(other, 2)
    apply(quickPanel, host)
    assert [node.GetName() for node in segmentations()] == ["other segmentation"]
    assert "The network failed." in error_text(quickPanel)


def test_progress_and_stage_are_shown(quickPanel, volume, host, quick):
    quick.hold()
    quickPanel.ui.applyButton.click()
    ui = quickPanel.ui
    assert host.wait(lambda: ui.statusLabel.text == "Running the network", 30)
    assert host.wait(lambda: "left" in ui.progressBar.format, 30)
    assert 0 < ui.progressBar.value < ui.progressBar.maximum
    quick.release()
    assert finished(quickPanel, host)


def test_cancel_changes_nothing_and_leaves_no_process(panel, volume, earlier, host, runs):
    before = node_ids()
    segmentation = earlier.GetSegmentation()
    start(panel, host, runs)
    cancel(panel, host)
    assert panel.ui.statusLabel.text == "Stopping..."
    panel.setParameter("speed", "fast")  # whatever changes now
    assert not panel.ui.applyButton.enabled
    assert finished(panel, host)
    assert "cancelled" in panel.ui.statusLabel.text and error_text(panel) == ""
    assert node_ids() == before
    assert earlier.GetSegmentation() is segmentation
    assert segment_ids(earlier) == ["mine"]
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []
    assert panel.ui.applyButton.enabled


def test_double_click_on_apply_is_one_click(quickPanel, volume, host, quick):
    quick.hold()
    quickPanel.ui.applyButton.click()
    quickPanel.ui.applyButton.click()
    assert "Stopping" not in quickPanel.ui.statusLabel.text
    quick.release()
    assert finished(quickPanel, host)
    assert len(segmentations()) == 1


def test_second_run_leaves_the_first_result_alone(quickPanel, volume, host):
    apply(quickPanel, host)
    (first,) = segmentations()
    first.GetSegmentation().GetSegment("liver").SetName("corrected by hand")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    other.CopyContent(volume)
    quickPanel.ui.inputVolumeSelector.setCurrentNode(other)
    apply(quickPanel, host)
    assert [node.GetName() for node in segmentations()] == [
        "ct segmentation",
        "other segmentation",
    ]
    assert first.GetSegmentation().GetSegment("liver").GetName() == "corrected by hand"
    assert "other segmentation" in quickPanel.ui.resultsCollapsibleButton.text


def test_undo_takes_the_report_along(quickPanel, volume, earlier, host):
    apply(quickPanel, host)
    assert quickPanel.ui.resultsTree.topLevelItemCount == 2
    quickPanel.ui.undoButton.click()
    assert quickPanel.ui.resultsTree.topLevelItemCount == 0
    quickPanel.ui.undoButton.click()
    assert quickPanel.ui.resultsTree.topLevelItemCount == 2


def test_exception_that_nobody_expected_is_told_and_the_next_goes_on(
    quickPanel, volume, host, monkeypatch
):
    def fails(*arguments, **options):
        raise ZeroDivisionError("nobody expected this")

    with monkeypatch.context() as patch:
        patch.setattr(quickPanel.logic, "segment", fails)
        quickPanel.ui.applyButton.click()
    assert not quickPanel.busy and "internal error" in error_text(quickPanel)
    apply(quickPanel, host)
    assert len(segmentations()) == 1


def test_volume_that_left_the_scene_while_the_panel_was_left(quickPanel, volume, host, module):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    quickPanel.ui.moreVolumesSelector.setCheckState(other, 2)
    host.leave()
    slicer.mrmlScene.RemoveNode(other)
    host.enter(module)
    apply(quickPanel, host)
    assert [node.GetName() for node in segmentations()] == ["ct segmentation"]


def test_failed_installation_is_what_is_told(quickPanel, volume, host, monkeypatch):
    def setup(onEvent) -> SceneJob:
        def work(context):
            raise SetupError("disk.full", "The disk is full.", "Free some space.")

        return quickPanel.logic.followJob(Job(work).start())

    dialogs = agree_to_install(monkeypatch, setup)
    monkeypatch.setattr(quickPanel.logic, "isEngineReady", lambda: False)
    quickPanel.ui.applyButton.click()
    quickPanel.ui.queueButton.click()  # does not ask, and does not install, a second time
    assert finished(quickPanel, host)
    assert len(dialogs) == 1
    assert "The disk is full." in error_text(quickPanel)
    assert [order.state.value for order in quickPanel.runs._queue.orders] == [
        "failed",
        "cancelled",
        "cancelled",
    ]


def test_error_beside_a_run_does_not_touch_its_display(quickPanel, volume, host, quick):
    quick.hold()
    quickPanel.ui.applyButton.click()
    assert host.wait(lambda: quickPanel.ui.progressBar.value > 0, 30)
    value, text = quickPanel.ui.progressBar.value, quickPanel.ui.statusLabel.text
    quickPanel.runs.showError(SetupError("licence.invalid", "Not accepted.", "Check it."))
    assert (quickPanel.ui.progressBar.value, quickPanel.ui.statusLabel.text) == (value, text)
    assert "Not accepted." in error_text(quickPanel)
    assert remedy_button(quickPanel, "open_licence") is not None
    quick.release()
    assert finished(quickPanel, host)


def test_cancel_stops_all_jobs_beside(panel, volume, host):
    def work(context) -> None:
        while True:
            context.check()
            time.sleep(0.01)

    ended: list[Job] = []
    for _ in range(2):
        panel.runs.start(Job(work), ended.append)
    cancel(panel, host)
    assert not panel.ui.applyButton.enabled
    assert host.wait(lambda: len(ended) == 2, 5)
    assert panel.ui.applyButton.text == "&Apply" and panel.ui.applyButton.enabled
    assert error_text(panel) == ""


def test_sum_of_several_runs_tells_of_the_failed_one(quickPanel, volume, host, quick):
    quick.fail("engine.failed", "The network failed.")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    other.CopyContent(volume)
    quickPanel.ui.moreVolumesSelector.setCheckState(other, 2)
    apply(quickPanel, host)
    assert quickPanel.ui.statusLabel.text == "1 of 2 done, 1 failed: see the list."
    assert "failed" in quickPanel.ui.queueList.item(0).text()


def test_killed_engine_is_one_sentence_and_changes_nothing(
    quickPanel, volume, earlier, host, runs, quick
):
    from support.processes import engine_processes

    quick.hold()
    start(quickPanel, host, runs)
    for pid in engine_processes(runs):
        os.kill(pid, 9)
    assert finished(quickPanel, host)
    assert "memory" in error_text(quickPanel)
    assert segment_ids(earlier) == ["mine"]
    assert list(runs.iterdir()) == []


def test_out_of_gpu_memory_is_retried_on_the_cpu(quickPanel, volume, host, quick):
    quick.fail("gpu.out_of_memory", "The GPU's memory ran out.", "Use less.")
    apply(quickPanel, host)
    assert "memory ran out" in error_text(quickPanel)
    assert host.dialogs == []
    remedy_button(quickPanel, "retry_on_cpu").click()
    assert error_text(quickPanel) == ""
    assert finished(quickPanel, host)
    assert [request["device"] for request in quick.requests] == ["auto", "cpu"]
    assert quickPanel._parameterNode.device == "auto"  # the wish is kept
    assert len(segmentations()) == 1


def test_retry_repeats_the_run_that_failed_not_what_is_chosen_now(quickPanel, volume, host, quick):
    quick.fail("engine.crashed", "The engine ended.")
    apply(quickPanel, host)
    quickPanel.setParameter("task", "total")
    remedy_button(quickPanel, "retry").click()
    assert finished(quickPanel, host)
    assert [request["task"] for request in quick.requests] == ["demo", "demo"]


def test_memory_that_ran_out_offers_what_helps_by_estimate(
    quickPanel, volume, host, quick, monkeypatch
):
    from TotalSegmentatorLib.memory_guard import MemoryGuard, Way

    offered = (
        Remedy(remedies.CHANGE_OPTIONS, "in three parts", {"force_split": True}),
        Remedy(remedies.RETRY_ON_CPU),
    )
    monkeypatch.setattr(
        MemoryGuard,
        "ways",
        lambda guard, runs, code: tuple(Way(remedy, "so", runs) for remedy in offered),
    )
    monkeypatch.setattr("TotalSegmentatorLib.environment.check_weights", lambda *_: None)
    quickPanel.setParameter("task", "total")
    quick.fail("memory.exhausted", "There is too little memory.")
    apply(quickPanel, host)
    assert "It needs less of that memory so or so." in error_text(quickPanel)
    assert remedy_button(quickPanel, "retry_on_cpu") is not None
    remedy_button(quickPanel, "change_options").click()
    assert finished(quickPanel, host)
    assert [request["options"]["force_split"] for request in quick.requests] == [False, True]


def test_details_can_be_copied(quickPanel, volume, host, quick):
    volume.SetName("DOE JOHN")
    quick.fail("engine.failed", "The network failed.", "Report it.")
    apply(quickPanel, host)
    quickPanel.ui.copyDetailsButton.click()
    copied = slicer.app.clipboard().text()
    assert "engine.failed" in copied and "some details" in copied and "JOHN" not in copied
    quickPanel.ui.dismissErrorButton.click()
    assert error_text(quickPanel) == ""
    assert "[engine.failed]" in quickPanel.ui.logTextEdit.toPlainText()


def test_licence_error_opens_the_setup(quickPanel, volume, host, quick):
    quick.fail("licence.missing", "A licence is needed.", "Enter it.")
    apply(quickPanel, host)
    assert quickPanel.ui.setupCollapsibleButton.collapsed
    remedy_button(quickPanel, "open_licence").click()
    assert not quickPanel.ui.setupCollapsibleButton.collapsed


@pytest.mark.slow
def test_frames_of_a_sequence(panel, volume, host, runs):
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
    assert "There is no frame 5; the sequence has 3." in error_text(panel)
    panel.ui.framesLineEdit.text = "2-3"
    start(panel, host, runs)
    assert finished(panel, host)
    node = panel._parameterNode.resultSegmentation
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
    assert "The segmentation shows a sequence." in error_text(panel)
    assert wait_until_gone(runs) == []


def test_badly_sheared_volume_is_refused_before_anything_starts(quickPanel, volume, runs):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 2, 9.0)
    volume.SetIJKToRASMatrix(matrix)
    quickPanel.ui.applyButton.click()
    assert not quickPanel.busy
    assert "off perpendicular" in error_text(quickPanel)
    assert list(runs.iterdir()) == []


def test_volume_without_values_is_told_by_the_run(quickPanel, volume, host):
    image_to_volume(Image(np.full((20, 20, 20), np.nan, np.float32), np.eye(4)), volume)
    apply(quickPanel, host)
    assert "no voxel with a value" in error_text(quickPanel)
    assert segmentations() == []


def test_missing_weights_are_asked_about(quickPanel, volume, monkeypatch, tmp_path):
    panel = quickPanel
    panel.ui.weightsPathLineEdit.currentPath = str(tmp_path)
    from TotalSegmentatorWidgets import RunControl

    questions: list[str] = []
    monkeypatch.setattr(RunControl, "confirm", questions.append)
    panel.setParameter("task", "total")
    panel.ui.applyButton.click()
    assert not panel.busy
    assert len(questions) == 1 and "MB" in questions[0]
    assert "weights" in error_text(panel)
    assert remedy_button(panel, "download_weights").isVisibleTo(panel.parent)


def test_panel_left_during_setup_goes_on_with_what_was_asked(quickPanel, volume, host, monkeypatch):
    panel = quickPanel
    ready = []
    monkeypatch.setattr(panel.logic, "isEngineReady", lambda: bool(ready))

    def setup(onEvent) -> SceneJob:
        job = Job(lambda context: (time.sleep(0.3), ready.append(True))).start()
        return panel.logic.followJob(job)

    agree_to_install(monkeypatch, setup)
    panel.ui.applyButton.click()
    host.leave()
    assert finished(panel, host) and ready
    (node,) = segmentations()
    assert segment_ids(node) == ["liver", "spleen"]


@pytest.mark.slow
def test_id_that_is_used_again_is_not_the_same_volume(quickPanel, volume, host, runs):
    """A script's run goes on when the scene is closed; the next patient gets the same node id."""
    run = quickPanel.logic.segment(volume, task="demo")
    id_before = volume.GetID()
    slicer.mrmlScene.Clear(0)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other patient")
    assert other.GetID() == id_before
    with pytest.raises(InputError) as caught:
        run.wait()
    assert caught.value.code == "input.node_removed"
    assert segmentations() == []


def test_cancel_in_the_last_moment_changes_nothing(quickPanel, volume, runs):
    run = quickPanel.logic.segment(volume, task="demo")
    run._job.join()
    run.cancel()
    with pytest.raises(CancelledError):
        run.wait()
    assert segmentations() == []


def test_user_and_folders_with_any_letters(quickPanel, volume, host, monkeypatch, tmp_path):
    """A private folder, weights and a volume whose names are not ASCII."""
    folder = tmp_path / "Jürgen Müller 東京"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    volume.SetName("Schädel – Ω")
    quickPanel.ui.weightsPathLineEdit.currentPath = str(folder)
    apply(quickPanel, host)
    assert error_text(quickPanel) == ""
    assert [node.GetName() for node in segmentations()] == ["Schädel – Ω segmentation"]
    assert list(folder.iterdir()) == []
