"""Pictures of widgets, small enough for documentation."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

LARGEST_BYTES = 150_000


def wanted_size(widget: QtWidgets.QWidget, width: int | None) -> QtCore.QSize:
    """Return the size that shows all of a widget.

    :param width: width in pixels; None lets the widget choose, but no less than it has
    """
    layout = QtWidgets.QWidget.layout(widget)
    hint = widget.sizeHint()  # virtual, so not by the class
    if width is None:
        return QtWidgets.QWidget.size(widget).expandedTo(hint)
    if layout is not None and layout.hasHeightForWidth():
        return QtCore.QSize(width, layout.totalHeightForWidth(width))
    return QtCore.QSize(width, hint.height())


def save(picture: QtGui.QPixmap, path: Path) -> Path:
    """Write a picture as PNG, without transparency and as small as can be.

    :raises OSError: it cannot be written, or takes more than LARGEST_BYTES
    """
    image = picture.toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
    if not image.save(str(path), "PNG", 0):  # 0 is the strongest compression
        raise OSError(f"cannot write the picture {path}")
    if path.stat().st_size > LARGEST_BYTES:
        raise OSError(f"the picture {path} takes {path.stat().st_size} bytes")
    return path
