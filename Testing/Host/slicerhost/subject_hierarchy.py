"""Scripted plugins of the subject hierarchy: what a module adds to the menu of a node."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui

from .pythonqt.objects import sealed, wrapped

SUFFIX = "SubjectHierarchyPlugin"
BASE = "AbstractScriptedSubjectHierarchyPlugin"
PACKAGE = "SubjectHierarchyPlugins"


@sealed
class qSlicerSubjectHierarchyScriptedPlugin(wrapped(QtCore.QObject)):
    """The native side of a plugin: it asks a Python class, and fills in for what that lacks."""

    def __init__(self, parent: QtCore.QObject | None) -> None:
        super().__init__(parent)
        self.name = "UnnamedScriptedPlugin"
        self._python: object = None
        self._source = ""

    def setPythonSource(self, path: str) -> bool:
        """Load a file and make the plugin in it: the class is named after the file.

        A file whose name does not end in "SubjectHierarchyPlugin" gets this added, so that the
        plugin may stand in the module's own file.

        :return: False for a file that is no Python source
        """
        if not path.endswith((".py", ".pyc")):
            return False
        stem = Path(path).stem
        class_name = stem if stem.endswith(SUFFIX) else stem + SUFFIX
        python = sys.modules.get(stem)
        if not hasattr(python, class_name):
            python = _load(stem, path)
        if not hasattr(python, class_name):
            sys.stderr.write(f"class {class_name} was not found in {path}\n")
            return False
        self._python = getattr(python, class_name)(self)
        self._source = path
        setattr(slicer, class_name, self._python)
        return True

    def pythonSource(self) -> str:
        """Return the path of the file."""
        return self._source

    def self(self) -> object:
        """Return the Python side."""
        return self._python

    def _ask(self, method: str, default: object, *arguments: object) -> object:
        """Call a method of the Python class, if it has one; its exceptions go to the log."""
        asked = getattr(self._python, method, None)
        if asked is None:
            return default
        try:
            return asked(*arguments)
        except Exception:
            sys.excepthook(*sys.exc_info())
            return default

    def canOwnSubjectHierarchyItem(self, itemID: int) -> float:
        """Return how sure the plugin is that an item is its own; what is no float counts as 0."""
        answer = self._ask("canOwnSubjectHierarchyItem", 0.0, itemID)
        return answer if isinstance(answer, float) else 0.0

    def itemContextMenuActions(self) -> list[QtGui.QAction]:
        """Return the plugin's actions for items."""
        return list(self._ask("itemContextMenuActions", []) or [])

    def sceneContextMenuActions(self) -> list[QtGui.QAction]:
        """Return the plugin's actions for the scene."""
        return list(self._ask("sceneContextMenuActions", []) or [])

    def hideAllContextMenuActions(self) -> None:
        """Hide the plugin's actions; the application does so before each menu."""
        for action in (*self.itemContextMenuActions(), *self.sceneContextMenuActions()):
            action.setVisible(False)

    def showContextMenuActionsForItem(self, itemID: int) -> None:
        """Let the plugin show the actions that fit an item."""
        self.hideAllContextMenuActions()
        self._ask("showContextMenuActionsForItem", None, itemID)


@sealed
class qSlicerSubjectHierarchyPluginHandler(wrapped(QtCore.QObject)):
    """Knows all plugins and the item whose menu is open; there is one of it."""

    def __init__(self) -> None:
        super().__init__()
        self._plugins: list[qSlicerSubjectHierarchyScriptedPlugin] = []
        self._items: list[int] = []

    @staticmethod
    def instance() -> qSlicerSubjectHierarchyPluginHandler:
        """Return the one there is."""
        return _HANDLER[0]

    def registerPlugin(self, plugin: qSlicerSubjectHierarchyScriptedPlugin) -> bool:
        """Add a plugin; False, as in the application, if one of this name is there."""
        if self.pluginByName(plugin.name) is not None:
            return False
        self._plugins.append(plugin)
        return True

    def allPlugins(self) -> list[qSlicerSubjectHierarchyScriptedPlugin]:
        """Return the plugins."""
        return list(self._plugins)

    def pluginByName(self, name: str) -> qSlicerSubjectHierarchyScriptedPlugin | None:
        """Return the plugin of a name, None if there is none."""
        return next((plugin for plugin in self._plugins if plugin.name == name), None)

    def setCurrentItem(self, itemID: int) -> None:
        """Set the item whose menu is open."""
        self._items = [itemID]

    def currentItem(self) -> int:
        """Return the item whose menu is open, 0 for none or several."""
        return self._items[0] if len(self._items) == 1 else 0

    def currentItems(self) -> list[int]:
        """Return the items whose menu is open."""
        return list(self._items)


# The one handler, made when the host starts.
_HANDLER: list[qSlicerSubjectHierarchyPluginHandler] = []


class AbstractScriptedSubjectHierarchyPlugin:
    """What plugins derive from: it registers them. All else is asked of the plugin if it has it.

    :ivar scriptedPlugin: the native side
    """

    def __init__(self, scriptedPlugin: qSlicerSubjectHierarchyScriptedPlugin) -> None:
        self.scriptedPlugin = scriptedPlugin
        self.register()

    def register(self) -> None:
        """Tell the handler of the plugin."""
        handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
        handler.registerPlugin(self.scriptedPlugin)


def _load(name: str, path: str) -> types.ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    python = importlib.util.module_from_spec(specification)
    sys.modules[name] = python
    specification.loader.exec_module(python)
    return python


def install() -> None:
    """Enter the classes into `slicer`, and the base class under the names it is imported by."""
    _HANDLER[:] = [qSlicerSubjectHierarchyPluginHandler()]
    slicer.qSlicerSubjectHierarchyScriptedPlugin = qSlicerSubjectHierarchyScriptedPlugin
    slicer.qSlicerSubjectHierarchyPluginHandler = qSlicerSubjectHierarchyPluginHandler
    for name in (PACKAGE, BASE, f"{PACKAGE}.{BASE}"):
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], BASE, AbstractScriptedSubjectHierarchyPlugin)
    sys.modules[PACKAGE].__path__ = []


def forget() -> None:
    """Forget all plugins, and their modules, so that the next one is loaded afresh."""
    handler = qSlicerSubjectHierarchyPluginHandler.instance()
    for plugin in handler.allPlugins():
        class_name = type(plugin.self()).__name__
        slicer.__dict__.pop(class_name, None)
        sys.modules.pop(Path(plugin.pythonSource()).stem, None)
    handler._plugins.clear()
    handler._items = []


def context_menu(node: slicer.vtkMRMLNode) -> list[QtGui.QAction]:
    """Return the actions that a right click on a node shows, of all scripted plugins.

    :raises ValueError: the node has no item in the subject hierarchy
    """
    item = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(node)
    if not item:
        raise ValueError(f"{node.GetName()} has no item in the subject hierarchy")
    handler = qSlicerSubjectHierarchyPluginHandler.instance()
    handler.setCurrentItem(item)
    shown = []
    for plugin in handler.allPlugins():
        plugin.showContextMenuActionsForItem(item)
        shown += [action for action in plugin.itemContextMenuActions() if action.isVisible()]
    return shown
