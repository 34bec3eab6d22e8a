"""The entry "Segment with TotalSegmentator" in the context menu of volumes.

Slicer loads this file by its path and makes the class that has the file's name, so it stands alone
and imports nothing of its neighbours. :mod:`ContextMenu` hands it to Slicer.
"""

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

try:  # its full path: the package may offer the module or the class by the short name
    from SubjectHierarchyPlugins.AbstractScriptedSubjectHierarchyPlugin import (
        AbstractScriptedSubjectHierarchyPlugin,
    )
except ModuleNotFoundError:  # as earlier versions of Slicer have it
    from AbstractScriptedSubjectHierarchyPlugin import AbstractScriptedSubjectHierarchyPlugin


class TotalSegmentatorSubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):
    """Offers its action for volumes, and owns no items."""

    filePath = __file__

    def __init__(self, scriptedPlugin) -> None:
        """:param scriptedPlugin: Slicer's object that calls this one."""
        scriptedPlugin.name = "TotalSegmentator"  # the base class registers it under this name
        self.segmentAction = qt.QAction(_("Segment with TotalSegmentator"), scriptedPlugin)
        self.segmentAction.objectName = "SegmentWithTotalSegmentatorAction"
        self.segmentAction.connect("triggered()", self.onSegment)
        AbstractScriptedSubjectHierarchyPlugin.__init__(self, scriptedPlugin)

    def itemContextMenuActions(self) -> list[qt.QAction]:
        """All actions that an item's menu may show."""
        return [self.segmentAction]

    def showContextMenuActionsForItem(self, itemID: int) -> None:
        """Show the action if the item is a volume that can be segmented."""
        self.segmentAction.visible = self._volume(itemID) is not None

    def onSegment(self) -> None:
        """Switch to the module, with the item's volume as its input."""
        handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
        volume = self._volume(handler.currentItem())
        if volume is None:
            return
        slicer.util.selectModule("TotalSegmentator")
        slicer.modules.TotalSegmentatorWidget.selectVolume(volume)

    def _volume(self, itemID: int) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume of an item; None for other items."""
        if not itemID:
            return None
        node = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemDataNode(itemID)
        # The exact class, as in the panel's selector: labelmap volumes are scalar volumes too.
        isVolume = node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode"
        return node if isVolume else None
