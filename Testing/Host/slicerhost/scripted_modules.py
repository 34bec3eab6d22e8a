"""Loading scripted modules as the application's module factory does."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import slicer
from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Property

from .pythonqt.objects import sealed, wrapped
from .widgets.mrml_widgets import qMRMLWidget


class qSlicerScriptedLoadableModule:
    """A scripted module as the application sees it; modules write their description to it."""

    __slots__ = (
        "__weakref__",
        "_widget",
        "acknowledgementText",
        "associatedNodeTypes",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "index",
        "name",
        "path",
        "title",
    )

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.name = self.title = path.stem
        self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.contributors: list[str] = []
        self.dependencies: list[str] = []
        self.associatedNodeTypes: list[str] = []
        self.hidden = False
        self.index = -1
        self.icon = QtGui.QIcon()
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """Return the module's panel; it is made at the first call."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """Return a further panel of the module."""
        return qSlicerScriptedLoadableModuleWidget(self.name)


@sealed
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The native widget around a module's Python panel."""

    isEntered = Property(bool, lambda self: self._entered)

    def __init__(self, moduleName: str) -> None:
        super().__init__()
        self._moduleName = moduleName
        self._entered = False
        self._python: object = None
        self.name = f"{moduleName}ModuleWidget"
        self.setLayout(wrapped(QtWidgets.QVBoxLayout)())
        self.setMRMLScene(slicer.mrmlScene)
        self._build()

    def _build(self) -> None:
        widget_class = getattr(sys.modules[self._moduleName], f"{self._moduleName}Widget")
        self._python = widget_class(self)
        setattr(slicer.modules, f"{self._moduleName}Widget", self._python)
        self._python.setup()

    def self(self) -> object:
        """Return the Python panel."""
        return self._python

    def reload(self) -> None:
        """Make a new Python panel from the module's present code."""
        self._build()
        if self._entered:
            self._call("enter")

    def enter(self) -> None:
        """Tell the panel that it is shown."""
        self._entered = True
        self._call("enter")

    def exit(self) -> None:
        """Tell the panel that it is left."""
        self._entered = False
        self._call("exit")

    def _call(self, method: str) -> None:
        getattr(self._python, method, lambda: None)()


@dataclass(frozen=True)
class LoadedModule:
    """A loaded scripted module.

    :ivar python: the Python module, with the classes <Name>, <Name>Widget, <Name>Logic
    :ivar module: the native side, also `slicer.modules.<name>`
    """

    name: str
    python: types.ModuleType
    module: qSlicerScriptedLoadableModule

    @property
    def widget(self) -> object:
        """The Python panel, made and set up at first use."""
        return self.module.widgetRepresentation().self()

    @property
    def panel(self) -> qSlicerScriptedLoadableModuleWidget:
        """The native widget around the panel, for screenshots."""
        return self.module.widgetRepresentation()


def load(path: Path) -> LoadedModule:
    """Load a module file and announce the end of the start, as the application does."""
    folder, name = os.path.dirname(path), path.stem
    if folder not in sys.path:
        sys.path.insert(0, folder)
    specification = importlib.util.spec_from_file_location(name, path)
    python = importlib.util.module_from_spec(specification)
    sys.modules[name] = python
    specification.loader.exec_module(python)
    module = qSlicerScriptedLoadableModule(path)
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.modules, f"{name}Instance", getattr(python, name)(module))
    slicer.app.startupCompleted()
    slicer.app.startupCompleted.disconnect()  # it comes once in an application's life
    return LoadedModule(name, python, module)


def loaded_names() -> list[str]:
    """Return the names of the scripted modules that are in the application."""
    modules = vars(slicer.modules).values()
    return [m.name for m in modules if isinstance(m, qSlicerScriptedLoadableModule)]


def unload(loaded: LoadedModule) -> None:
    """Let the module clean up and take it out of the application; once is enough."""
    if getattr(slicer.modules, loaded.name.lower(), None) is not loaded.module:
        return
    window = slicer.app._window
    if window is not None and window.moduleSelector().selectedModule == loaded.name:
        window.moduleSelector().selectModule("")
    slicer.app.moduleManager().moduleAboutToBeUnloaded(loaded.name)
    # Closing the scene later would still reach the panel through its parameter node.
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        if node.GetAttribute("ModuleName") == loaded.name:
            slicer.mrmlScene.RemoveNode(node)
    if loaded.module._widget is not None:
        loaded.module._widget.hide()
        loaded.module._widget.deleteLater()
    for attribute in (loaded.name.lower(), f"{loaded.name}Instance", f"{loaded.name}Widget"):
        slicer.modules.__dict__.pop(attribute, None)
    sys.modules.pop(loaded.name, None)
    folder = os.path.dirname(loaded.module.path)
    if folder in sys.path:
        sys.path.remove(folder)
