"""The view of a table node."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Signal

from ..pythonqt.objects import sealed, wrapped
from .observing import Observation
from .properties import stored


@sealed
class qMRMLTableView(wrapped(QtWidgets.QTableView)):
    """Shows a table node, as text, and follows its changes."""

    mrmlSceneChanged = Signal(object)
    selectionChanged = Signal()

    transposed = stored(bool, "transposed", False)
    firstRowLocked = stored(bool, "firstRowLocked", False)
    firstColumnLocked = stored(bool, "firstColumnLocked", False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._node: slicer.vtkMRMLTableNode | None = None
        self._observation = Observation(self)
        self._cells = QtGui.QStandardItemModel(self)
        self.setModel(self._cells)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Set the scene."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged(scene)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """Return the scene."""
        return self._scene

    def setMRMLTableNode(self, node: slicer.vtkMRMLTableNode | None) -> None:
        """Show a table; None shows nothing."""
        self._node = node
        self._observation.start(node, (vtk.vtkCommand.ModifiedEvent,), self._modified)
        self._fill()

    def mrmlTableNode(self) -> slicer.vtkMRMLTableNode | None:
        """Return what is shown."""
        return self._node

    def _modified(self, _node: vtk.vtkObject, _event: str) -> None:
        self._fill()

    def _fill(self) -> None:
        self._cells.clear()
        if self._node is None:
            return
        columns = range(self._node.GetNumberOfColumns())
        self._cells.setHorizontalHeaderLabels([self._node.GetColumnName(c) for c in columns])
        for row in range(self._node.GetNumberOfRows()):
            texts = (self._node.GetCellText(row, column) for column in columns)
            self._cells.appendRow([QtGui.QStandardItem(text) for text in texts])
