"""What may happen to the scene, the module and the application in mid-run."""

from __future__ import annotations

import gc
import sys
import threading
import time

import pytest
import slicer
import vtk
from panel_steps import agree_to_install, error_text, finished, segment_ids, segmentations, start
from support.processes import engine_processes, wait_until_gone

from TotalSegmentatorLib.jobs import Job


@pytest.fixture
def running(quickPanel, volume, host, runs, quick):
    """The panel with a run that waits for `quick.release()`."""
    quick.hold()
    start(quickPanel, host, runs)
    assert host.wait(lambda: quick.requests, 30)
    return quickPanel


@pytest.fixture
def nothing_left(runs):
    """By the end there is no process and no file of a run."""
    yield
    assert wait_until_gone(runs) == []
    assert list(runs.iterdir()) == []


pytestmark = pytest.mark.usefixtures("nothing_left")


def test_scene_closed_during_the_installation(quickPanel, volume, host, monkeypatch):
    monkeypatch.setattr(quickPanel.logic, "isEngineReady", lambda: False)
    installed = []

    def setup(onEvent):
        job = Job(lambda context: (time.sleep(0.3), context.check(), installed.append(True)))
        return quickPanel.logic.followJob(job.start())

    agree_to_install(monkeypatch, setup)
    quickPanel.ui.applyButton.click()
    host.closeScene()
    assert finished(quickPanel, host)
    assert installed and segmentations() == []


def test_scene_closed(running, host, quick):
    host.closeScene()
    assert finished(running, host)
    assert segmentations() == []
    assert not running.ui.applyButton.enabled  # there is no volume


@pytest.mark.parametrize("which", ["input", "output", "region"])
def test_node_removed(which, quickPanel, volume, earlier, host, runs, quick):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    roi.SetXYZ([sum(bounds[2 * i : 2 * i + 2]) / 2 for i in range(3)])
    roi.SetRadiusXYZ(500, 500, 500)
    quickPanel.ui.regionSelector.setCurrentNode(roi)
    quick.hold()
    start(quickPanel, host, runs)
    assert host.wait(lambda: quick.requests, 30)
    slicer.mrmlScene.RemoveNode({"input": volume, "output": earlier, "region": roi}[which])
    quick.release()
    assert finished(quickPanel, host)
    if which == "region":  # it was taken at the click
        assert segment_ids(earlier) == ["liver", "spleen"]
        return
    assert "removed from the scene" in error_text(quickPanel)
    assert [node for node in segmentations() if node is not earlier] == []
    if which == "input":
        assert segment_ids(earlier) == ["mine"]


def test_volume_that_waits_is_removed(quickPanel, volume, host, runs, quick):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    other.CopyContent(volume)
    quickPanel.ui.moreVolumesSelector.setCheckState(other, 2)
    quick.hold()
    start(quickPanel, host, runs)
    slicer.mrmlScene.RemoveNode(other)
    quick.release()
    assert finished(quickPanel, host)
    assert [node.GetName() for node in segmentations()] == ["ct segmentation"]
    assert "No volume of a scene is given." in error_text(quickPanel)


def test_voxels_changed_after_they_were_read_do_not_matter(running, volume, host, quick):
    slicer.util.arrayFromVolume(volume)[:] = 0
    slicer.util.arrayFromVolumeModified(volume)
    quick.release()
    assert finished(running, host)
    assert len(segmentations()) == 1


def test_voxels_changed_while_they_are_read_are_found_out(quickPanel, volume, host, monkeypatch):
    from TotalSegmentatorLib.scene import VoxelsInUse

    begin = VoxelsInUse.__enter__

    def slowly(voxels):
        begin(voxels)
        started.set()
        time.sleep(0.3)

    started = threading.Event()
    monkeypatch.setattr(VoxelsInUse, "__enter__", slowly)
    quickPanel.ui.applyButton.click()
    assert host.wait(started.is_set, 10)
    slicer.util.arrayFromVolume(volume)[:] = 0
    slicer.util.arrayFromVolumeModified(volume)
    assert finished(quickPanel, host)
    assert "changed while it was read" in error_text(quickPanel)
    assert segmentations() == []


