"""Q_PROPERTYs of the stand-ins, declared in one line each."""

from __future__ import annotations

from PySide6.QtCore import Property, QObject


def stored(kind: type | str, name: str, default: object) -> Property:
    """Return a Q_PROPERTY that keeps its value on the object.

    A method ``_on_<name>(value)`` of the class, if there is one, is called on every change.

    :param kind: Python type, or the name of a C++ type
    """
    key = f"_value_{name}"

    def read(self: QObject) -> object:
        return self.__dict__.get(key, default)

    def write(self: QObject, value: object) -> None:
        if value == read(self):
            return
        self.__dict__[key] = value
        changed = getattr(type(self), f"_on_{name}", None)
        if changed is not None:
            changed(self, value)

    return Property(kind, read, write)
