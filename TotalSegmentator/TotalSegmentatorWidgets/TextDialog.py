"""Longer text to read and to copy."""

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

_COLUMNS, _ROWS = 90, 24


def showText(title: str, text: str) -> None:
    """Show a text in a dialog of its own, and wait until it is closed.

    :param text: plain; a button copies it.
    """
    dialog = qt.QDialog(slicer.util.mainWindow())
    dialog.windowTitle = title
    layout = qt.QVBoxLayout(dialog)
    field = qt.QPlainTextEdit()
    field.name = "textField"
    field.readOnly = True
    field.plainText = text
    metrics = field.fontMetrics()
    field.setMinimumSize(_COLUMNS * metrics.averageCharWidth(), _ROWS * metrics.lineSpacing())
    layout.addWidget(field)
    copyButton = qt.QPushButton(_("Copy"))
    copyButton.name = "copyTextButton"
    copyButton.autoDefault = False
    copyButton.connect("clicked()", lambda: slicer.app.clipboard().setText(text))
    closeButton = qt.QPushButton(_("Close"))
    closeButton.connect("clicked()", dialog.accept)
    buttons = qt.QDialogButtonBox()
    buttons.addButton(copyButton, qt.QDialogButtonBox.ActionRole)
    buttons.addButton(closeButton, qt.QDialogButtonBox.AcceptRole)
    layout.addWidget(buttons)
    dialog.exec_()
    dialog.deleteLater()
