"""Items of lists, trees and tables: no QObjects, yet as closed as every class of C++."""

from __future__ import annotations

from PySide6 import QtWidgets


class _Closed:
    """Refuses attributes that the class does not have, as PythonQt does."""

    def __setattr__(self, name: str, value: object) -> None:
        cls = type(self)
        if "_closed" in cls.__dict__ and not name.startswith("_"):
            raise AttributeError(
                f"'{name}' does not exist on {cls.__name__} and creating new attributes on C++ "
                "objects is not allowed"
            )
        super().__setattr__(name, value)


class QTreeWidgetItem(_Closed, QtWidgets.QTreeWidgetItem):
    """A row of a QTreeWidget."""

    _closed = True


class QListWidgetItem(_Closed, QtWidgets.QListWidgetItem):
    """A row of a QListWidget."""

    _closed = True


class QTableWidgetItem(_Closed, QtWidgets.QTableWidgetItem):
    """A cell of a QTableWidget."""

    _closed = True


ITEMS = (QTreeWidgetItem, QListWidgetItem, QTableWidgetItem)
