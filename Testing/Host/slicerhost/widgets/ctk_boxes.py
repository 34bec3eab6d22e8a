"""Collapsible boxes and the message box of CTK."""

from __future__ import annotations

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from ..pythonqt.objects import sealed, wrapped
from ..pythonqt.overrides import QMessageBox
from .properties import stored

HEADER = 24  # height of the title bar in pixels
UNLIMITED = 16777215  # QWIDGETSIZE_MAX


class FoldedChildren:
    """Hides what is in a section and shows it again, except what code had hidden itself."""

    def __init__(self, section: QtWidgets.QWidget) -> None:
        self._section = section
        self._hidden: list[QtWidgets.QWidget] = []

    def fold(self, folded: bool) -> None:
        """Hide the children, or show those that an earlier call hid."""
        if not folded:
            for child in self._hidden:
                if shiboken6.isValid(child):
                    QtWidgets.QWidget.setVisible(child, True)
            self._hidden = []
            return
        for child in self._section.children():
            if isinstance(child, QtWidgets.QWidget) and not QtWidgets.QWidget.isHidden(child):
                QtWidgets.QWidget.setVisible(child, False)
                self._hidden.append(child)


@sealed
class ctkCollapsibleButton(wrapped(QtWidgets.QWidget)):
    """A titled section; a click on the title hides or shows what is in it.

    It starts open: collapsed False, checked True, text ''.
    """

    contentsCollapsed = Signal(bool)
    toggled = Signal(bool)
    clicked = Signal(bool)

    text = stored(str, "text", "")
    flat = stored(bool, "flat", False)
    checkable = stored(bool, "checkable", True)
    collapsed = stored(bool, "collapsed", False)
    collapsedHeight = stored(int, "collapsedHeight", 14)
    checked = Property(bool, lambda self: not self.collapsed, lambda self, on: self._open(on))

    def __init__(self, parent: QtWidgets.QWidget | str | None = None) -> None:
        title = parent if isinstance(parent, str) else ""
        super().__init__(None if isinstance(parent, str) else parent)
        self._folded = FoldedChildren(self)
        self.text = title
        self.setContentsMargins(0, HEADER, 0, 0)

    def _open(self, on: bool) -> None:
        self.collapsed = not on

    def setChecked(self, on: bool) -> None:
        """Open or close the section."""
        self.collapsed = not on

    def isChecked(self) -> bool:
        """Whether the section is open."""
        return not self.collapsed

    def setText(self, text: str) -> None:
        """Set the title."""
        self.text = text

    def click(self) -> None:
        """Do what a click on the title does."""
        self.collapsed = not self.collapsed
        self.clicked(not self.collapsed)

    toggle = click

    def _on_text(self, _text: str) -> None:
        self.update()

    def _on_collapsed(self, collapsed: bool) -> None:
        self._folded.fold(collapsed)
        self.maximumHeight = HEADER if collapsed else UNLIMITED
        self.contentsCollapsed(collapsed)
        self.toggled(not collapsed)

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Collapse or open at a click on the title."""
        if event.position().y() < HEADER:
            self.click()

    def showEvent(self, _event: QtGui.QShowEvent) -> None:
        """Keep the content of a closed section hidden when the panel appears."""
        if self.collapsed:
            self._folded.fold(True)

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw the title bar."""
        option = QtWidgets.QStyleOptionButton()
        option.rect = QtCore.QRect(0, 0, self.width, HEADER - 2)
        option.text = ("\u25b8 " if self.collapsed else "\u25be ") + self.text
        option.state = QtWidgets.QStyle.StateFlag.State_Enabled
        element = QtWidgets.QStyle.ControlElement.CE_PushButton
        painter = QtGui.QPainter(self)
        QtWidgets.QWidget.style(self).drawControl(element, option, painter, self)
        painter.end()


@sealed
class ctkCollapsibleGroupBox(wrapped(QtWidgets.QGroupBox)):
    """A group box that folds."""

    collapsed = stored(bool, "collapsed", False)
    collapsedHeight = stored(int, "collapsedHeight", 14)

    def __init__(self, parent: QtWidgets.QWidget | str | None = None) -> None:
        title = parent if isinstance(parent, str) else ""
        super().__init__(None if isinstance(parent, str) else parent)
        self.title = title
        self._folded = FoldedChildren(self)
        self.checkable = True
        self.toggled.connect(self._open)

    def _open(self, on: bool) -> None:
        self.collapsed = not on

    def _on_collapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed
        self._folded.fold(collapsed)
        self.maximumHeight = HEADER if collapsed else UNLIMITED

    def showEvent(self, _event: QtGui.QShowEvent) -> None:
        """Keep the content of a folded box hidden when the panel appears."""
        if self.collapsed:
            self._folded.fold(True)


@sealed
class ctkMessageBox(QMessageBox):
    """A message box that may offer not to be shown again."""

    dontShowAgain = stored(bool, "dontShowAgain", False)
    dontShowAgainVisible = stored(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey", "")

    def _on_dontShowAgainSettingsKey(self, key: str) -> None:
        self.dontShowAgainVisible = bool(key)

    def exec_(self) -> int:
        """Return the remembered answer, or else ask, and remember if the test ticked the box."""
        key = self.dontShowAgainSettingsKey
        remembered = QtCore.QSettings().value(key) if key else None
        if remembered not in (None, ""):
            return int(remembered)
        result = super().exec_()
        if key and self.dontShowAgain:
            QtCore.QSettings().setValue(key, int(result))
        return result

    exec = exec_
