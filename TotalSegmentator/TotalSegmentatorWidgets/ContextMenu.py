"""Hands the module's entry of the context menu of volumes to Slicer."""

from pathlib import Path

import slicer
import slicer.util

PLUGIN_FILE = Path(__file__).with_name("TotalSegmentatorSubjectHierarchyPlugin.py")


def register() -> bool:
    """Add the entry; once, when Slicer has started.

    Nothing is done where there are no menus: on slicer-core, and without a main window, which the
    entry needs to switch to the module.

    :return: whether the entry is there now.
    """
    if not hasattr(slicer, "qSlicerSubjectHierarchyScriptedPlugin"):
        return False
    if slicer.util.mainWindow() is None:
        return False
    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    return bool(plugin.setPythonSource(str(PLUGIN_FILE)))
