"""Buttons and value widgets of CTK."""

from __future__ import annotations

from PySide6 import QtWidgets
from PySide6.QtCore import Property, Qt, Signal

from ..pythonqt.objects import sealed, wrapped
from .properties import stored


@sealed
class ctkMenuButton(wrapped(QtWidgets.QPushButton)):
    """A push button with a menu behind an arrow at its right."""


@sealed
class ctkPathLineEdit(wrapped(QtWidgets.QWidget)):
    """A line for the path of a file or folder."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    settingKey = stored(str, "settingKey", "")
    currentPath = Property(
        str, lambda self: self._edit.text(), lambda self, path: self._edit.setText(path)
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._edit = QtWidgets.QLineEdit(self)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._edit)
        self._edit.textChanged.connect(lambda path: self.currentPathChanged(path))

    def setCurrentPath(self, path: str) -> None:
        """Set the path."""
        self.currentPath = path


@sealed
class ctkSliderWidget(wrapped(QtWidgets.QWidget)):
    """A slider for a floating point number."""

    valueChanged = Signal(float)
    STEPS = 1000

    minimum = stored(float, "minimum", 0.0)
    maximum = stored(float, "maximum", 99.0)
    singleStep = stored(float, "singleStep", 1.0)
    decimals = stored(int, "decimals", 2)
    value = stored(float, "value", 0.0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setMaximum(self.STEPS)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._slider)

    def _on_value(self, value: float) -> None:
        self.__dict__["_value_value"] = min(max(value, self.minimum), self.maximum)
        extent = (self.maximum - self.minimum) or 1.0
        self._slider.setValue(round((self.value - self.minimum) / extent * self.STEPS))
        self.valueChanged(self.value)

    def setValue(self, value: float) -> None:
        """Set the value; it is held within the range."""
        self.value = float(value)
