"""What people see of a QTreeWidget with groups, and how they click it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape


def tops(tree) -> list:
    """All items of the first level."""
    return [tree.topLevelItem(i) for i in range(tree.topLevelItemCount)]


def children(item) -> list:
    """All rows of a group."""
    return [item.child(i) for i in range(item.childCount())]


def items(tree) -> Iterator:
    """All items, groups before their rows."""
    for top in tops(tree):
        yield top
        yield from children(top)


def item(tree, title: str):
    """The item with a title; a row if a group has the same."""
    return [found for found in items(tree) if found.text(0) == title][-1]


def group(tree, title: str):
    """The group with a title."""
    return next(found for found in tops(tree) if found.text(0) == title)


def shown_tops(tree) -> list[str]:
    """Titles of all that is shown on the first level."""
    return [top.text(0) for top in tops(tree) if not top.isHidden()]


def shown_groups(tree) -> list[str]:
    """Titles of the groups that are shown."""
    return [top.text(0) for top in tops(tree) if not top.isHidden() and top.childCount()]


def shown_rows(tree) -> list[str]:
    """Titles of the rows that are shown once their groups are unfolded."""
    return [
        row.text(0)
        for top in tops(tree)
        if not top.isHidden()
        for row in children(top)
        if not row.isHidden()
    ]


def click(tree, item) -> None:
    """Press and release the left button on the title of an item that is in view."""
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    tree.scrollToItem(item)
    place = tree.visualItemRect(item).center()
    QTest.mouseClick(tree.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)


def click_box(tree, item) -> None:
    """Click the check box of an item that is in view."""
    from PySide6 import QtCore, QtWidgets
    from PySide6.QtTest import QTest

    tree.scrollToItem(item)
    option = QtWidgets.QStyleOptionViewItem()
    option.initFrom(tree)
    option.rect = tree.visualItemRect(item)
    if item.isFirstColumnSpanned():  # then Qt leaves the indentation out of the rectangle
        option.rect.setLeft(tree.indentation)
    option.features = QtWidgets.QStyleOptionViewItem.HasCheckIndicator
    part = QtWidgets.QStyle.SE_ItemViewItemCheckIndicator
    place = tree.style().subElementRect(part, option, tree).center()
    QTest.mouseClick(tree.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)


def press(widget, key: str) -> None:
    """Give a widget the keyboard and press a key, named as in Qt."""
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    widget.activateWindow()
    QtCore.QCoreApplication.processEvents()
    widget.setFocus()
    QTest.keyClick(widget, getattr(QtCore.Qt, f"Key_{key}"))


def plain(rich: str) -> str:
    """Rich text without its marks."""
    return unescape(re.sub(r"<[^>]+>", "\n", rich))
