"""The loadable modules whose logics slicer-core has, as `slicer.modules.<name>`."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace

import slicer
import vtk

# slicer.modules.<key> -> (name for the application logic, class of the logic)
LOGICS = MappingProxyType(
    {
        "terminologies": ("Terminologies", "vtkSlicerTerminologiesModuleLogic"),
        "segmentations": ("Segmentations", "vtkSlicerSegmentationsModuleLogic"),
        "volumes": ("Volumes", "vtkSlicerVolumesLogic"),
        "sequences": ("Sequences", "vtkSlicerSequencesLogic"),
        "subjecthierarchy": ("SubjectHierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
    }
)
# In the application the subject hierarchy's Qt plugins add an item for each of these.
SHOWN_IN_HIERARCHY = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
)


class LoadableModule:
    """A C++ module: a name and a logic."""

    def __init__(self, name: str, logic: slicer.vtkMRMLAbstractLogic) -> None:
        self.name = self.title = name
        self.path = ""
        self._logic = logic

    def logic(self) -> slicer.vtkMRMLAbstractLogic:
        """Return the logic of the module."""
        return self._logic


def install(application: slicer.vtkSlicerApplicationLogic) -> None:
    """Make `slicer.modules` and start the logics of slicer-core on the scene."""
    slicer.modules = SimpleNamespace()
    colors = application.GetColorLogic()
    colors.SetMRMLScene(slicer.mrmlScene)
    colors.AddDefaultColorNodes()
    application.SetModuleLogic("Colors", colors)  # the volumes logic asks for it by this name
    slicer.modules.colors = LoadableModule("Colors", colors)
    for key, (name, class_name) in LOGICS.items():
        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
        _start(logic)
        setattr(slicer.modules, key, LoadableModule(name, logic))


def _start(logic: slicer.vtkMRMLAbstractLogic) -> None:
    """Give a logic the scene, without the complaints about files only the application has."""
    shown = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()  # terminologies looks for its share directory
    logic.SetMRMLScene(slicer.mrmlScene)
    vtk.vtkObject.SetGlobalWarningDisplay(shown)


class HierarchyItems:
    """Keeps an item in the subject hierarchy for each data node, as the application does."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        added = vtk.calldata_type(vtk.VTK_OBJECT)(self._added)
        removed = vtk.calldata_type(vtk.VTK_OBJECT)(self._removed)
        scene.AddObserver(scene.NodeAddedEvent, added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, removed)

    @staticmethod
    def _added(scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
        if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in SHOWN_IN_HIERARCHY):
            return
        hierarchy = scene.GetSubjectHierarchyNode()
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @staticmethod
    def _removed(scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
        if not any(node.IsA(kind) for kind in SHOWN_IN_HIERARCHY):
            return
        hierarchy = scene.GetSubjectHierarchyNode()
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)
