"""The node selector that takes several nodes."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Qt, Signal

from ..pythonqt.objects import sealed
from .node_combo_box import qMRMLNodeComboBox


@sealed
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """Chooses any number of nodes by check marks; a new node comes unchecked."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._checked: set[str] = set()
        self._locked: set[str] = set()
        self.addEnabled = self.removeEnabled = False
        # A press in the list of the real widget turns the mark and leaves the list open.
        self._box.view().pressed.connect(self._pressed)

    def checkedNodes(self) -> list[slicer.vtkMRMLNode]:
        """Return the checked nodes, in the order of the list."""
        return [node for node in self._nodes if node.GetID() in self._checked]

    def uncheckedNodes(self) -> list[slicer.vtkMRMLNode]:
        """Return the other nodes of the list."""
        return [node for node in self._nodes if node.GetID() not in self._checked]

    def allChecked(self) -> bool:
        """Whether no node of the list is unchecked."""
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        """Whether no node of the list is checked."""
        return not self.checkedNodes()

    def checkState(self, node: slicer.vtkMRMLNode | None) -> Qt.CheckState:
        """Return the mark of a node; one that is not in the list is unchecked."""
        checked = node is not None and node in self.checkedNodes()
        return Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked

    def setCheckState(self, node: slicer.vtkMRMLNode | None, state: Qt.CheckState) -> None:
        """Set the mark of a node of the list."""
        if node not in self._nodes or self.checkState(node) == state:
            return
        if state == Qt.CheckState.Checked:
            self._checked.add(node.GetID())
        else:
            self._checked.discard(node.GetID())
        self._showMarks()
        self.checkedNodesChanged()

    def check(self, node: slicer.vtkMRMLNode) -> None:
        """Check a node."""
        self.setCheckState(node, Qt.CheckState.Checked)

    def uncheck(self, node: slicer.vtkMRMLNode) -> None:
        """Take the mark of a node away."""
        self.setCheckState(node, Qt.CheckState.Unchecked)

    def setUserCheckable(self, node: slicer.vtkMRMLNode, userCheckable: bool) -> None:
        """Choose whether people may change the mark of a node; code always may."""
        (self._locked.discard if userCheckable else self._locked.add)(node.GetID())

    def _refresh(self) -> None:
        super()._refresh()
        before = set(self._checked)
        self._checked &= {node.GetID() for node in self._nodes}
        self._showMarks()
        if self._checked != before:
            self.checkedNodesChanged()

    def _showMarks(self) -> None:
        first = int(bool(self.noneEnabled))
        for row, node in enumerate(self._nodes, first):
            self._box.setItemData(row, self.checkState(node), Qt.ItemDataRole.CheckStateRole)

    def _pressed(self, index: QtCore.QModelIndex) -> None:
        node = self.nodeFromIndex(index.row() - bool(self.noneEnabled))
        if node is None or node.GetID() in self._locked:
            return
        checked = self.checkState(node) == Qt.CheckState.Checked
        self.setCheckState(node, Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked)
