"""Scenes that the former extension saved keep what was chosen, and bring it once."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer

from TotalSegmentatorLib.catalog import tasks
from TotalSegmentatorLib.scene.former_parameters import FormerParameters, migrate
from TotalSegmentatorLib.scene.headless import HeadlessApplication

# As the former extension's panel leaves them on its node.
SAVED = {
    "Task": "total_mr",
    "Quality": "faster",
    "UseStandardSegmentNames": "false",
    "CPU": "true",
    "RobustCrop": "true",
    "RemoveSmallBlobs": "false",
}


HIDDEN = next(task.id for task in tasks() if task.hidden)


def parameter_node(
    scene: slicer.vtkMRMLScene, values: dict[str, str]
) -> slicer.vtkMRMLScriptedModuleNode:
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag("TotalSegmentator")
    node.SetModuleName("TotalSegmentator")
    scene.AddNode(node)
    for name, value in values.items():
        node.SetParameter(name, value)
    return node


def names(node: slicer.vtkMRMLScriptedModuleNode) -> set[str]:
    return set(node.GetParameterNames())


@pytest.fixture
def scene(application: HeadlessApplication) -> slicer.vtkMRMLScene:
    return application.scene


def test_everything_is_brought_over_once(scene: slicer.vtkMRMLScene) -> None:
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node = parameter_node(scene, SAVED)
    node.SetNodeReferenceID("InputVolume", volume.GetID())
    node.SetNodeReferenceID("OutputSegmentation", segmentation.GetID())
    assert migrate(node) == FormerParameters(
        volume,
        segmentation,
        "total_mr",
        "fastest",
        False,
        "cpu",
        {"robust_crop": True, "remove_small_blobs": False},
    )
    assert names(node) == set()
    assert node.GetNodeReference("InputVolume") is None
    assert migrate(node) is None
    assert volume.GetScene() is segmentation.GetScene() is scene


def test_own_parameters_are_left_alone(scene: slicer.vtkMRMLScene) -> None:
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    own = {"task": "body", "speed": "fast", "cpu": "false"}
    node = parameter_node(scene, own)
    node.SetNodeReferenceID("inputVolume", volume.GetID())
    assert migrate(node) is None
    for name, value in SAVED.items():
        node.SetParameter(name, value)
    assert migrate(node).task == "total_mr"
    assert {name: node.GetParameter(name) for name in names(node)} == own
    assert node.GetNodeReference("inputVolume") is volume


@pytest.mark.parametrize(
    ("values", "speed"),
    [
        ({"Quality": "normal"}, "normal"),
        ({"Quality": "fast"}, "fast"),
        ({"Quality": "faster"}, "fastest"),
        ({"Fast": "true"}, "fast"),
        ({"Fast": "false"}, "normal"),
        ({"Fast": "true", "Quality": "normal"}, "normal"),
        ({"Quality": "finest"}, None),
    ],
)
def test_quality_becomes_speed(
    scene: slicer.vtkMRMLScene, values: dict[str, str], speed: str | None
) -> None:
    node = parameter_node(scene, values)
    assert migrate(node) == FormerParameters(speed=speed)
    assert names(node) == set()


@pytest.mark.parametrize("task", ["no_such_task", HIDDEN])
def test_a_task_that_cannot_be_chosen_is_ignored(scene: slicer.vtkMRMLScene, task: str) -> None:
    node = parameter_node(scene, {"Task": task, "CPU": "false"})
    assert migrate(node) == FormerParameters(device="auto")
    assert names(node) == set()


def test_a_node_of_another_kind_is_ignored(scene: slicer.vtkMRMLScene) -> None:
    model = scene.AddNewNodeByClass("vtkMRMLModelNode")
    node = parameter_node(scene, {})
    node.SetNodeReferenceID("InputVolume", model.GetID())
    assert migrate(node) == FormerParameters()
    assert node.GetNodeReferenceID("InputVolume") is None


def test_observers_are_told_once(scene: slicer.vtkMRMLScene) -> None:
    node = parameter_node(scene, SAVED)
    told: list[str] = []
    node.AddObserver("ModifiedEvent", lambda caller, event: told.append(event))
    migrate(node)
    assert len(told) == 1


def test_a_saved_scene_is_migrated_when_it_is_loaded(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT of the chest")
    node = parameter_node(scene, SAVED)
    node.SetNodeReferenceID("InputVolume", volume.GetID())
    path = tmp_path / "former.mrml"
    scene.SetURL(str(path))
    assert scene.Commit()

    loaded = HeadlessApplication().scene
    loaded.SetURL(str(path))
    assert loaded.Connect()
    node = loaded.GetSingletonNode("TotalSegmentator", "vtkMRMLScriptedModuleNode")
    former = migrate(node)
    assert former.input_volume.GetName() == "CT of the chest"
    assert (former.task, former.speed, former.device) == ("total_mr", "fastest", "cpu")

    assert loaded.Commit()
    again = HeadlessApplication().scene
    again.SetURL(str(path))
    again.Connect()
    node = again.GetSingletonNode("TotalSegmentator", "vtkMRMLScriptedModuleNode")
    assert migrate(node) is None
