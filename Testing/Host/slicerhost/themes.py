"""Light and dark colours, so that pictures can be made of both."""

from __future__ import annotations

from types import MappingProxyType

from PySide6 import QtGui, QtWidgets

_ROLES = QtGui.QPalette.ColorRole
_TEXT = (_ROLES.WindowText, _ROLES.Text, _ROLES.ButtonText, _ROLES.ToolTipText, _ROLES.BrightText)

# Theme -> role -> colour.
COLORS = MappingProxyType(
    {
        "light": {
            _ROLES.Window: "#f0f0f0",
            _ROLES.Base: "#ffffff",
            _ROLES.AlternateBase: "#f5f5f5",
            _ROLES.Button: "#e8e8e8",
            _ROLES.ToolTipBase: "#ffffdc",
            _ROLES.Highlight: "#308cc6",
            _ROLES.HighlightedText: "#ffffff",
            _ROLES.PlaceholderText: "#808080",
            _ROLES.Link: "#0000ff",
            **dict.fromkeys(_TEXT, "#000000"),
        },
        "dark": {
            _ROLES.Window: "#353535",
            _ROLES.Base: "#252525",
            _ROLES.AlternateBase: "#2d2d2d",
            _ROLES.Button: "#404040",
            _ROLES.ToolTipBase: "#454545",
            _ROLES.Highlight: "#2a82da",
            _ROLES.HighlightedText: "#ffffff",
            _ROLES.PlaceholderText: "#9a9a9a",
            _ROLES.Link: "#6fb7ff",
            **dict.fromkeys(_TEXT, "#f0f0f0"),
        },
    }
)
_DISABLED = MappingProxyType({"light": "#8c8c8c", "dark": "#808080"})


def palette(theme: str) -> QtGui.QPalette:
    """Return the colours of a theme.

    :param theme: light or dark
    :raises KeyError: there is no such theme
    """
    made = QtGui.QPalette(QtGui.QColor(COLORS[theme][_ROLES.Button]))
    for role, color in COLORS[theme].items():
        made.setColor(role, QtGui.QColor(color))
    for role in _TEXT[:3]:
        made.setColor(QtGui.QPalette.ColorGroup.Disabled, role, QtGui.QColor(_DISABLED[theme]))
    return made


def apply(theme: str) -> None:
    """Give the whole application the colours of a theme."""
    QtWidgets.QApplication.setPalette(palette(theme))
