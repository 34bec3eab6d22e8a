"""CTK's widgets for files and folders."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from ..pythonqt.objects import sealed, wrapped
from ..pythonqt.overrides import QFileDialog
from .properties import stored

_FILTERS = QtCore.QDir.Filter
HISTORY_LENGTH = 5  # paths that are remembered under the settings key


@sealed
class ctkPathLineEdit(wrapped(QtWidgets.QWidget)):
    """A line for the path of a file or folder, with a button that opens a file dialog.

    :ivar filters: what may be chosen, as a number; with `Dirs` alone the dialog asks for folders
    """

    Files, Dirs, Readable, Writable, Executable, NoDot, NoDotDot = (
        int(getattr(_FILTERS, name).value)
        for name in ("Files", "Dirs", "Readable", "Writable", "Executable", "NoDot", "NoDotDot")
    )
    NoDotAndDotDot = NoDot | NoDotDot

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    label = stored(str, "label", "")
    settingKey = stored(str, "settingKey", "")
    showBrowseButton = stored(bool, "showBrowseButton", True)
    showHistoryButton = stored(bool, "showHistoryButton", True)
    nameFilters = stored("QStringList", "nameFilters", [])
    filters = stored(int, "filters", Files | NoDotAndDotDot | Readable)
    currentPath = Property(
        str, lambda self: self._edit.text(), lambda self, path: self._edit.setText(path)
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._edit = QtWidgets.QLineEdit(self)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._edit)
        box.addWidget(self._button)
        self.setFocusProxy(self._edit)
        self._edit.textChanged.connect(lambda path: self.currentPathChanged(path))
        self._button.clicked.connect(self.browse)

    def setCurrentPath(self, path: str) -> None:
        """Set the path."""
        self.currentPath = path

    def browse(self) -> None:
        """Let people choose; nothing changes if they cancel."""
        kind = self.Files | self.Dirs
        ask = (
            QFileDialog.getExistingDirectory
            if self.filters & kind == self.Dirs
            else QFileDialog.getOpenFileName
        )
        chosen = ask(self, self.label or "Select a file to save")
        if chosen:
            self.currentPath = chosen

    def addCurrentPathToHistory(self) -> None:
        """Remember the path under the settings key."""
        if self.settingKey and self.currentPath:
            kept = [path for path in self._history() if path != self.currentPath]
            kept = [self.currentPath, *kept][:HISTORY_LENGTH]
            QtCore.QSettings().setValue(self.settingKey, kept)

    def retrieveHistory(self) -> None:
        """Take the latest path remembered under the settings key."""
        history = self._history()
        if history:
            self.currentPath = history[0]

    def _history(self) -> list[str]:
        found = QtCore.QSettings().value(self.settingKey) or []
        return [found] if isinstance(found, str) else list(found)

    def _on_showBrowseButton(self, shown: bool) -> None:
        self._button.setVisible(shown)


@sealed
class ctkDirectoryButton(wrapped(QtWidgets.QWidget)):
    """A button that shows a folder and asks for another one; it always has one.

    An empty directory is the present one of the process, as in the application.
    """

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    caption = stored(str, "caption", "")
    text = stored(str, "text", "")
    directory = Property(
        str, lambda self: self._folder.absolutePath(), lambda self, path: self._choose(path)
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = QtCore.QDir("")
        self._button = QtWidgets.QPushButton(self._folder.absolutePath(), self)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._button)
        self._button.clicked.connect(self.browse)

    def browse(self) -> None:
        """Let people choose; nothing changes if they cancel."""
        chosen = QFileDialog.getExistingDirectory(self, self.caption, self.directory)
        if chosen:
            self.directory = chosen

    def _choose(self, path: str) -> None:
        folder = QtCore.QDir(path)
        changed = folder != self._folder
        self._folder = folder
        self._button.setText(self.text or folder.absolutePath())
        self.directorySelected(folder.absolutePath())
        if changed:
            self.directoryChanged(folder.absolutePath())
