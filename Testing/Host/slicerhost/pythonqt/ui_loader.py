"""QUiLoader that builds widgets with PythonQt conventions and knows the stand-ins."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import ClassVar

from PySide6 import QtCore, QtUiTools, QtWidgets
from PySide6.QtCore import QObject

from .objects import UiLoading, wrapped


class UiLoader(QtUiTools.QUiLoader):
    """Loads .ui files; classes of ctk and qMRML are looked up in `standIns`."""

    standIns: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[QObject] = []  # the Python side of each widget must outlive loading

    def createWidget(
        self, className: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        """Called by Qt for each widget of the file.

        :raises RuntimeError: the file names a class that has no stand-in
        """
        cls = self.standIns.get(className) or getattr(QtWidgets, className, None)
        if cls is None:
            raise RuntimeError(f"no stand-in for widget class {className}")
        widget = wrapped(cls)(parent)
        QObject.setObjectName(widget, name)
        self._kept.append(widget)
        return widget

    def createLayout(
        self, className: str, parent: QObject | None = None, name: str = ""
    ) -> QtWidgets.QLayout:
        """Called by Qt for each layout of the file."""
        layout = wrapped(getattr(QtWidgets, className))()
        QObject.setObjectName(layout, name)
        if isinstance(parent, QtWidgets.QWidget) and QtWidgets.QWidget.layout(parent) is None:
            QtWidgets.QWidget.setLayout(parent, layout)
        self._kept.append(layout)
        return layout

    def load(
        self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None
    ) -> QtWidgets.QWidget:
        """Build the widgets of a .ui file."""
        root = ElementTree.fromstring(bytes(device.readAll()))
        # Signatures may name VTK types, which Qt's own wiring refuses, so it is done below.
        connections = root.find("connections")
        wires = list(connections) if connections is not None else []
        for wire in wires:
            connections.remove(wire)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        UiLoading.active = True
        try:
            widget = super().load(buffer, parent)
        finally:
            UiLoading.active = False
        self._wire(wires)
        widget.__dict__["_loader"] = self
        return widget

    def _wire(self, wires: list[ElementTree.Element]) -> None:
        by_name = {QObject.objectName(made): made for made in self._kept}
        for wire in wires:
            sender, receiver = (by_name[wire.findtext(end)] for end in ("sender", "receiver"))
            slot = wire.findtext("slot").partition("(")[0]
            if not sender.connect(wire.findtext("signal"), getattr(receiver, slot)):
                raise RuntimeError(
                    f"no signal {wire.findtext('signal')} on {type(sender).__name__}"
                )
