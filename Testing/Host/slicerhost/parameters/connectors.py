"""Which widget can show which type of parameter, by its exact class, as in the application."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from PySide6 import QtWidgets

from ..pythonqt.objects import wrapped
from ..widgets.ctk_paths import ctkDirectoryButton, ctkPathLineEdit
from ..widgets.ctk_values import ctkSliderWidget
from ..widgets.node_combo_box import qMRMLNodeComboBox
from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange
from .fields import Field

PROPERTY = "SlicerParameterName"
INT_LIMITS = (-(2**31), 2**31 - 1)
FLOAT_LIMITS = (float("-inf"), float("inf"))


@dataclass
class Connector:
    """Reads and writes a widget's value and listens to its changes.

    :ivar signal: name of the signal that tells of a change
    """

    widget: QtWidgets.QWidget
    signal: str
    read: Callable[[], object]
    write: Callable[[object], None]
    slot: Callable[[], None] | None = None

    def connect(self, slot: Callable[[], None]) -> None:
        """Call a function at every change of the widget."""
        self.slot = slot
        getattr(self.widget, self.signal).connect(slot)

    def disconnect(self) -> None:
        """Stop listening."""
        getattr(self.widget, self.signal).disconnect(self.slot)


def _by_property(widget: QtWidgets.QWidget, name: str, signal: str) -> Connector:
    return Connector(
        widget,
        signal,
        lambda: getattr(widget, name),
        lambda value: setattr(widget, name, value),
    )


def _switch(widget: QtWidgets.QWidget, field: Field) -> Connector:
    if not widget.checkable:
        widget.checkable = True
    signal = "stateChanged" if isinstance(widget, QtWidgets.QCheckBox) else "toggled"
    return _by_property(widget, "checked", signal)


def _limits(field: Field, widest: tuple[float, float]) -> tuple[float, float]:
    within, low, high = (field.find(kind) for kind in (WithinRange, Minimum, Maximum))
    if within is not None:
        return within.minimum, within.maximum
    return low.minimum if low else widest[0], high.maximum if high else widest[1]


def _number(widget: QtWidgets.QWidget, field: Field) -> Connector:
    widest = INT_LIMITS if field.kind is int else FLOAT_LIMITS
    limits = _limits(field, widest)
    if isinstance(widget, (QtWidgets.QSlider, ctkSliderWidget)) and set(limits) & set(widest):
        raise RuntimeError(f"parameter {field.name}: a slider needs limits")
    for annotation, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        found = field.find(annotation)
        if found is not None:
            setattr(widget, name, found.value)
    widget.minimum, widget.maximum = limits
    return _by_property(widget, "value", "valueChanged")


def _listed(widget: QtWidgets.QComboBox, field: Field) -> Connector:
    """Fill a combo box with the choices of a parameter."""
    if isinstance(field.kind, type) and issubclass(field.kind, enum.Enum):
        label = getattr(field.kind, "label", lambda member: member.name)
        values = [(label(member), member) for member in field.kind]
    else:
        choice = field.find(Choice)
        if choice is None:
            raise RuntimeError(f"parameter {field.name}: a combo box needs the Choice annotation")
        values = [(str(value), value) for value in choice.choices]
    widget.clear()
    widget.addItems([text for text, _ in values])

    def write(value: object) -> None:
        widget.currentIndex = [known for _, known in values].index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex][1], write)


def _text(widget: QtWidgets.QWidget, field: Field) -> Connector:
    if isinstance(widget, QtWidgets.QTextEdit):
        return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    return _by_property(widget, "text", "textChanged")


def _path(widget: QtWidgets.QWidget, field: Field) -> Connector:
    name = "directory" if isinstance(widget, ctkDirectoryButton) else "currentPath"
    return Connector(
        widget,
        f"{name}Changed",
        lambda: field.kind(getattr(widget, name)),
        lambda value: setattr(widget, name, str(value)),
    )


def _node(widget: qMRMLNodeComboBox, field: Field) -> Connector:
    widget.nodeTypes = [kind.__name__ for kind in field.node_classes]
    return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)


def _factory(field: Field) -> dict[type, Callable[[QtWidgets.QWidget, Field], Connector]]:
    """Return widget class -> connector for a parameter's type."""
    q = QtWidgets
    kind = field.kind
    if field.node_classes:
        return {qMRMLNodeComboBox: _node}
    if not isinstance(kind, type):  # lists, dictionaries and Optional have no widget
        return {}
    if issubclass(kind, enum.Enum):
        return {wrapped(q.QComboBox): _listed}
    if issubclass(kind, pathlib.PurePath):
        return {ctkPathLineEdit: _path, ctkDirectoryButton: _path}
    listed = {wrapped(q.QComboBox): _listed}
    return {
        bool: {wrapped(q.QCheckBox): _switch, wrapped(q.QPushButton): _switch, **listed},
        int: {wrapped(q.QSlider): _number, wrapped(q.QSpinBox): _number, **listed},
        float: {wrapped(q.QDoubleSpinBox): _number, ctkSliderWidget: _number, **listed},
        str: {wrapped(q.QLineEdit): _text, wrapped(q.QTextEdit): _text, **listed},
    }.get(kind, {})


def create_connector(widget: QtWidgets.QWidget, field: Field) -> Connector:
    """Return the connector of a widget for a parameter.

    :raises RuntimeError: a widget of this class cannot show a parameter of this type
    """
    make = _factory(field).get(type(widget))
    if make is None:
        raise RuntimeError(
            f"cannot bind parameter {field.name} of type {field.declared} to a "
            f"{type(widget).__name__}"
        )
    return make(widget, field)
