"""The widget that scripted modules take as their top: it knows the scene."""

from __future__ import annotations

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Signal

from ..pythonqt.objects import sealed, wrapped


@sealed
class qMRMLWidget(wrapped(QtWidgets.QWidget)):
    """A widget with a scene; .ui files wire `mrmlSceneChanged` to the node selectors in it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Set the scene and tell those who are wired to it."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged(scene)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """Return the scene."""
        return self._scene
