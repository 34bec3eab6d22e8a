"""The modules `qt` and `ctk`, and where the host enters them."""

from __future__ import annotations

import sys
import types

from PySide6 import QtCore, QtGui, QtWidgets

from .items import ITEMS
from .objects import wrapped
from .overrides import OVERRIDES
from .ui_loader import UiLoader

_SPACES = (QtCore, QtGui, QtWidgets)
# PySide's own tools, which PythonQt does not have. Signals made in Python crash PythonQt.
_NOT_IN_PYTHONQT = frozenset({"Signal", "Slot", "Property", "SignalInstance", "QEnum"})


class QtNamespace(types.ModuleType):
    """`import qt`: every class of Qt in one module."""

    def __getattr__(self, name: str) -> object:
        if name not in _NOT_IN_PYTHONQT:
            for space in _SPACES:
                if hasattr(space, name):
                    value = wrapped(getattr(space, name))
                    setattr(self, name, value)
                    return value
        raise AttributeError(f"module 'qt' has no attribute '{name}'")


def install() -> types.ModuleType:
    """Enter `qt` and an empty `ctk` into sys.modules and return `ctk` to be filled."""
    qt, ctk = QtNamespace("qt"), types.ModuleType("ctk")
    qt.QUiLoader = UiLoader
    for override in OVERRIDES:
        setattr(qt, override.__name__, override)
        UiLoader.standIns[override.__name__] = override
    for item in ITEMS:
        setattr(qt, item.__name__, item)
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    return ctk
