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
from PySide6 import QtCore, QtGui, QtWidgets

from . import (
    core_modules,
    dicom_database,
    event_loop,
    parameters,
    pictures,
    sample_data,
    scripted,
    scripted_modules,
    subject_hierarchy,
    themes,
    translation,
    widgets,
)
from .application import qSlicerApplication
from .pythonqt import namespaces
from .pythonqt.dialogs import DIALOGS, Answer, ShownDialog
from .pythonqt.overrides import QDesktopServices
from .pythonqt.running import RUNNING
from .pythonqt.slots import ErrorLog, SlotError
from .scene_observers import SceneObservers
from .scripted_modules import LoadedModule


class Host:
    """The one application of a process; see :func:`start`."""

    def __init__(self, mainWindow: bool = True) -> None:
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
        self.app = slicer.app = qSlicerApplication(Path(self._folder.name), mainWindow)
        core_modules.install(self.app.applicationLogic())
        self._items = core_modules.HierarchyItems(slicer.mrmlScene)
        subject_hierarchy.install()
        self._database = dicom_database.install()
        self.mainWindow = self.app._window
        self._observers = SceneObservers(slicer.mrmlScene)
        self._quit = False
        themes.apply("light")

    @property
    def slotErrors(self) -> list[SlotError]:
        """Exceptions that left slots and observers, oldest first; a test may clear the list."""
        return self._log.errors

    @property
    def dialogs(self) -> list[ShownDialog]:
        """Dialogs shown since the last reset, oldest first."""
        return DIALOGS.shown

    @property
    def openedUrls(self) -> list[str]:
        """Addresses that a module opened in the browser since the last reset."""
        return QDesktopServices.opened

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

    def reload(self, loaded: LoadedModule) -> LoadedModule:
        """Do what the developer's Reload button does, and return the module as it is now."""
        loaded.widget.onReload()
        return LoadedModule(loaded.name, sys.modules[loaded.name], loaded.module)

    def quit(self) -> None:
        """Close the application, with whatever goes on: panels clean up, and no event comes after.

        From here on timers stand still, pump() does nothing, and wait() only waits. The next
        reset() brings the application back for the next test.
        """
        self.app.aboutToQuit()
        for name in scripted_modules.loaded_names():
            self.app.moduleManager().moduleAboutToBeUnloaded(name)
        if self.mainWindow is not None:
            self.mainWindow.moduleSelector().selectedModule = ""  # nobody is left any more
        self._quit = True

    def leftovers(self) -> list[str]:
        """Return what still goes on by itself: timers, processes, observers of the scene.

        Ask it when every module is unloaded; after quit() nothing goes on. Engine processes of a
        run are no QProcess and are found by their folder.
        """
        if self._quit:
            return []
        timers = [f"timer of {timer.interval} ms" for timer in RUNNING.activeTimers()]
        processes = [f"process {p.program()}" for p in RUNNING.activeProcesses()]
        return [*timers, *processes, *self._observers.descriptions()]

    def contextMenu(self, node: slicer.vtkMRMLNode) -> list[QtGui.QAction]:
        """Return what a right click on a node in the Data module shows, of scripted plugins."""
        return subject_hierarchy.context_menu(node)

    def downloadSample(self, name: str) -> object:
        """Do what a click on a data set in the Sample Data module does."""
        return sample_data.download(name)

    def setTheme(self, theme: str) -> None:
        """Show everything in the colours of a theme: light or dark."""
        themes.apply(theme)
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
        """Make a fresh start for a test: scene, settings, dialogs, errors, testing mode.

        Timers, processes and observers that the last test left are ended.
        """
        self._quit = False
        self._log.install()
        RUNNING.stop()
        self._observers.remove()
        self.closeScene()
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            slicer.mrmlScene.RemoveNode(node)
        QtCore.QSettings().clear()
        subject_hierarchy.forget()
        sample_data.forget()
        self._database.closeDatabase()
        themes.apply("light")
        DIALOGS.clear()
        QDesktopServices.opened.clear()
        QtWidgets.QApplication.clipboard().clear()
        self.slotErrors.clear()
        self.setTesting(True)

    def pump(self) -> None:
        """Handle the events that wait, deletions included; none after quit()."""
        if self._quit:
            return
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

    def run_until(self, predicate: Callable[[], object], timeout: float = 10.0) -> bool:
        """Run the event loop for real until something holds.

        :param timeout: seconds to give up after
        :return: whether it came to hold
        """
        if self._quit:
            return self.wait(predicate, timeout)
        return event_loop.spin(predicate, timeout).reached

    def longestGap(
        self, until: float | Callable[[], object] = 1.0, timeout: float = 600.0
    ) -> float:
        """Run the event loop for real and return for how long it stood still at worst.

        :param until: seconds to run, or what must come to hold
        :param timeout: seconds to give up after, if it does not
        :return: longest time between two ticks of a timer of 1 ms, in ms
        :raises TimeoutError: it did not come to hold
        """
        if not callable(until):
            return event_loop.spin(lambda: False, until).longest_gap_ms
        result = event_loop.spin(until, timeout)
        if not result.reached:
            raise TimeoutError(f"what was waited for did not come in {timeout} s")
        return result.longest_gap_ms

    def screenshot(
        self, widget: QtWidgets.QWidget, path: Path | str, width: int | None = None
    ) -> Path:
        """Save a picture of a widget as a small PNG.

        :param width: width in pixels, with the full height that needs; without it the size the
            widget wants, but at least the size it has
        :raises OSError: the picture cannot be written
        """
        widget.show()
        for _ in range(3):  # layouts of layouts settle one after the other
            self.pump()
            QtWidgets.QWidget.resize(widget, pictures.wanted_size(widget, width))
        self.pump()
        return pictures.save(QtWidgets.QWidget.grab(widget), Path(path))

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
    sys.modules["SampleData"] = sample_data.module()
    for module in (base_classes, i18n, parameters.module()):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.partition(".")[2], module)


def start(mainWindow: bool = True) -> Host:
    """Start the application; a process can have one.

    :param mainWindow: False starts as with --no-main-window: no panel is ever shown
    :raises RuntimeError: it was started before
    """
    if QtCore.QCoreApplication.instance() is not None:
        raise RuntimeError("the stand-in for Slicer is already running in this process")
    return Host(mainWindow)
