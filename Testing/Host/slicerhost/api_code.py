"""The part of the API check that reads Python code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import MappingProxyType

from .api_scopes import Scopes
from .api_ui import Finding
from .recorded_api import RecordedClass, recorded_class

MODULES = ("qt", "ctk", "slicer")
UI_NAMES = ("self.ui", "self._ui", "ui")
# Of `slicer`, only widgets were recorded; the rest is MRML and is run for real.
_RECORDED_OF_SLICER = "qMRML"
# Namespaces of enumerations: their enumerators were not recorded, and nothing else is taken.
ENUMERATIONS = frozenset(
    {"Qt", "QEventLoop", "QAbstractItemView", "QItemSelectionModel", "QPalette", "QStyle"}
)
# (class, method) -> class of what it returns, where code goes on with that.
RETURNED = MappingProxyType(
    {
        ("QApplication", "clipboard"): "QClipboard",
        ("QApplication", "settings"): "QSettings",
        ("QApplication", "userSettings"): "QSettings",
        ("QTreeWidget", "currentItem"): "QTreeWidgetItem",
        ("QTreeWidget", "header"): "QHeaderView",
        ("QTreeWidget", "headerItem"): "QTreeWidgetItem",
        ("QTreeWidget", "invisibleRootItem"): "QTreeWidgetItem",
        ("QTreeWidget", "itemAt"): "QTreeWidgetItem",
        ("QTreeWidget", "itemAbove"): "QTreeWidgetItem",
        ("QTreeWidget", "itemBelow"): "QTreeWidgetItem",
        ("QTreeWidget", "takeTopLevelItem"): "QTreeWidgetItem",
        ("QTreeWidget", "topLevelItem"): "QTreeWidgetItem",
        ("QTreeWidgetItem", "child"): "QTreeWidgetItem",
        ("QTreeWidgetItem", "parent"): "QTreeWidgetItem",
        ("QTreeWidgetItem", "takeChild"): "QTreeWidgetItem",
        ("QTreeWidgetItem", "treeWidget"): "QTreeWidget",
        ("QListWidget", "currentItem"): "QListWidgetItem",
        ("QListWidget", "item"): "QListWidgetItem",
        ("QListWidget", "itemAt"): "QListWidgetItem",
        ("QListWidget", "takeItem"): "QListWidgetItem",
        ("QMenu", "addAction"): "QAction",
        ("QMenu", "addMenu"): "QMenu",
        ("QMenu", "addSeparator"): "QAction",
        ("QToolButton", "menu"): "QMenu",
    }
)


def written_class(node: ast.AST) -> str | None:
    """Return the name of the class in `qt.QLabel`, `ctk.ctkMenuButton`, `slicer.qMRMLWidget`."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return None
    module, name = node.value.id, node.attr
    if module not in MODULES or name[:1] not in "Qcq":
        return None
    if module == "slicer" and not name.startswith(_RECORDED_OF_SLICER):
        return None
    return name


