"""The settings of an engine, as the engine declares them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ctk
import qt
from slicer import i18n
from slicer.i18n import tr as _

from TotalSegmentatorLib.engines.contract import Option
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs.request import OptionValue

# Engines declare their texts in the library, far from Slicer's translator: this is the context in
# which their translations are looked up.
_CONTEXT = "TotalSegmentatorLib.engines"
_LARGEST_INT = 2**31 - 1
_LARGEST_FLOAT = 1e9


class OptionsForm:
    """A form with one row for each option of an engine, but for those that lift a protection.

    :param container: an empty widget, which the form fills and hides when there are no options.
    :param onChanged: called when a person has changed a value.
    """

    def __init__(self, container, onChanged: Callable[[], None]) -> None:
        self._onChanged = onChanged
        self._container = container
        self._layout = qt.QVBoxLayout(container)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._options: Sequence[Option] = ()
        self._form = None
        self._fields: dict[str, _Field] = {}
        self._resetButton = qt.QPushButton(_("Default values"))
        self._resetButton.name = "resetOptionsButton"
        self._resetButton.toolTip = _("Set all options of the engine to their usual values.")
        self._resetButton.connect("clicked()", self._onReset)
        self._layout.addWidget(self._resetButton)
        self._update()

    def setOptions(self, options: Sequence[Option]) -> None:
        """Show the options of an engine with their default values."""
        if options == self._options:
            return
        self._options = options
        if self._form is not None:
            self._layout.removeWidget(self._form)
            self._form.hide()
            self._form.deleteLater()
        self._form = qt.QWidget()
        rows = qt.QFormLayout(self._form)
        rows.setContentsMargins(0, 0, 0, 0)
        self._fields = {
            option.name: _Field(option, rows, self._onEdited)
            for option in options
            if not option.unsafe
        }
        self._layout.insertWidget(0, self._form)
        self._update()

    @property
    def values(self) -> dict[str, OptionValue]:
        """Name -> value of the options that are not at their defaults.

        Setting it sets all others to their defaults; names and values that the engine would refuse
        are passed over.
        """
        return {
            name: field.value
            for name, field in self._fields.items()
            if field.value != field.option.default
        }

    @values.setter
    def values(self, values: Mapping[str, OptionValue]) -> None:
        for field in self._fields.values():
            field.value = _accepted(field.option, values)
        self._update()

    def _onEdited(self) -> None:
        self._update()
        self._onChanged()

    def _onReset(self) -> None:
        self.values = {}
        self._onChanged()

    def _update(self) -> None:
        self._container.visible = bool(self._fields)
        self._resetButton.enabled = bool(self.values)


class _Field:
    """The row of one option."""

    def __init__(self, option: Option, rows, onEdited: Callable[[], None]) -> None:
        self.option = option
        title = i18n.translate(_CONTEXT, option.title)
        self._kind = _kindOf(option)
        self._widget = self._kind.make(option)
        self._widget.name = f"{option.name}Option"
        self._widget.toolTip = i18n.translate(_CONTEXT, option.help)
        self.value = option.default
        if isinstance(option.default, bool):
            self._widget.text = title
            rows.addRow(self._widget)
        else:
            label = qt.QLabel(_("{title}:").format(title=title))
            label.toolTip = self._widget.toolTip
            label.setBuddy(self._widget)
            rows.addRow(label, self._widget)
        self._widget.connect(self._kind.signal, onEdited)

    @property
    def value(self) -> OptionValue:
        """What is shown, in the option's type."""
        return getattr(self._widget, self._kind.property)

    @value.setter
    def value(self, value: OptionValue) -> None:
        if value == self.value:  # else the cursor would move while people type
            return
        # Most widgets announce every change, whoever makes it.
        blocked = self._widget.blockSignals(True)
        setattr(self._widget, self._kind.property, value)
        self._widget.blockSignals(blocked)


def _accepted(option: Option, values: Mapping[str, OptionValue]) -> OptionValue:
    """The value of an option, or its default where there is none that the engine accepts."""
    value = values.get(option.name, option.default)
    try:
        parsed = option.parse(value)
    except InputError:
        return option.default
    return str(value) if option.path else parsed  # no path is completed while it is typed


def _intBox(option: Option):
    box = qt.QSpinBox()
    box.minimum = -_LARGEST_INT if option.minimum is None else int(option.minimum)
    box.maximum = _LARGEST_INT if option.maximum is None else int(option.maximum)
    return box


def _floatBox(option: Option):
    box = qt.QDoubleSpinBox()
    box.decimals = _decimals(option)
    box.minimum = -_LARGEST_FLOAT if option.minimum is None else option.minimum
    box.maximum = _LARGEST_FLOAT if option.maximum is None else option.maximum
    if option.maximum is not None and option.maximum <= 1:  # a share of something
        box.singleStep = 0.05
    else:
        box.stepType = qt.QDoubleSpinBox.AdaptiveDecimalStepType
    return box


def _decimals(option: Option) -> int:
    """One more than the engine itself uses in its default and limits."""
    numbers = [n for n in (option.default, option.minimum, option.maximum) if n is not None]
    return 1 + max(len(f"{number:.4f}".rstrip("0").partition(".")[2]) for number in numbers)


def _choiceBox(option: Option):
    box = qt.QComboBox()
    box.addItems(list(option.choices))
    return box


@dataclass(frozen=True)
class _Kind:
    """How options of one kind are shown.

    :param make: makes the widget of an option.
    :param property: that of the widget that is the option's value.
    :param signal: what the widget emits when people change it.
    """

    make: Callable[[Option], object]
    property: str
    signal: str


_KINDS = {
    bool: _Kind(lambda option: qt.QCheckBox(), "checked", "clicked()"),
    int: _Kind(_intBox, "value", "valueChanged(int)"),
    float: _Kind(_floatBox, "value", "valueChanged(double)"),
    str: _Kind(lambda option: qt.QLineEdit(), "text", "textEdited(QString)"),
}
_PATH = _Kind(lambda option: ctk.ctkPathLineEdit(), "currentPath", "currentPathChanged(QString)")
_CHOICE = _Kind(_choiceBox, "currentText", "currentIndexChanged(int)")


def _kindOf(option: Option) -> _Kind:
    if option.path:
        return _PATH
    return _CHOICE if option.choices else _KINDS[type(option.default)]