def test_grid_changed(running, volume, host, quick):
    volume.SetSpacing(2, 2, 2)
    quick.release()
    assert finished(running, host)
    assert "changed during the run" in error_text(running)
    assert segmentations() == []


def test_module_left_and_entered_again(running, host, module, quick):
    host.leave()
    host.pump()
    host.enter(module)
    assert running.ui.applyButton.text == "&Cancel"
    host.leave()
    quick.release()
    assert finished(running, host)
    host.enter(module)
    assert running._parameterNode.resultSegmentation is segmentations()[0]
    assert running.ui.applyButton.text == "&Apply"


def test_module_reloaded(running, host, module, runs, quick):
    kept = {n: m for n, m in sys.modules.items() if n.startswith("TotalSegmentator")}
    try:
        again = host.reload(module)
        assert engine_processes(runs) == []
        assert again.widget is not running
        assert not again.widget.busy and again.widget.ui.applyButton.enabled
        again.widget.logic.enginePython = str(quick.python)
        quick.release()
        again.widget.ui.applyButton.click()
        assert host.wait(lambda: not again.widget.busy, 60)
        assert segment_ids(segmentations()[0]) == ["liver", "spleen"]
        host.unloadModule(again)
    finally:
        sys.modules.update(kept)


def test_application_quit(running, host, runs):
    host.quit()
    assert engine_processes(runs) == []
    assert list(runs.iterdir()) == []
    assert segmentations() == []


def test_application_quit_while_surfaces_are_built(quickPanel, earlier, host):
    quickPanel.ui.show3DButton.click()
    host.quit()
    assert not earlier.GetSegmentation().ContainsRepresentation("Closed surface")


def test_nothing_goes_on_by_itself_after_the_module_is_gone(
    quickPanel, volume, host, module, quick
):
    quickPanel.ui.applyButton.click()
    assert finished(quickPanel, host)
    host.unloadModule(module)
    assert host.leftovers() == []


def test_show_3d_bit_by_bit(quickPanel, volume, earlier, host):
    button = quickPanel.ui.show3DButton
    assert button.enabled and not button.checked
    button.click()
    assert "Building" in button.text or host.wait(lambda: "Building" in button.text, 5)
    assert host.wait(lambda: button.text == "Sho&w 3D", 60)
    assert button.checked
    assert earlier.GetSegmentation().ContainsRepresentation("Closed surface")
    assert earlier.GetDisplayNode().GetVisibility3D()
    button.click()
    assert not earlier.GetDisplayNode().GetVisibility3D()
    button.click()
    assert host.wait(lambda: earlier.GetDisplayNode().GetVisibility3D(), 30)


def test_show_3d_can_be_given_up(quickPanel, volume, earlier, host):
    button = quickPanel.ui.show3DButton
    button.click()
    button.click()
    host.pump()
    assert not button.checked and button.text == "Sho&w 3D"
    assert not earlier.GetSegmentation().ContainsRepresentation("Closed surface")


def test_closed_scene_keeps_no_result_in_memory(quickPanel, volume, host):
    """A result is large, and deleting it late makes quitting slow."""
    quickPanel.ui.applyButton.click()
    assert finished(quickPanel, host)
    (node,) = segmentations()
    quickPanel.ui.show3DButton.click()
    display = node.GetDisplayNode()
    assert host.wait(display.GetVisibility3D, 30)
    deleted = []
    node.AddObserver(vtk.vtkCommand.DeleteEvent, lambda *_: deleted.append(True))
    del node
    host.leave()  # nothing shows the empty scene then
    host.closeScene()
    host.pump()
    gc.collect()
    assert deleted
