"""The panel's widgets without the panel, for tests of its parts; and a person who uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import slicer.util
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

if TYPE_CHECKING:
    from slicerhost.host import Host

UI = Path(__file__).resolve().parents[3] / "TotalSegmentator/Resources/UI/TotalSegmentator.ui"


class Calls(list):
    """Remembers with what it was called."""

    def __call__(self, *arguments) -> None:
        self.append(arguments)


@contextmanager
def panel_ui(host: Host) -> Iterator[SimpleNamespace]:
    """All widgets of the panel's .ui file by name; ``panel`` is the outermost, shown and active.

    No slot may have failed by the end.
    """
    panel = slicer.util.loadUI(str(UI))
    ui = slicer.util.childWidgetVariables(panel)
    ui.panel = panel
    panel.show()
    panel.activateWindow()
    host.pump()  # only an active window gives the focus to a widget
    yield ui
    assert host.slotErrors == []
    panel.close()
    panel.deleteLater()
    host.pump()


def press(widget, key: Qt.Key) -> None:
    """Press a key while a widget has the focus."""
    widget.setFocus()
    QTest.keyClick(widget, key)


def type_text(widget, text: str) -> None:
    """Type into a widget."""
    widget.setFocus()
    QTest.keyClicks(widget, text)


def double_click(tree, item) -> None:
    """Double-click a line of a tree."""
    place = tree.visualItemRect(item).center()
    QTest.mouseClick(tree.viewport(), Qt.LeftButton, pos=QPoint(place))
    QTest.mouseDClick(tree.viewport(), Qt.LeftButton, pos=QPoint(place))
