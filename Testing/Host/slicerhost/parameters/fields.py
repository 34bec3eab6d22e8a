"""One parameter: its type, limits and default, and how it is kept in the parameter node."""

from __future__ import annotations

import ast
import enum
import pathlib
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass

import slicer

from .annotations import Default, Validator

_MISSING = object()
_CONTAINERS = (list, tuple, dict)


@dataclass(frozen=True)
class Field:
    """A parameter as the class declares it.

    :ivar kind: the type without Annotated and without None; a tuple of node classes for nodes
    :ivar optional: whether None may be stored
    :ivar annotations: what stands beside the type in Annotated
    """

    name: str
    declared: object
    kind: object
    optional: bool
    annotations: tuple[object, ...]
    default: object

    @property
    def is_node(self) -> bool:
        """Whether the value is a node of the scene, kept as a node reference."""
        return isinstance(self.kind, tuple)

    def find(self, annotation: type) -> typing.Any:
        """Return the annotation of a class, None if there is none."""
        return next((a for a in self.annotations if isinstance(a, annotation)), None)

    def check(self, value: object) -> None:
        """Check a value before it is stored.

        :raises TypeError: it is of another type
        :raises ValueError: it is None, or outside the declared limits
        """
        if value is None:
            if not (self.is_node or self.optional):
                raise ValueError(f"{self.name} must not be None")
            return
        expected = typing.get_origin(self.kind) or self.kind
        if not isinstance(value, (int, float) if expected is float else expected):
            raise TypeError(f"{self.name} must be of type {expected}, not {type(value)}: {value!r}")
        for annotation in self.annotations:
            if isinstance(annotation, Validator):
                annotation.validate(value)

    def is_in(self, node: slicer.vtkMRMLScriptedModuleNode) -> bool:
        """Whether the parameter node holds this parameter."""
        return bool(node.HasParameter(self.name))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: object) -> None:
        """Check a value and store it.

        :raises TypeError: as check()
        :raises ValueError: as check()
        """
        self.check(value)
        if self.is_node:
            node.SetParameter(self.name, "")  # tells a node that was set to None from one never set
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, _encode(value))

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> object:
        """Return the stored value; a parameter that is not there gets its default first."""
        if not self.is_in(node):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return None if self.optional and text == "None" else _decoder(self.kind)(text)


def _encode(value: object) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    return repr(value) if isinstance(value, _CONTAINERS) else str(value)


def _decoder(kind: object) -> Callable[[str], object]:
    if kind is bool:
        return lambda text: text == "True"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return lambda text: kind[text]
    if (typing.get_origin(kind) or kind) in _CONTAINERS:
        return ast.literal_eval
    return kind


def _is_node_class(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _own_default(kind: object, optional: bool) -> object:
    """Return the default of a parameter that declares none."""
    if optional or isinstance(kind, tuple):
        return None
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    return (typing.get_origin(kind) or kind)()


def make_field(name: str, declared: object, assigned: object = _MISSING) -> Field:
    """Return the field of one line of a parameter class.

    :param declared: the type hint, possibly Annotated
    :param assigned: the value after the equals sign
    :raises TypeError: values of this type cannot be kept in a parameter node
    """
    annotations = tuple(getattr(declared, "__metadata__", ()))
    bare = typing.get_args(declared)[0] if annotations else declared
    is_union = typing.get_origin(bare) in (typing.Union, types.UnionType)
    members = typing.get_args(bare) if is_union else (bare,)
    kinds = tuple(kind for kind in members if kind is not type(None))
    if all(_is_node_class(kind) for kind in kinds):
        kind: object = kinds
    elif len(kinds) == 1 and _can_keep(kinds[0]):
        kind = kinds[0]
    else:
        raise TypeError(f"parameter {name}: no way to keep a value of type {declared}")
    optional = len(kinds) < len(members)
    if assigned is _MISSING:
        marked = next((a.value for a in annotations if isinstance(a, Default)), _MISSING)
        assigned = _own_default(kind, optional) if marked is _MISSING else marked
    return Field(name, declared, kind, optional, annotations, assigned)


def _can_keep(kind: object) -> bool:
    plain = typing.get_origin(kind) or kind
    return isinstance(plain, type) and issubclass(
        plain, (bool, int, float, str, enum.Enum, pathlib.PurePath, *_CONTAINERS)
    )
