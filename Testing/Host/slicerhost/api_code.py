"""The part of the API check that reads Python code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .api_ui import Finding
from .recorded_api import RecordedClass, recorded_class

MODULES = ("qt", "ctk", "slicer")
# Of `slicer`, only widgets were recorded; the rest is MRML and is run for real.
_RECORDED_OF_SLICER = "qMRML"
_UNRECORDED = frozenset({"Qt"})  # a namespace of enumerations


def _written_class(node: ast.AST) -> str | None:
    """Return the name of the class in `qt.QLabel`, `ctk.ctkMenuButton`, `slicer.qMRMLWidget`."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return None
    module, name = node.value.id, node.attr
    if module not in MODULES or name in _UNRECORDED:
        return None
    if module == "slicer" and not name.startswith(_RECORDED_OF_SLICER):
        return None
    return name if name[:1] in "Qcq" else None


class CodeCheck:
    """Follows `self.ui.X`, variables assigned from `qt.Class(...)`, and `slicer.app`."""

    def __init__(self, file: str, widgets: dict[str, str] | None) -> None:
        """Prepare a check.

        :param widgets: object name -> class of the .ui file; None leaves `self.ui.X` alone
        """
        self._file = file
        self._widgets = widgets
        self._variables: dict[str, str | None] = {}

    def findings(self, tree: ast.AST) -> list[Finding]:
        """Return what the application does not have, by line."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                self._note(node)
        found = [f for node in ast.walk(tree) for f in self._node(node)]
        return sorted(found, key=lambda finding: finding.line)

    def _note(self, node: ast.Assign) -> None:
        """Remember the class of a variable; one with two classes is followed no more."""
        made = _written_class(node.value.func) if isinstance(node.value, ast.Call) else None
        for target in node.targets:
            name = ast.unparse(target)
            known = self._variables.get(name, made)
            self._variables[name] = made if known == made else None

    def _node(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call):
            yield from self._connection(node)
        if not isinstance(node, ast.Attribute):
            return
        if self._is_ui(node.value) and self._widgets is not None:
            if node.attr not in self._widgets:
                yield self._finding(node, f"the .ui file has no widget '{node.attr}'")
            return
        written = _written_class(node)
        if written and recorded_class(written) is None:
            yield self._finding(node, f"class {ast.unparse(node)} is not in the recorded API")
        record = self._record(node.value)
        if record is not None:
            yield from self._member(node, record)

    def _member(self, node: ast.Attribute, record: RecordedClass) -> Iterator[Finding]:
        if not record.has(node.attr):
            yield self._finding(node, f"{record.name} has no '{node.attr}'")
        elif isinstance(node.ctx, ast.Store) and not record.writable(node.attr):
            yield self._finding(node, f"'{node.attr}' of {record.name} cannot be assigned")

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
        if isinstance(node, ast.Attribute) and self._is_ui(node.value):
            name = (self._widgets or {}).get(node.attr)
        elif ast.unparse(node) == "slicer.app":
            name = "QApplication"
        elif isinstance(node, ast.Call):
            name = _written_class(node.func)
        else:
            name = _written_class(node) or self._variables.get(ast.unparse(node))
        return recorded_class(name) if name else None

    @staticmethod
    def _is_ui(node: ast.AST) -> bool:
        return ast.unparse(node) in ("self.ui", "ui")

    def _finding(self, node: ast.AST, message: str) -> Finding:
        return Finding(self._file, node.lineno, message)
