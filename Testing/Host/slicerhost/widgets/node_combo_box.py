"""The node selector."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from ..pythonqt.objects import sealed, wrapped
from ..pythonqt.overrides import QInputDialog
from .observing import Observation
from .properties import stored


@sealed
class qMRMLNodeComboBox(wrapped(QtWidgets.QWidget)):
    """Chooses one node of the scene, among those of some classes.

    Without "none", as in the application, nothing is chosen until somebody chooses: after a node
    is added `nodeCount()` is 1 and `currentNode()` is still None.
    """

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    currentNodeRenamed = Signal(str)
    nodeAboutToBeEdited = Signal(object)
    nodeAboutToBeRemoved = Signal(object)

    nodeTypes = stored("QStringList", "nodeTypes", [])
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [])
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True)
    showHidden = stored(bool, "showHidden", False)
    baseName = stored(str, "baseName", "")
    noneEnabled = stored(bool, "noneEnabled", False)
    noneDisplay = stored(str, "noneDisplay", "None")
    addEnabled = stored(bool, "addEnabled", True)
    removeEnabled = stored(bool, "removeEnabled", True)
    editEnabled = stored(bool, "editEnabled", False)
    renameEnabled = stored(bool, "renameEnabled", False)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    interactionNodeSingletonTag = stored(str, "interactionNodeSingletonTag", "")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._observation = Observation(self)
        self._attributes: dict[tuple[str, str], str | None] = {}
        self._labels: dict[str, str] = {}
        self._menu: list[QtGui.QAction] = []
        self._nodes: list[slicer.vtkMRMLNode] = []
        self._current: slicer.vtkMRMLNode | None = None
        self._box = QtWidgets.QComboBox(self)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._box)
        self._box.activated.connect(self._activated)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Follow a scene: nodes added, removed, renamed, and its closing."""
        if scene is self._scene:
            return
        self._scene = scene
        kind = slicer.vtkMRMLScene
        events = (kind.NodeAddedEvent, kind.NodeRemovedEvent, kind.EndBatchProcessEvent)
        self._observation.start(scene, events, self._sceneChanged)
        self._refresh()

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """Return the scene."""
        return self._scene

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        """Return the chosen node."""
        return self._current

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        """Choose a node, by itself or by its identifier; None or an unknown one chooses nothing."""
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene and node else None
        if node not in self._nodes:
            node = None
        changed = node is not self._current
        self._current = node
        self._showCurrent()
        if changed:
            self.currentNodeChanged(node)
            self.currentNodeIDChanged(self._currentID())

    setCurrentNodeID = setCurrentNode

    def setCurrentNodeIndex(self, index: int) -> None:
        """Choose by position."""
        self.setCurrentNode(self._nodes[index] if 0 <= index < len(self._nodes) else None)

    def _currentID(self) -> str:
        return self._current.GetID() if self._current is not None else ""

    currentNodeID = Property(str, _currentID, setCurrentNode)

    def nodeCount(self) -> int:
        """Return how many nodes can be chosen."""
        return len(self._nodes)

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode | None:
        """Return the node at a position."""
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def addAttribute(self, nodeType: str, name: str, value: str | None = None) -> None:
        """Show nodes of a class only if they have an attribute (of a value, if one is given)."""
        self._attributes[nodeType, name] = value
        self._refresh()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        """Undo addAttribute()."""
        self._attributes.pop((nodeType, name), None)
        self._refresh()

    def addNode(self, className: str = "") -> slicer.vtkMRMLNode:
        """Do what "Create new ..." in the list does, and return the new node."""
        className = className or self.nodeTypes[0]
        name = self.baseName or slicer.mrmlScene.GetTagByClassName(className)
        unique = self._scene.GenerateUniqueName(name)
        node = self._scene.AddNewNodeByClass(className, unique)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser(node)
        return node

    def addMenuAction(self, action: QtGui.QAction) -> None:
        """Offer an action at the end of the list."""
        self._menu.append(action)

    def setNodeTypeLabel(self, label: str, nodeType: str) -> None:
        """Set what a class of nodes is called in "Create new ..."."""
        self._labels[nodeType] = label

    def nodeTypeLabel(self, nodeType: str) -> str:
        """Return what a class of nodes is called in "Create new ..."."""
        return self._labels.get(nodeType) or slicer.mrmlScene.GetTagByClassName(nodeType)

    def renameCurrentNode(self, name: str = "") -> None:
        """Do what "Rename current ..." in the list does, with what people enter."""
        name = name or QInputDialog.getText(self, "Rename", "New name:")
        if name and self._current is not None:
            self._current.SetName(name)
            self._refresh()
            self.currentNodeRenamed(name)

    def removeCurrentNode(self) -> None:
        """Do what "Delete current ..." in the list does."""
        if self._current is not None:
            self.nodeAboutToBeRemoved(self._current)
            self._scene.RemoveNode(self._current)

    def _sceneChanged(self, _scene: vtk.vtkObject, _event: str) -> None:
        self._refresh()

    def _on_nodeTypes(self, _types: list[str]) -> None:
        self._refresh()

    _on_hideChildNodeTypes = _on_showChildNodeTypes = _on_showHidden = _on_nodeTypes
    _on_noneEnabled = _on_noneDisplay = _on_nodeTypes

    def _fits(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
            return False
        name = node.GetClassName()
        known = node.IsA if self.showChildNodeTypes else lambda kind: kind == name
        return any(known(kind) for kind in self.nodeTypes) and self._hasAttributes(node)

    def _hasAttributes(self, node: slicer.vtkMRMLNode) -> bool:
        wanted = (pair for pair in self._attributes.items() if node.IsA(pair[0][0]))
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for (_, name), value in wanted
        )

    def _refresh(self) -> None:
        scene = self._scene
        nodes = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())] if scene else []
        self._nodes = [node for node in nodes if self._fits(node)]
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, None)
        for node in self._nodes:
            self._box.addItem(node.GetName() or "", node.GetID())
        self.setCurrentNode(self._current)

    def _showCurrent(self) -> None:
        index = self._nodes.index(self._current) if self._current in self._nodes else -1
        self._box.setCurrentIndex(index + bool(self.noneEnabled))

    def _activated(self, index: int) -> None:
        self.setCurrentNodeIndex(index - bool(self.noneEnabled))
        self.nodeActivated(self._current)
