"""The context menu of volumes: the entry is there, for volumes only, and opens the module."""

from __future__ import annotations

import sys

import pytest
import slicer

ENTRY = "Segment with TotalSegmentator"


class Panel:
    """Stands in for the module's panel, and for the application that switches to it."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def selectVolume(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        self.told.append(volume)


@pytest.fixture
def register(host):
    """The function under test."""
    from TotalSegmentatorWidgets import ContextMenu

    return ContextMenu.register


@pytest.fixture(params=["documented", "own"])
def registered(request, register, host, monkeypatch):
    """The entry is there, with the base class where Slicer's documentation or own code find it."""
    base = "AbstractScriptedSubjectHierarchyPlugin"
    package = "SubjectHierarchyPlugins"
    missing = [base] if request.param == "documented" else [package, f"{package}.{base}"]
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert register()
    yield
    assert host.slotErrors == []


@pytest.fixture
def panel(monkeypatch) -> Panel:
    stand_in = Panel()
    monkeypatch.setattr(slicer.util, "selectModule", stand_in.told.append)
    monkeypatch.setattr(slicer.modules, "TotalSegmentatorWidget", stand_in, raising=False)
    return stand_in


def add(node_class: str) -> slicer.vtkMRMLNode:
    return slicer.mrmlScene.AddNewNodeByClass(node_class)


def plugin_names() -> list[str]:
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    return [plugin.name for plugin in handler.allPlugins()]


def test_a_volume_has_the_entry(registered, host):
    assert [a.text for a in host.contextMenu(add("vtkMRMLScalarVolumeNode"))] == [ENTRY]
    assert plugin_names() == ["TotalSegmentator"]


@pytest.mark.parametrize(
    "node_class",
    ["vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLSegmentationNode"],
)
def test_other_nodes_do_not_have_it(registered, host, node_class):
    assert host.contextMenu(add("vtkMRMLScalarVolumeNode"))
    assert host.contextMenu(add(node_class)) == []


def test_the_scene_does_not_have_it(registered, host):
    (action,) = host.contextMenu(add("vtkMRMLScalarVolumeNode"))
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    for no_volume in (0, slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID()):
        handler.pluginByName("TotalSegmentator").showContextMenuActionsForItem(no_volume)
        assert not action.visible


def test_the_entry_opens_the_module_with_the_volume(registered, host, panel):
    add("vtkMRMLScalarVolumeNode")
    volume = add("vtkMRMLScalarVolumeNode")
    (action,) = host.contextMenu(volume)
    action.trigger()
    assert panel.told == ["TotalSegmentator", volume]


def test_nothing_happens_if_the_volume_has_gone(registered, host, panel):
    volume = add("vtkMRMLScalarVolumeNode")
    (action,) = host.contextMenu(volume)
    slicer.mrmlScene.RemoveNode(volume)
    slicer.qSlicerSubjectHierarchyPluginHandler.instance().setCurrentItem(0)
    action.trigger()
    assert panel.told == []


def test_without_a_main_window_there_is_no_entry(register, monkeypatch):
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    assert register() is False
    assert plugin_names() == []


def test_slicer_core_is_left_alone(register, monkeypatch):
    monkeypatch.delattr(slicer, "qSlicerSubjectHierarchyScriptedPlugin")
    assert register() is False
