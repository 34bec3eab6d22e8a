"""Buttons and value widgets of CTK."""

from __future__ import annotations

from PySide6 import QtWidgets
from PySide6.QtCore import Qt, Signal

from ..pythonqt.objects import sealed, wrapped
from .properties import stored


@sealed
class ctkMenuButton(wrapped(QtWidgets.QPushButton)):
    """A push button with a menu behind an arrow at its right."""


@sealed
class ctkSearchBox(wrapped(QtWidgets.QLineEdit)):
    """A line to search with: a magnifying glass on request, and a cross that empties it."""

    showSearchIcon = stored(bool, "showSearchIcon", False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.placeholderText = "Search..."
        self.clearButtonEnabled = True


@sealed
class ctkSliderWidget(wrapped(QtWidgets.QWidget)):
    """A slider for a floating point number, with a spin box at its right."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)
    STEPS = 1000

    minimum = stored(float, "minimum", 0.0)
    maximum = stored(float, "maximum", 99.0)
    singleStep = stored(float, "singleStep", 1.0)
    pageStep = stored(float, "pageStep", 10.0)
    decimals = stored(int, "decimals", 2)
    value = stored(float, "value", 0.0)
    prefix = stored(str, "prefix", "")
    suffix = stored(str, "suffix", "")
    tracking = stored(bool, "tracking", True)
    spinBoxVisible = stored(bool, "spinBoxVisible", True)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setMaximum(self.STEPS)
        self._slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._slider, 1)
        box.addWidget(self._spin)
        self._on_minimum()
        self._slider.sliderMoved.connect(self._moved)
        self._spin.valueChanged.connect(self.setValue)

    def _on_minimum(self, _limit: float = 0.0) -> None:
        self._spin.blockSignals(True)
        self._spin.setDecimals(self.decimals)
        self._spin.setRange(self.minimum, self.maximum)
        self._spin.setSingleStep(self.singleStep)
        self._spin.setPrefix(self.prefix)
        self._spin.setSuffix(self.suffix)
        self._spin.blockSignals(False)
        self._on_value(self.value)

    _on_maximum = _on_decimals = _on_singleStep = _on_prefix = _on_suffix = _on_minimum

    def _on_spinBoxVisible(self, visible: bool) -> None:
        self._spin.setVisible(visible)

    def _extent(self) -> float:
        return (self.maximum - self.minimum) or 1.0

    def _moved(self, step: int) -> None:
        self.setValue(self.minimum + step / self.STEPS * self._extent())

    def _on_value(self, value: float) -> None:
        before = self.__dict__.get("_told")
        value = min(max(value, self.minimum), self.maximum)
        self.__dict__["_value_value"] = value
        self._slider.setValue(round((value - self.minimum) / self._extent() * self.STEPS))
        self._spin.blockSignals(True)
        self._spin.setValue(value)
        self._spin.blockSignals(False)
        if value != before:
            self.__dict__["_told"] = value
            self.valueChanged(value)

    def setValue(self, value: float) -> None:
        """Set the value; it is held within the range."""
        self.value = float(value)

    def setDecimals(self, decimals: int) -> None:
        """Set how many digits after the point are shown."""
        self.decimals = decimals

    def setSpinBoxVisible(self, visible: bool) -> None:
        """Show or hide the spin box."""
        self.spinBoxVisible = visible
