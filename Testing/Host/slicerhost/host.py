"""The application as tests use it: start it, load a module, wait, look at it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import core_modules, parameters, scripted, scripted_modules, translation, widgets
from .application import qSlicerApplication, qSlicerMainWindow
from .pythonqt import namespaces
from .pythonqt.dialogs import DIALOGS, Answer, ShownDialog
from .pythonqt.slots import ErrorLog, SlotError
from .scripted_modules import LoadedModule


class Host:
    """The one application of a process; see :func:`start`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="slicerhost-")
        self._log = ErrorLog()
        self._log.install()
        slicer.mrmlScene = slicer.vtkMRMLScene()
        ctk = namespaces.install()
        widgets.install(ctk, slicer)
        slicer.qSlicerScriptedLoadableModule = scripted_modules.qSlicerScriptedLoadableModule
        slicer.qSlicerScriptedLoadableModuleWidget = (
            scripted_modules.qSlicerScriptedLoadableModuleWidget
        )
        _enter_modules()
        self.app = slicer.app = qSlicerApplication(Path(self._folder.name))
        core_modules.install(self.app.applicationLogic())
        self._items = core_modules.HierarchyItems(slicer.mrmlScene)
        self.mainWindow = qSlicerMainWindow()

    @property
    def slotErrors(self) -> list[SlotError]:
        """Exceptions that left slots and observers, oldest first; a test may clear the list."""
        return self._log.errors

    @property
    def dialogs(self) -> list[ShownDialog]:
        """Dialogs shown since the last reset, oldest first."""
        return DIALOGS.shown

    def answer(self, *answers: Answer) -> None:
        """Prepare answers for the next modal dialogs.

        An answer is a standard button, the text of a button, the value a file or input dialog
        returns, or a function of the dialog that returns one of these.
        """
        DIALOGS.answers.extend(answers)

    def setTesting(self, enabled: bool) -> None:
        """Choose what slicer.app.testingEnabled() answers; in testing no message boxes come."""
        self.app._testing = enabled

    def loadModule(self, path: Path | str) -> LoadedModule:
        """Load a scripted module from its .py file."""
        return scripted_modules.load(Path(path).resolve())

    def unloadModule(self, loaded: LoadedModule) -> None:
        """Let a module clean up and forget it."""
        scripted_modules.unload(loaded)
        self.pump()

    def enter(self, loaded: LoadedModule) -> None:
        """Switch to a module: the one left gets exit(), this one enter()."""
        slicer.util.selectModule(loaded.name)

    def leave(self) -> None:
        """Leave the present module."""
        self.mainWindow.moduleSelector().selectModule("")

    def closeScene(self) -> None:
        """Do what File > Close Scene does: singletons stay, everything else goes."""
        slicer.mrmlScene.Clear(0)

    def reset(self) -> None:
        """Make a fresh start for a test: scene, settings, dialogs, errors, testing mode."""
        self.closeScene()
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            slicer.mrmlScene.RemoveNode(node)
        QtCore.QSettings().clear()
        DIALOGS.clear()
        self.slotErrors.clear()
        self.setTesting(True)

    def pump(self) -> None:
        """Handle the events that wait, deletions included."""
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        QtCore.QCoreApplication.processEvents()

    def wait(self, predicate: Callable[[], object], timeout: float = 10.0) -> bool:
        """Handle events until something holds.

        :param timeout: seconds to give up after
        :return: whether it came to hold
        """
        end = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > end:
                return False
            self.pump()
            time.sleep(0.002)
        return True

    def screenshot(self, widget: QtWidgets.QWidget, path: Path | str) -> Path:
        """Save a picture of a widget as PNG, at the size it wants but at least the size it has."""
        widget.show()
        QtWidgets.QWidget.resize(widget, widget.size.expandedTo(widget.sizeHint()))
        self.pump()
        picture = QtWidgets.QWidget.grab(widget)
        if not picture.save(str(path), "PNG"):
            raise OSError(f"cannot write the picture {path}")
        return Path(path)

    def stop(self) -> None:
        """Give the process its exception hook back and remove the temporary folder."""
        self._log.remove()
        QtCore.QSettings().sync()
        self._folder.cleanup()


def _enter_modules() -> None:
    """Enter the pure-Python parts of Slicer that slicer-core lacks."""
    base_classes = types.ModuleType("slicer.ScriptedLoadableModule")
    for name in ("", "Widget", "Logic", "Test"):
        full = f"ScriptedLoadableModule{name}"
        setattr(base_classes, full, getattr(scripted, full))
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr, i18n.translate = translation.tr, translation.translate
    for module in (base_classes, i18n, parameters.module()):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.partition(".")[2], module)


def start() -> Host:
    """Start the application; a process can have one.

    :raises RuntimeError: it was started before
    """
    if QtCore.QCoreApplication.instance() is not None:
        raise RuntimeError("the stand-in for Slicer is already running in this process")
    return Host()
