"""Widgets of Slicer's Segmentations module."""

from __future__ import annotations

import slicer
from PySide6 import QtWidgets

from ..pythonqt.objects import sealed
from .ctk_values import ctkMenuButton
from .properties import stored

SURFACE = "Closed surface"


@sealed
class qMRMLSegmentationShow3DButton(ctkMenuButton):
    """Shows a segmentation in 3D: disabled until it has one; pressed creates closed surfaces."""

    locked = stored(bool, "locked", False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._segmentation: slicer.vtkMRMLSegmentationNode | None = None
        self.text = "Show 3D"
        self.checkable = True
        self.enabled = False
        self.toggled.connect(self._show)

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Set what is shown."""
        self._segmentation = node
        self.enabled = node is not None
        blocked = self.blockSignals(True)
        self.checked = node is not None and node.GetSegmentation().ContainsRepresentation(SURFACE)
        self.blockSignals(blocked)

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Return what is shown."""
        return self._segmentation

    def _show(self, on: bool) -> None:
        if self._segmentation is None:
            return
        if on:
            self._segmentation.CreateClosedSurfaceRepresentation()
            self._segmentation.GetDisplayNode().SetPreferredDisplayRepresentationName3D(SURFACE)
        else:
            self._segmentation.RemoveClosedSurfaceRepresentation()
