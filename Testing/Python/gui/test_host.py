"""The stand-in for Slicer runs a scripted module through its whole life."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import small_module

if TYPE_CHECKING:
    from slicerhost.host import Host
    from slicerhost.scripted_modules import LoadedModule


@pytest.fixture
def small(host: Host, tmp_path: Path) -> Iterator[LoadedModule]:
    """A small module, loaded and entered."""
    loaded = host.loadModule(small_module.write(tmp_path))
    host.enter(loaded)
    yield loaded
    host.unloadModule(loaded)


def add_volume(name: str) -> object:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def test_library_line_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from slicerhost import libraries

    assert libraries.missing_libraries() == ""
    monkeypatch.setattr(libraries, "_loads", lambda name: name not in ("libEGL.so.1", "libGL.so.1"))
    line = libraries.missing_libraries()
    assert "apt-get install libegl1 libgl1 fontconfig" in line
    assert "\n" not in line


def test_a_second_application_is_refused(host: Host) -> None:
    from slicerhost import host as host_module

    with pytest.raises(RuntimeError, match="already running"):
        host_module.start()


def test_module_describes_itself(small: LoadedModule) -> None:
    import slicer

    assert slicer.modules.smallmodule.title == "Small"
    assert slicer.util.modulePath("SmallModule") == small.module.path
    assert "startupCompleted" in small.python.CALLS
    with pytest.raises(AttributeError):
        small.module.titel = "typing error"


def test_life_cycle(host: Host, small: LoadedModule) -> None:
    import slicer

    calls = small.python.CALLS
    assert calls == ["startupCompleted", "setup", "enter"]
    assert slicer.util.getModuleWidget("SmallModule") is small.widget
    assert slicer.util.getModuleLogic("SmallModule") is small.widget.logic
    assert slicer.util.selectedModule() == "SmallModule"
    host.leave()
    assert calls[3:] == ["exit"]
    assert not small.panel.isEntered
    host.unloadModule(small)
    assert calls[4:] == ["cleanup"]
    assert not hasattr(slicer.modules, "smallmodule")
    assert host.slotErrors == []


def test_closing_the_scene(host: Host, small: LoadedModule) -> None:
    small.widget._parameterNode.inputVolume = add_volume("CT")
    small.widget._parameterNode.note = "kept by nothing"
    assert small.widget.ui.applyButton.enabled
    host.closeScene()
    assert small.python.CALLS[3:] == ["startClose", "endClose"]
    assert small.widget._parameterNode.inputVolume is None
    assert not small.widget.ui.applyButton.enabled
    assert small.widget.ui.inputSelector.nodeCount() == 0
    assert host.slotErrors == []


def test_reload_builds_a_new_panel_from_the_changed_source(small: LoadedModule) -> None:
    import slicer

    first = small.widget
    source = Path(small.module.path)
    source.write_text(source.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    first.onReload()
    assert small.widget is not first
    assert slicer.modules.SmallModuleWidget is small.widget
    assert small.widget.__class__.__name__ == "SmallModuleWidget"
    reloaded = __import__("sys").modules["SmallModule"]
    assert reloaded.CHANGED
    assert reloaded.CALLS == ["setup", "enter"]
    assert small.python.CALLS[-1] == "cleanup"


def test_apply_runs_the_logic(host: Host, small: LoadedModule) -> None:
    small.widget.ui.inputSelector.setCurrentNode(add_volume("CT"))
    assert small.widget.ui.applyButton.enabled
    small.widget.ui.applyButton.click()
    assert small.python.CALLS[-1] == ("process", "CT")
    assert small.widget.ui.bar.value == 40
    assert host.slotErrors == []


def test_an_exception_in_a_slot_is_collected_and_the_application_goes_on(
    host: Host, small: LoadedModule
) -> None:
    def fail(_volume: object) -> None:
        raise OSError("disk full")

    small.widget.ui.inputSelector.setCurrentNode(add_volume("CT"))
    small.widget.logic.process = fail
    small.widget.ui.applyButton.click()
    assert [(e.kind, e.message) for e in host.slotErrors] == [("OSError", "disk full")]
    assert "onApply" in host.slotErrors[0].traceback
    assert host.wait(lambda: True)


def test_an_exception_in_an_observer_is_collected(host: Host) -> None:
    node = add_volume("CT")
    node.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    node.Modified()
    assert [error.kind for error in host.slotErrors] == ["ZeroDivisionError"]


def test_the_modules_own_test_runs(small: LoadedModule) -> None:
    import slicer

    slicer.selfTests["SmallModule"]()
    assert small.python.CALLS[-1] == "runTest"


def test_node_selector_without_none_chooses_nothing_by_itself(host: Host) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    seen: list[object] = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    volume = add_volume("CT")
    assert (box.nodeCount(), box.currentNode(), box.currentNodeID) == (1, None, "")
    box.setCurrentNode(volume)
    assert box.currentNodeID == volume.GetID()
    slicer.mrmlScene.RemoveNode(volume)
    assert (box.nodeCount(), box.currentNode()) == (0, None)
    assert seen == [volume, None]
    made = box.addNode()
    assert box.currentNode() is made


def test_node_selector_takes_only_what_was_asked_for(host: Host) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.showChildNodeTypes = False
    box.setMRMLScene(slicer.mrmlScene)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    add_volume("hidden").SetHideFromEditors(True)
    wanted = add_volume("wanted")
    wanted.SetAttribute("DICOM.Modality", "CT")
    add_volume("other")
    assert box.nodeCount() == 2
    box.addAttribute("vtkMRMLScalarVolumeNode", "DICOM.Modality", "CT")
    assert box.nodeCount() == 1
    assert box.nodeFromIndex(0) is wanted
    box.removeAttribute("vtkMRMLScalarVolumeNode", "DICOM.Modality")
    box.showChildNodeTypes = True
    assert box.nodeCount() == 3


def test_show_3d_button_waits_for_a_segmentation(host: Host) -> None:
    import slicer

    button = slicer.qMRMLSegmentationShow3DButton()
    assert not button.enabled
    button.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    assert button.enabled
    button.setSegmentationNode(None)
    assert not button.enabled


def test_collapsible_button(host: Host) -> None:
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    assert (section.collapsed, section.checked, section.text) == (False, True, "")
    label = qt.QLabel("content", section)
    seen: list[bool] = []
    section.connect("contentsCollapsed(bool)", seen.append)
    section.collapsed = True
    assert label.isHidden()
    section.checked = True
    assert not label.isHidden()
    assert seen == [True, False]


def test_logics_and_subject_hierarchy(host: Host) -> None:
    import slicer

    for name in ("volumes", "segmentations", "terminologies", "sequences", "colors"):
        assert getattr(slicer.modules, name).logic() is not None
    assert slicer.modules.subjecthierarchy.logic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.applicationLogic().GetMRMLScene() is slicer.mrmlScene
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    volume = add_volume("CT")
    item = hierarchy.GetItemByDataNode(volume)
    assert hierarchy.GetItemName(item) == "CT"
    slicer.mrmlScene.RemoveNode(volume)
    assert hierarchy.GetNumberOfItems() == 0


def test_volumes_are_saved_and_loaded(host: Host, tmp_path: Path) -> None:
    import numpy as np
    import slicer

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = slicer.util.addVolumeFromArray(voxels, name="CT")
    assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))
    assert slicer.util.exportNode(volume, str(tmp_path / "ct.nii.gz"))
    for name in ("ct.nrrd", "ct.nii.gz"):
        loaded = slicer.util.loadVolume(str(tmp_path / name))
        assert np.sort(slicer.util.arrayFromVolume(loaded), axis=None).tolist() == list(range(24))
    with pytest.raises(RuntimeError):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))


def test_screenshot_shows_the_panel_with_text(
    host: Host, small: LoadedModule, tmp_path: Path
) -> None:
    import qt

    path = host.screenshot(small.panel, tmp_path / "panel.png")
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    assert min(width, height) > 100
    small.widget.ui.inputLabel.text = ""
    host.screenshot(small.panel, tmp_path / "without.png")
    with_text, without = (
        qt.QPixmap(str(tmp_path / name)).toImage() for name in ("panel.png", "without.png")
    )
    assert with_text != without  # letters were drawn, so there is a font


def test_waiting_gives_up(host: Host) -> None:
    assert not host.wait(lambda: False, timeout=0.02)


def test_settings_are_the_sessions_own(host: Host) -> None:
    import qt
    import slicer

    settings = slicer.app.settings()
    settings.setValue("TotalSegmentator/Key", "value")
    assert qt.QSettings().value("TotalSegmentator/Key") == "value"
    assert settings.fileName().startswith(slicer.app.temporaryPath)
    host.reset()
    assert not qt.QSettings().contains("TotalSegmentator/Key")
