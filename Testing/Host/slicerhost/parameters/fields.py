"""One parameter: its type, limits and default."""

from __future__ import annotations

import typing
from dataclasses import dataclass

import slicer

from .annotations import Default
from .storage import Node, Storage, make_storage, split

_MISSING = object()


@dataclass(frozen=True)
class Field:
    """A parameter as the class declares it.

    :ivar kind: the type without Annotated
    :ivar annotations: what stands beside the type in Annotated
    :ivar storage: how the values are kept in the parameter node
    """

    name: str
    declared: object
    kind: typing.Any
    annotations: tuple[object, ...]
    default: object
    storage: Storage

    @property
    def node_classes(self) -> tuple[type, ...]:
        """Classes of the nodes the parameter takes, also of Optional and Union; () for others."""
        union = typing.get_origin(self.kind) is typing.Union
        members = typing.get_args(self.kind) if union else (self.kind,)
        kinds = [k for k in members if k is not type(None)]
        nodes = all(isinstance(k, type) and issubclass(k, slicer.vtkMRMLNode) for k in kinds)
        return tuple(kinds) if nodes else ()

    def find(self, annotation: type) -> typing.Any:
        """Return the annotation of a class, None if there is none."""
        return next((a for a in self.annotations if isinstance(a, annotation)), None)

    def write(self, node: Node, value: object) -> None:
        """Check a value and store it.

        :raises TypeError: it is of another type
        :raises ValueError: it is None, or outside the declared limits
        """
        try:
            self.storage.check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"parameter {self.name}: {error}") from error
        self.storage.write(node, self.name, value)

    def ensure(self, node: Node) -> None:
        """Give a parameter that the node does not hold its default."""
        if not self.storage.is_in(node, self.name):
            self.write(node, self.default)

    def read(self, node: Node) -> object:
        """Return the stored value; a parameter that is not there gets its default first."""
        self.ensure(node)
        return self.storage.read(node, self.name)


def make_field(name: str, declared: object, assigned: object = _MISSING) -> Field:
    """Return the field of one line of a parameter class.

    :param declared: the type hint, possibly Annotated
    :param assigned: the value after the equals sign
    :raises TypeError: values of this type cannot be kept in a parameter node
    """
    try:
        storage = make_storage(declared)
    except TypeError as error:
        raise TypeError(f"parameter {name}: {error}") from error
    kind, annotations = split(declared)
    if assigned is _MISSING:
        marked = next((a.value for a in annotations if isinstance(a, Default)), _MISSING)
        assigned = storage.default() if marked is _MISSING else marked
    return Field(name, declared, kind, annotations, assigned, storage)
