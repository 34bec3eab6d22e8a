"""The panel without runs: what it offers, what follows from what, what is kept."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest
import qt_tree
import slicer
import vtk
from panel_steps import apply, error_text, segment_ids, segmentations
from PySide6.QtWidgets import QWidget
from slicerhost.api_check import check as check_api
from slicerhost.api_check import check_widgets

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.environment import Device, Hardware
from TotalSegmentatorLib.jobs import Request

MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator" / "TotalSegmentator.py"
UI = MODULE.parent / "Resources" / "UI" / "TotalSegmentator.ui"
WIDGETS = sorted((MODULE.parent / "TotalSegmentatorWidgets").glob("*.py"))


def test_api_of_the_application_has_all_that_the_panel_uses():
    assert check_api(MODULE, UI) == []
    assert check_widgets(WIDGETS, UI) == []


def test_fresh_panel_says_what_to_do(panel):
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip == "Choose a volume first."
    for name in ("queueButton", "errorFrame", "queueFrame"):
        assert not getattr(panel.ui, name).isVisibleTo(panel.parent), name
    assert not panel.ui.show3DButton.enabled and not panel.ui.undoButton.enabled


def test_mnemonics_are_unique():
    texts = re.findall(r"<string>([^<]*&amp;[^<]*)</string>", UI.read_text("utf-8"))
    keys = [text[text.index("&amp;") + 5].lower() for text in texts]
    assert len(keys) > 12
    assert len(set(keys)) == len(keys), sorted(keys)
    assert "c" not in keys  # Apply becomes Cancel
    assert keys and not set(keys) & set("fevh")  # Slicer's own menus: File, Edit, View, Help


def test_tab_goes_from_top_to_bottom(panel, volume, host):
    """Keyboard users meet the widgets in the order in which they are read."""
    widget = panel.ui.inputVolumeSelector
    wanted = [
        panel.ui.taskSearchBox,
        panel.ui.normalRadioButton,
        panel.ui.modeComboBox,
        panel.ui.applyButton,
    ]
    seen = []
    for _ in range(400):
        widget = widget.nextInFocusChain()
        if widget in wanted and widget not in seen:
            seen.append(widget)
    assert seen == wanted


def test_state_is_kept_in_the_parameter_node(panel, volume, host, module):
    panel.taskPicker.task = "total"
    panel.onTaskChanged()
    panel.ui.fastestRadioButton.click()
    panel.ui.advancedCollapsibleButton.collapsed = False
    host.leave()
    host.enter(module)
    assert panel._parameterNode.task == "total"
    assert panel._parameterNode.speed == "fastest"
    assert panel.ui.fastestRadioButton.checked
    assert panel._parameterNode.inputVolume is volume


def test_scene_brings_the_whole_state_back(panel, volume, host, module, tmp_path):
    parameters = panel._parameterNode
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    values = {
        "task": "teeth",
        "findBy": "structures",
        "structures": ["liver", "spleen"],
        "speed": "fast",
        "mode": "update",
        "modality": "all",
        "device": "cpu",
        "engineOptions": {"robust_crop": "True"},
        "frames": "2-3",
        "smoothing": 0.25,
        "useStandardSegmentNames": False,
        "keepTemporaryFiles": True,
        "region": roi,
        "moreVolumes": [volume],
    }
    for name, value in values.items():
        setattr(parameters, name, value)
    path = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(path)
    assert slicer.mrmlScene.Commit(path)
    host.closeScene()
    assert panel._parameterNode.task == "total"
    slicer.mrmlScene.SetURL(path)
    assert slicer.mrmlScene.Connect()
    host.leave()
    host.enter(module)
    kept = panel._parameterNode
    del values["region"], values["moreVolumes"]  # other nodes by now
    found = {name: getattr(kept, name) for name in values}
    found["structures"] = list(kept.structures)
    found["engineOptions"] = dict(kept.engineOptions.items())
    assert found == values
    assert kept.region.GetName() == "box"
    assert [node.GetName() for node in kept.moreVolumes] == ["ct"]
    assert panel.ui.findTabWidget.currentIndex == 1
    assert set(panel.structurePicker.structures) == {"liver", "spleen"}
    assert panel.ui.modeComboBox.currentData == "update"
    assert panel.devicePicker.device == "cpu"
    assert panel.optionsForm.values == {"robust_crop": True}


def test_scene_of_the_former_extension(panel, host, module, volume):
    """Its parameters stand on the node of the same module name, as plain strings."""
    node = panel._parameterNode.parameterNode
    node.SetParameter("Task", "total_mr")
    node.SetParameter("Quality", "faster")
    node.SetParameter("UseStandardSegmentNames", "false")
    node.SetParameter("CPU", "true")
    node.SetParameter("RobustCrop", "true")
    host.leave()
    host.enter(module)
    parameters = panel._parameterNode
    assert (parameters.task, parameters.speed) == ("total_mr", "fastest")
    assert (parameters.useStandardSegmentNames, parameters.device) == (False, "cpu")
    assert panel.optionsForm.values == {"robust_crop": True}
    assert panel.ui.fastestRadioButton.checked and not panel.ui.standardNamesCheckBox.checked


def test_scene_of_a_version_that_knows_more(panel, host, module):
    unknown = {
        "task": "total_v9",
        "engine": "oracle",
        "findBy": "name",
        "modality": "PET",
        "mode": "blend",
        "device": "quantum:1",
        "speed": "instant",
    }
    for name, value in unknown.items():
        panel._parameterNode.parameterNode.SetParameter(name, value)
    host.leave()
    host.enter(module)
    parameters = panel._parameterNode
    assert [getattr(parameters, name) for name in list(unknown)[:6]] == [
        "total",
        "",
        "task",
        "",
        "replace",
        "auto",
    ]
    assert panel.speedPicker.speed == "normal"


def test_the_volume_that_is_shown_is_chosen_first(module, host):
    scene = slicer.mrmlScene
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    shown = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "shown")
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(shown.GetID())
    host.enter(module)
    assert module.widget.ui.inputVolumeSelector.currentNode() is shown


def test_labelmap_is_not_taken_as_input(panel, host, module):
    host.leave()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    host.enter(module)
    assert panel._parameterNode.inputVolume is None
    assert not panel.ui.applyButton.enabled


def test_speeds_are_those_of_the_task_with_its_resolutions(panel, volume, host):
    panel.setParameter("task", "total")
    assert all(panel.speedPicker._buttons[speed].enabled for speed in catalog.SPEEDS)
    assert host.wait(lambda: "3 mm" in panel.ui.fastEstimateLabel.text, 5)
    assert "1.5 mm" in panel.ui.normalEstimateLabel.text
    assert "6 mm" in panel.ui.fastestEstimateLabel.text
    assert "GB" in panel.ui.normalEstimateLabel.text
    panel.setParameter("task", "lung_vessels")
    assert not panel.ui.fastRadioButton.enabled


def test_modality_of_the_volume_filters_the_tasks(panel, volume):
    volume.SetAttribute("DICOM.Modality", "MR")
    panel.updateGui()
    box = panel.ui.modalityComboBox
    assert "MR" in box.currentText
    panel.setParameter("task", "total_mr")
    assert panel.taskPicker.task == "total_mr"


def test_structures_are_planned_in_a_sentence(panel, volume, quick, host):
    panel.ui.findTabWidget.currentIndex = 1
    panel.ui.applyButton.click()
    assert "No structure is checked." in error_text(panel)
    panel.ui.lungsPresetButton.click()
    assert "lung_upper_lobe_left" in panel._parameterNode.structures
    assert panel.ui.planLabel.text == "Task total (normal) for 5 structures."
    assert panel._parameterNode.findBy == "structures"


def test_structures_are_run(quickPanel, volume, quick, host, monkeypatch):
    monkeypatch.setattr("TotalSegmentatorLib.environment.check_weights", lambda *_: None)
    quickPanel.ui.findTabWidget.currentIndex = 1
    quickPanel.setParameter("structures", ["liver", "spleen"])
    apply(quickPanel, host)
    assert error_text(quickPanel) == ""
    (request,) = quick.requests
    assert (request["task"], set(request["structures"])) == ("total", {"liver", "spleen"})
    (node,) = segmentations()
    assert set(segment_ids(node)) == {"liver", "spleen"}


def test_devices_of_the_engine_are_listed(panel, volume, host, monkeypatch):
    gpu = Device("gpu:0", "Some GPU", 8 * 10**9, 6 * 10**9)
    cpu = Device("cpu", "Processor", 10**10, 10**10)
    monkeypatch.setattr(
        "TotalSegmentatorLib.environment.probe",
        lambda engine: Hardware(2, 10**10, 10**10, (gpu, cpu)),
    )
    panel.ui.refreshDevicesButton.click()
    assert not panel.ui.refreshDevicesButton.enabled
    assert host.wait(lambda: panel.ui.refreshDevicesButton.enabled, 10)
    box = panel.ui.deviceComboBox
    assert [box.itemText(i) for i in range(box.count)] == [
        "Automatic",
        "Processor (CPU)",
        "Some GPU (6 of 8 GB free)",
    ]


@pytest.mark.parametrize("device", ["gpu:3", "mps"])
def test_device_of_another_computer_is_kept_and_named(panel, device):
    panel.setParameter("device", device)
    assert panel.devicePicker.device == device
    assert "not seen" in panel.ui.deviceComboBox.currentText


def engines_of(panel) -> list[str]:
    box = panel.ui.engineComboBox
    return [box.itemText(index) for index in range(box.count)]


def options_of(panel, host) -> set[str]:
    host.pump()  # the form before is deleted
    found = panel.ui.engineOptionsWidget.findChildren(QWidget)
    names = [str(widget.property("objectName")) for widget in found]
    return {name.removesuffix("Option") for name in names if name.endswith("Option")}


def test_engines_and_options_are_those_of_the_task(panel, host):
    ours, official = "nnU-Net, fast", "TotalSegmentator"
    assert engines_of(panel) == [f"Automatic ({ours})", ours]
    assert options_of(panel, host) == {
        *("step_size", "mirroring", "compiled", "compiled_agreement", "threads")
    }
    panel.setParameter("task", "total")
    assert engines_of(panel) == [f"Automatic ({ours})", ours, official]
    of_ours = options_of(panel, host)
    assert {"robust_crop", "body_first", "compiled"} < of_ours and "step_size" not in of_ours
    panel.ui.engineComboBox.currentIndex = 2
    assert panel._parameterNode.engine == "totalsegmentator"
    of_official = options_of(panel, host)
    assert of_official == of_ours - {"body_first", "compiled", "compiled_agreement"}
    panel.ui.findTabWidget.currentIndex = 1  # before anything is checked
    assert panel.ui.engineComboBox.currentText == official
    assert options_of(panel, host) == of_official


def shown_options(task: str, engine: str) -> set[str]:
    return {one.name for one in engines.options_of(Request(task, engine)) if not one.unsafe}


def test_options_are_those_of_the_engines_that_give_the_structures(panel, host):
    panel.ui.findTabWidget.currentIndex = 1
    titles = [spec.title for spec in engines.specs().values()]
    assert sorted(engines_of(panel)) == sorted(["Automatic", *titles])
    panel.setParameter("structures", ["lung_tumor"])
    ofOther = shown_options("nv_ct_body", "nv_segment")
    assert options_of(panel, host) == ofOther
    panel.setParameter("structures", ["lung_tumor", "spleen"])
    both = options_of(panel, host)
    assert ofOther < both and "robust_crop" in both
    panel.setParameter("engine", "nv_segment")
    assert options_of(panel, host) == ofOther
    assert panel.ui.planLabel.text.startswith("Task nv_ct_body")


def test_options_of_one_task_only(panel, host):
    own = shown_options("nv_mri_brain", "nv_segment") - shown_options("nv_ct_body", "nv_segment")
    assert "brain_mask" in own
    panel.setParameter("task", "nv_ct_body")
    assert options_of(panel, host).isdisjoint(own)
    panel.setParameter("task", "nv_mri_brain")
    assert options_of(panel, host) >= own
    (mask,) = panel.ui.engineOptionsWidget.findChildren(QWidget, "brain_maskOption")
    host.answer("/data/mask.nii.gz")
    mask.browse()
    assert panel._parameterNode.engineOptions["brain_mask"] == "/data/mask.nii.gz"


def test_times_of_all_tasks_are_shown_for_the_volume(panel, host):
    def times() -> set[str]:
        rows = [row for top in qt_tree.tops(panel.ui.taskTree) for row in qt_tree.children(top)]
        return {row.text(2) for row in rows}

    assert times() == {""}
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    slicer.util.updateVolumeFromArray(volume, np.zeros((60, 50, 40), np.int16))
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert host.wait(lambda: "" not in times(), 5)
    slicer.mrmlScene.RemoveNode(volume)
    assert host.wait(lambda: times() == {""}, 5)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("total", {"body_seg", "body_first"}),
        ("total_mr", set()),
        ("lung_vessels", set()),  # crops to the lungs
    ],
)
def test_cropping_to_the_body_is_offered_where_it_is_done(task, expected, panel, host):
    panel.setParameter("engineOptions", {"body_seg": "True", "body_first": "True"})
    panel.setParameter("task", task)
    assert options_of(panel, host) & {"body_seg", "body_first"} == expected
    assert panel.optionsForm.values.keys() == expected


@pytest.mark.parametrize(("task", "expected"), [("total", "totalsegmentator"), ("demo", "nnunet")])
def test_an_engine_is_asked_for_where_the_task_has_it(
    task, expected, quickPanel, volume, quick, host, monkeypatch
):
    monkeypatch.setattr("TotalSegmentatorLib.environment.check_weights", lambda *_: None)
    quickPanel.setParameter("engine", "totalsegmentator")
    quickPanel.setParameter("engineOptions", {"robust_crop": "True", "step_size": "0.75"})
    quickPanel.setParameter("task", task)
    apply(quickPanel, host)
    assert error_text(quickPanel) == ""
    (request,) = quick.requests
    assert request["engine"] == expected
    assert request["options"].get("robust_crop") is (True if task == "total" else None)
    assert request["options"].get("step_size") == (None if task == "total" else 0.75)


def test_memory_of_an_idle_engine_is_freed(quickPanel, volume, quick, host):
    apply(quickPanel, host)
    assert quick.processes  # it waits for the next run
    quickPanel.ui.freeMemoryButton.click()
    assert host.wait(lambda: not quick.processes, 5)
    assert "No idle engine" in quickPanel.ui.statusLabel.text
    apply(quickPanel, host)
    assert error_text(quickPanel) == "" and len(quick.requests) == 2


def test_missing_models_of_what_is_chosen_are_named(panel, volume, host):
    panel.setParameter("task", "total")
    panel.logic.totalSegmentatorWeightsPath = "/nowhere"
    panel.updateGui()
    assert host.wait(lambda: "downloaded" in panel.ui.weightsLabel.text, 5)


def test_weights_folder_may_be_slow(panel, volume, host, monkeypatch):
    looked = []

    def look(model, folder) -> str:
        looked.append(threading.current_thread())
        return "missing"

    monkeypatch.setattr("TotalSegmentatorLib.environment.weights.store.state_of", look)
    panel.setParameter("task", "total")
    panel.setParameter("speed", "fast")
    assert host.wait(lambda: "to download" in panel.ui.fastEstimateLabel.text, 5)
    assert len(looked) > 60 and threading.main_thread() not in looked


def test_second_module_of_the_same_name_is_named(module, host, tmp_path):
    other = tmp_path / "former"
    other.mkdir()
    (other / "TotalSegmentator.py").write_text("class X(ScriptedLoadableModule): pass\n")
    slicer.app.settings().setValue("Modules/AdditionalPaths", [str(other)])
    host.enter(module)
    assert str(other) in module.widget.ui.logTextEdit.toPlainText()


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
