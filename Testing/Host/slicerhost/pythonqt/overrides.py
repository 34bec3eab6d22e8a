"""Classes of `qt` that need more than the conventions: timers, processes, menus and dialogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6 import QtCore, QtGui, QtWidgets

from .dialogs import DIALOGS, ShownDialog
from .objects import sealed, wrapped
from .running import RUNNING
from .slots import guarded


@sealed
class QTimer(wrapped(QtCore.QTimer)):
    """A timer whose one-shot form takes any callable."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        RUNNING.timers.add(self)

    @staticmethod
    def singleShot(msec: float, slot: Callable[[], object]) -> None:
        """Call a function once, from the event loop, after so many milliseconds."""
        timer = QTimer()
        RUNNING.shots.add(timer)
        call = guarded(slot)

        def shoot() -> None:
            RUNNING.shots.discard(timer)
            timer.deleteLater()
            call()

        QtCore.QTimer.setSingleShot(timer, True)
        timer.connect("timeout()", shoot)
        QtCore.QTimer.start(timer, int(msec))


@sealed
class QProcess(wrapped(QtCore.QProcess)):
    """A process that the host ends with the test, if the module has not."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        RUNNING.processes.add(self)


@sealed
class QMenu(wrapped(QtWidgets.QMenu)):
    """A menu that hands out actions with PythonQt conventions."""

    def addAction(self, *content: object) -> QtGui.QAction:
        """Add an action, or make one from a text or from an icon and a text."""
        action = content[0]
        if not isinstance(action, QtGui.QAction):
            action = wrapped(QtGui.QAction)(*content, self)
        QtWidgets.QMenu.addAction(self, action)
        return action

    def exec_(self, *_position: object) -> QtGui.QAction | None:
        """Record the menu as a dialog and trigger the action whose text is the answer."""
        shown = [action for action in QtWidgets.QMenu.actions(self) if action.isVisible()]
        texts = "\n".join(QtGui.QAction.text(action) for action in shown)
        answer = DIALOGS.ask(ShownDialog("QMenu", self.title, texts))
        for action in shown:
            if QtGui.QAction.text(action) == answer and action.isEnabled():
                action.trigger()
                return action
        return None

    exec = exec_


@sealed
class QDialog(wrapped(QtWidgets.QDialog)):
    """A dialog that is answered by the test."""

    def exec_(self) -> int:
        """Record the dialog and return the prepared answer."""
        return DIALOGS.run(self)

    exec = exec_


def _asking(kind: str) -> staticmethod:
    """Return a static method (parent, title, ...) that returns the prepared answer."""

    def ask(parent: object = None, title: str = "", *details: object) -> object:
        text = str(details[0]) if details else ""
        answer = DIALOGS.ask(ShownDialog(kind, title, text))
        return answer(None) if callable(answer) else answer

    return staticmethod(ask)


@sealed
class QMessageBox(wrapped(QtWidgets.QMessageBox)):
    """A message box that is answered by the test."""

    exec_ = exec = QDialog.exec_
    question = _asking("QMessageBox.question")
    information = _asking("QMessageBox.information")
    warning = _asking("QMessageBox.warning")
    critical = _asking("QMessageBox.critical")

    def addButton(self, *content: object) -> QtWidgets.QAbstractButton:
        """Add a button, or make one from a text and a role."""
        if len(content) == 2 and isinstance(content[0], str):
            content = (wrapped(QtWidgets.QPushButton)(content[0]), content[1])
        added = QtWidgets.QMessageBox.addButton(self, *content)
        return added or content[0]


@sealed
class QFileDialog(wrapped(QtWidgets.QFileDialog)):
    """File dialogs: PythonQt returns the path alone, without the filter."""

    getOpenFileName = _asking("QFileDialog.getOpenFileName")
    getOpenFileNames = _asking("QFileDialog.getOpenFileNames")
    getSaveFileName = _asking("QFileDialog.getSaveFileName")
    getExistingDirectory = _asking("QFileDialog.getExistingDirectory")


@sealed
class QInputDialog(wrapped(QtWidgets.QInputDialog)):
    """Input dialogs: PythonQt returns the value alone."""

    getText = _asking("QInputDialog.getText")
    getItem = _asking("QInputDialog.getItem")


class QDesktopServices:
    """Opens pages and folders for people; here they are only written down."""

    opened: ClassVar[list[str]] = []

    @classmethod
    def openUrl(cls, url: QtCore.QUrl) -> bool:
        """Remember an address instead of starting a browser.

        :raises TypeError: it is not a QUrl
        """
        if not isinstance(url, QtCore.QUrl):
            raise TypeError(f"QDesktopServices.openUrl takes a QUrl, not {type(url).__name__}")
        cls.opened.append(url.toString())
        return True


OVERRIDES = (
    QTimer,
    QProcess,
    QMenu,
    QDialog,
    QMessageBox,
    QFileDialog,
    QInputDialog,
    QDesktopServices,
)