class CodeCheck:
    """Follows widgets of the .ui file, variables, attributes, parameters, and `slicer.app`.

    A variable is followed from what it is assigned: a class that is called, a widget of the .ui
    file, another variable, what a known method returns; a parameter from its annotation.
    """

    def __init__(self, file: str, widgets: dict[str, str] | None) -> None:
        """Prepare a check.

        :param widgets: object name -> class of the .ui file; None leaves `self.ui.X` alone
        """
        self._file = file
        self._widgets = widgets
        self._scopes = Scopes()

    def findings(self, tree: ast.AST) -> list[Finding]:
        """Return what the application does not have, by line."""
        self._scopes.read(tree, self._class_of)
        found = [f for node in ast.walk(tree) for f in self._node(node)]
        return sorted(found, key=lambda finding: finding.line)

    def _node(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call):
            yield from self._connection(node)
        if not isinstance(node, ast.Attribute):
            return
        if self._is_ui(node.value) and self._widgets is not None:
            if node.attr not in self._widgets:
                yield self._finding(node, f"the .ui file has no widget '{node.attr}'")
            return
        yield from self._class(node)
        record = self._record(node.value)
        if record is not None:
            yield from self._member(node, record)

    def _class(self, node: ast.Attribute) -> Iterator[Finding]:
        """Check that a class was recorded, or that only enumerators are taken from it."""
        written = written_class(node)
        if written is None or recorded_class(written) is not None:
            return
        parent = self._scopes.parent(node)
        enumerator = isinstance(parent, ast.Attribute) and parent.attr[:1].isupper()
        if written not in ENUMERATIONS or not enumerator:
            yield self._finding(node, f"class {ast.unparse(node)} is not in the recorded API")

    def _member(self, node: ast.Attribute, record: RecordedClass) -> Iterator[Finding]:
        if not record.has(node.attr):
            yield self._finding(node, f"{record.name} has no '{node.attr}'")
        elif isinstance(node.ctx, ast.Store) and not record.writable(node.attr):
            yield self._finding(node, f"'{node.attr}' of {record.name} cannot be assigned")
        elif node.attr in record.properties and self._is_called(node) and not self._is_static(node):
            yield self._finding(
                node, f"'{node.attr}' of {record.name} is a property, not to be called"
            )

    def _is_called(self, node: ast.Attribute) -> bool:
        parent = self._scopes.parent(node)
        return isinstance(parent, ast.Call) and parent.func is node

    @staticmethod
    def _is_static(node: ast.Attribute) -> bool:
        """Whether it is asked of the class itself: `qt.QTimer.singleShot`, also a property."""
        return written_class(node.value) is not None

    def _connection(self, node: ast.Call) -> Iterator[Finding]:
        """Check `x.connect('signal(type)', slot)` and the same of disconnect."""
        function = node.func
        if not isinstance(function, ast.Attribute):
            return
        if function.attr not in ("connect", "disconnect"):
            return
        record = self._record(function.value)
        if record is not None and node.args and isinstance(node.args[0], ast.Constant):
            signature = str(node.args[0].value).replace(" ", "")
            if signature not in record.signals:
                yield self._finding(node, f"{record.name} has no signal {signature}")
        sender = function.value
        if isinstance(sender, ast.Attribute):
            yield from self._signal(sender)

    def _signal(self, node: ast.Attribute) -> Iterator[Finding]:
        """Check `x.signal.connect(slot)`."""
        record = self._record(node.value)
        if record is None or not record.has(node.attr):
            return
        if node.attr not in {signal.partition("(")[0] for signal in record.signals}:
            yield self._finding(node, f"'{node.attr}' of {record.name} is not a signal")

    def _record(self, node: ast.AST) -> RecordedClass | None:
        """Return what is recorded of an expression's class, None if the class is not known."""
        name = self._class_of(node) or written_class(node)
        return recorded_class(name) if name else None

    def _class_of(self, node: ast.AST) -> str | None:
        """Return the class of an expression, None if it cannot be told."""
        if isinstance(node, ast.Attribute) and self._is_ui(node.value):
            return (self._widgets or {}).get(node.attr)
        if isinstance(node, ast.IfExp):
            either = {self._class_of(node.body), self._class_of(node.orelse)}
            return either.pop() if len(either) == 1 else None
        if isinstance(node, ast.Call):
            made = written_class(node.func)
            return made or self._returned(node.func)
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return None
        if ast.unparse(node) == "slicer.app":
            return "QApplication"
        return self._scopes.look_up(node)

    def _returned(self, function: ast.AST) -> str | None:
        if not isinstance(function, ast.Attribute):
            return None
        owner = self._class_of(function.value) or written_class(function.value)
        return RETURNED.get((owner or "", function.attr))

    @staticmethod
    def _is_ui(node: ast.AST) -> bool:
        return ast.unparse(node) in UI_NAMES

    def _finding(self, node: ast.AST, message: str) -> Finding:
        return Finding(self._file, node.lineno, message)
