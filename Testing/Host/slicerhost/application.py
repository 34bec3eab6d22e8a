"""`slicer.app` and the main window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .io_manager import IOManager
from .pythonqt.objects import sealed, wrapped


class LayoutManager:
    """There are no views here: layouts can be set and read, and hold no view."""

    def __init__(self) -> None:
        self.layout = 3  # four-up
        self.threeDViewCount = 0

    def setLayout(self, layout: int) -> None:
        """Remember a layout."""
        self.layout = layout

    def sliceViewNames(self) -> list[str]:
        """Return the names of the slice views."""
        return []

    def resetThreeDViews(self) -> None:
        """Nothing to reset."""

    def resetSliceViews(self) -> None:
        """Nothing to reset."""


@sealed
class qSlicerModuleManager(wrapped(QtCore.QObject)):
    """Finds modules by name and announces their end."""

    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)

    def module(self, name: str) -> object | None:
        """Return a module, None if there is none of this name."""
        return getattr(slicer.modules, name.lower(), None)


class ModuleSelector:
    """Switches between modules: the one left gets exit(), the new one enter()."""

    def __init__(self) -> None:
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        """Show another module; '' shows none.

        :raises RuntimeError: there is no module of this name
        """
        if self.selectedModule:
            slicer.util.getModule(self.selectedModule).widgetRepresentation().exit()
        self.selectedModule = ""
        if name:
            slicer.util.getModule(name).widgetRepresentation().enter()
            self.selectedModule = name


@sealed
class qSlicerMainWindow(wrapped(QtWidgets.QMainWindow)):
    """The main window, found by slicer.util.mainWindow()."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "qSlicerMainWindow"
        self._selector = ModuleSelector()
        self.statusBar()  # made by the first call

    def moduleSelector(self) -> ModuleSelector:
        """Return what switches between modules."""
        return self._selector


@dataclass(frozen=True)
class CommandOptions:
    """What the application was started with."""

    noMainWindow: bool = False
    noSplash: bool = True
    testingEnabled: bool = True


@sealed
class qSlicerApplication(wrapped(QtWidgets.QApplication)):
    """The application object.

    :ivar testing: what testingEnabled() answers; a test may switch it
    """

    startupCompleted = Signal()

    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 13)
    revision = Property(str, lambda self: "0")
    temporaryPath = Property(str, lambda self: str(self._folder))
    slicerHome = Property(str, lambda self: str(self._folder))
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")

    def __init__(self, folder: Path, mainWindow: bool = True) -> None:
        """Start Qt with settings and temporary files in a folder of the caller.

        :param mainWindow: False starts as with --no-main-window
        """
        super().__init__(["Slicer"])
        self._folder = folder
        self._testing = True
        settings = QtCore.QSettings
        settings.setDefaultFormat(settings.Format.IniFormat)
        for scope in (settings.Scope.UserScope, settings.Scope.SystemScope):
            settings.setPath(settings.Format.IniFormat, scope, str(folder))
        QtCore.QCoreApplication.setOrganizationName("SlicerHost")
        QtCore.QCoreApplication.setApplicationName("Slicer")
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._modules = qSlicerModuleManager()
        self._layouts = LayoutManager()
        self._files = IOManager()
        self._options = CommandOptions(noMainWindow=not mainWindow)
        self._window = qSlicerMainWindow() if mainWindow else None

    def commandOptions(self) -> CommandOptions:
        """Return what the application was started with."""
        return self._options

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        """Return the application logic."""
        return self._logic

    def testingEnabled(self) -> bool:
        """Whether message boxes are skipped and exceptions re-raised by slicer.util."""
        return self._testing

    def moduleManager(self) -> qSlicerModuleManager:
        """Return the module manager."""
        return self._modules

    def layoutManager(self) -> LayoutManager:
        """Return the layout manager."""
        return self._layouts

    def coreIOManager(self) -> IOManager:
        """Return what loads and saves nodes."""
        return self._files

    ioManager = coreIOManager

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        """Return the scene."""
        return slicer.mrmlScene

    def settings(self) -> QtCore.QSettings:
        """Return the settings, an .ini file in the folder given at the start."""
        return wrapped(QtCore.QSettings)()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """Return the environment the application was started in."""
        return QtCore.QProcessEnvironment.systemEnvironment()

    def translate(self, _context: str, text: str) -> str:
        """Return the text: the host speaks English."""
        return text

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        """Return the page of a module in the documentation."""
        return f"{self.documentationBaseUrl}user_guide/modules/{moduleName.lower()}.html"

    def pauseRender(self) -> None:
        """There are no views to render."""

    def resumeRender(self) -> None:
        """There are no views to render."""
