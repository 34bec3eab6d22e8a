"""Modal dialogs without a person: they are recorded, and answered by what the test prepared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6 import QtWidgets
from PySide6.QtCore import QObject

# A standard button, the text of a button, a value to return, or a function of the dialog.
Answer = int | str | bool | tuple | Callable[[QtWidgets.QDialog], object]


class UnansweredDialogError(AssertionError):
    """A dialog was shown that the test did not expect: in the application it would now wait."""


@dataclass(frozen=True)
class ShownDialog:
    """What a person would have read."""

    kind: str
    title: str
    text: str
    details: str = ""


@dataclass
class Dialogs:
    """The dialogs shown so far and the answers still to be given."""

    shown: list[ShownDialog] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)

    def clear(self) -> None:
        """Forget what was shown and what was still to be answered."""
        self.shown.clear()
        self.answers.clear()

    def ask(self, shown: ShownDialog) -> Answer:
        """Record a dialog and return the answer prepared for it."""
        self.shown.append(shown)
        if not self.answers:
            raise UnansweredDialogError(f"no answer was prepared for the dialog {shown}")
        return self.answers.popleft()

    def run(self, dialog: QtWidgets.QDialog) -> int:
        """Stand in for QDialog.exec()."""
        answer = self.ask(_describe(dialog))
        if isinstance(dialog, QtWidgets.QMessageBox):
            _click(dialog, answer)
            return QtWidgets.QDialog.result(dialog)
        result = answer(dialog) if callable(answer) else answer
        QtWidgets.QDialog.done(dialog, int(result))
        return QtWidgets.QDialog.result(dialog)


def _describe(dialog: QtWidgets.QDialog) -> ShownDialog:
    def read(name: str) -> str:
        return QObject.property(dialog, name) or ""

    text = "\n".join(part for part in (read("text"), read("informativeText")) if part)
    return ShownDialog(
        type(dialog).__name__, read("windowTitle").strip(), text, read("detailedText")
    )


def _click(box: QtWidgets.QMessageBox, answer: Answer) -> None:
    """Press the button that the answer names."""
    if callable(answer):
        answer = answer(box)
    buttons = QtWidgets.QMessageBox.buttons(box)
    if not buttons:  # Qt itself adds an OK button when none was asked for
        buttons = [QtWidgets.QMessageBox.addButton(box, QtWidgets.QMessageBox.StandardButton.Ok)]
    for button in buttons:
        standard = QtWidgets.QMessageBox.standardButton(box, button)
        text = QtWidgets.QAbstractButton.text(button).replace("&", "")
        if answer == text or (not isinstance(answer, str) and int(answer) == int(standard)):
            QtWidgets.QAbstractButton.click(button)
            return
    raise UnansweredDialogError(f"the dialog {_describe(box)} has no button {answer!r}")


# One per process, as there is one screen.
DIALOGS = Dialogs()
