"""Which variables hold which widgets, for the API check."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Module)
ClassOf = Callable[[ast.AST], str | None]


def _annotated_class(annotation: ast.AST | None) -> str | None:
    """Return the class that `qt.QLabel`, `"qt.QLabel"` or `qt.QLabel | None` names."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.BinOp):
        annotation = annotation.left
    if isinstance(annotation, ast.Attribute) and isinstance(annotation.value, ast.Name):
        known = annotation.value.id in ("qt", "ctk") or annotation.attr.startswith("qMRML")
        return annotation.attr if known else None
    return None


class Scopes:
    """Follows variables: `x` within its function, `self.x` within its class.

    A variable that gets objects of two classes is followed no more; None does not count.
    """

    def __init__(self) -> None:
        self._parents: dict[ast.AST, ast.AST] = {}
        self._classes: dict[tuple[ast.AST, str], str | None] = {}
        self._annotated: set[tuple[ast.AST, str]] = set()

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return what a node stands in."""
        return self._parents.get(node)

    def read(self, tree: ast.AST, class_of: ClassOf) -> None:
        """Note the variables of a file.

        :param class_of: returns the class of an expression, with what is known so far
        """
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                self._parents[child] = node
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                self._note_parameters(node)
        # A variable may be made from one that is assigned further down, in another method.
        for _ in range(3):
            known = dict(self._classes)
            self._classes = {key: known[key] for key in self._annotated}
            for node in ast.walk(tree):
                self._note(node, class_of, known)
            if self._classes == known:
                return

    def look_up(self, node: ast.AST) -> str | None:
        """Return the class that a variable holds, None if it is not known."""
        name = ast.unparse(node)
        for scope in self._enclosing(node, name):
            if (scope, name) in self._classes:
                return self._classes[scope, name]
        return None

    def _enclosing(self, node: ast.AST, name: str) -> Iterator[ast.AST]:
        """Yield the scopes in which a variable may live, the nearest first."""
        scope: ast.AST | None = node
        while scope is not None:
            scope = self._parents.get(scope)
            if name.startswith("self."):
                if isinstance(scope, (ast.ClassDef, ast.Module)):
                    yield scope
            elif isinstance(scope, _SCOPES):
                yield scope

    def _note_parameters(self, function: ast.AST) -> None:
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            self._classes[function, argument.arg] = _annotated_class(argument.annotation)
            self._annotated.add((function, argument.arg))

    def _note(self, node: ast.AST, class_of: ClassOf, known: dict) -> None:
        if isinstance(node, ast.AnnAssign):
            made = _annotated_class(node.annotation)
            self._assign(node.target, made or (class_of(node.value) if node.value else None))
        elif isinstance(node, ast.Assign):
            if isinstance(node.value, ast.Constant) and node.value.value is None:
                return
            now, self._classes = self._classes, {**known, **self._classes}
            made = class_of(node.value)
            self._classes = now
            for target in node.targets:
                self._assign(target, made)
        elif isinstance(node, (ast.For, ast.comprehension)):
            for name in ast.walk(node.target):
                if isinstance(name, ast.Name):
                    self._assign(name, None)

    def _assign(self, target: ast.AST, made: str | None) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._assign(part, None)
        if not isinstance(target, (ast.Name, ast.Attribute)):
            return
        name = ast.unparse(target)
        scope = next(self._enclosing(target, name), None)
        if scope is None:
            return
        before = self._classes.get((scope, name), made)
        self._classes[scope, name] = made if before == made else None
