"""How values of each type are kept in a parameter node, under the names the application uses.

A list of two texts `names` is kept as `names.len`, `names.0` and `names.1`; a dictionary is a list
of pairs; `Optional[int]` is kept as `.0` (the number) or `.1` (None). So a scene saved in the
application is read here, and the other way round.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass

import slicer

from .annotations import Validator

Node = slicer.vtkMRMLScriptedModuleNode


class Storage(typing.Protocol):
    """Keeps values of one type in a parameter node."""

    def default(self) -> object:
        """Return the value of a parameter that declares none."""

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError for a value that cannot be kept."""

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a value under a name."""

    def write(self, node: Node, name: str, value: object) -> None:
        """Check a value and keep it."""

    def read(self, node: Node, name: str) -> object:
        """Return the value that is held."""

    def remove(self, node: Node, name: str) -> None:
        """Forget the value."""


@dataclass(frozen=True)
class Plain:
    """A number, text, bool, path or enumerator, as one text.

    :ivar accepted: classes of the values
    """

    accepted: tuple[type, ...]
    own_default: object
    encode: Callable[[object], str]
    decode: Callable[[str], object]
    validators: tuple[Validator, ...] = ()

    def default(self) -> object:
        """Return the value of a parameter that declares none."""
        return self.own_default

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError for a value that cannot be kept."""
        if value is None:
            raise ValueError("the value must not be None")
        if not isinstance(value, self.accepted):
            raise TypeError(f"must be of type {self.accepted}, not {type(value)}: {value!r}")
        for validator in self.validators:
            validator.validate(value)

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a value under a name."""
        return bool(node.HasParameter(name))

    def write(self, node: Node, name: str, value: object) -> None:
        """Check a value and keep it."""
        self.check(value)
        node.SetParameter(name, self.encode(value))

    def read(self, node: Node, name: str) -> object:
        """Return the value that is held."""
        return self.decode(node.GetParameter(name))

    def remove(self, node: Node, name: str) -> None:
        """Forget the value."""
        node.UnsetParameter(name)


@dataclass(frozen=True)
class NodeReference:
    """A node of the scene, as a node reference; None is one of its values."""

    kind: type

    def default(self) -> None:
        """Return the value of a parameter that declares none."""

    def check(self, value: object) -> None:
        """Raise TypeError for a node of another class."""
        if value is not None and not isinstance(value, self.kind):
            raise TypeError(f"must be a {self.kind.__name__}, not {type(value)}: {value!r}")

    def is_in(self, node: Node, name: str) -> bool:
        """Whether a node, or None, was ever set."""
        return bool(node.HasParameter(name))

    def write(self, node: Node, name: str, value: slicer.vtkMRMLNode | None) -> None:
        """Check a node and refer to it."""
        self.check(value)
        node.SetParameter(name, "")  # tells a node that was set to None from one never set
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Node, name: str) -> slicer.vtkMRMLNode | None:
        """Return the node referred to, None if it is no longer in the scene."""
        return node.GetNodeReference(name)

    def remove(self, node: Node, name: str) -> None:
        """Forget the reference."""
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class Nothing:
    """None, the second kind of value of an Optional."""

    def default(self) -> None:
        """Return None."""

    def check(self, value: object) -> None:
        """Raise TypeError for anything but None."""
        if value is not None:
            raise TypeError(f"must be None: {value!r}")

    def is_in(self, node: Node, name: str) -> bool:
        """Whether None was set."""
        return bool(node.HasParameter(name))

    def write(self, node: Node, name: str, value: None) -> None:
        """Keep that the value is None."""
        self.check(value)
        node.SetParameter(name, "True")

    def read(self, _node: Node, _name: str) -> None:
        """Return None."""

    def remove(self, node: Node, name: str) -> None:
        """Forget that the value is None."""
        node.UnsetParameter(name)


@dataclass(frozen=True)
class ListOf:
    """A list; what is read back writes its own changes to the node."""

    element: Storage
    validators: tuple[Validator, ...] = ()

    def default(self) -> list:
        """Return the value of a parameter that declares none."""
        return []

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError for an element that cannot be kept."""
        if not hasattr(value, "__len__"):
            raise TypeError(f"must be a list, not {type(value)}: {value!r}")
        for validator in self.validators:
            validator.validate(value)
        for item in value:
            self.element.check(item)

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a list under a name."""
        return bool(node.HasParameter(f"{name}.len"))

    def _length(self, node: Node, name: str) -> int:
        return int(node.GetParameter(f"{name}.len") or 0)

    def write(self, node: Node, name: str, value: Sequence) -> None:
        """Check the elements and keep them; a list that cannot be kept changes nothing."""
        self.check(value)
        with slicer.util.NodeModify(node):
            before = self._length(node, name)
            for index, item in enumerate(value):
                self.element.write(node, f"{name}.{index}", item)
            node.SetParameter(f"{name}.len", str(len(value)))
            for index in range(len(value), before):
                self.element.remove(node, f"{name}.{index}")

    def items(self, node: Node, name: str) -> list:
        """Return the elements as an ordinary list."""
        indices = range(self._length(node, name))
        return [self.element.read(node, f"{name}.{index}") for index in indices]

    def read(self, node: Node, name: str) -> ObservedList:
        """Return the list that is held."""
        return ObservedList(node, self, name)

    def remove(self, node: Node, name: str) -> None:
        """Forget the list."""
        with slicer.util.NodeModify(node):
            for index in range(self._length(node, name)):
                self.element.remove(node, f"{name}.{index}")
            node.UnsetParameter(f"{name}.len")


@dataclass(frozen=True)
class TupleOf:
    """A tuple with a type for each place."""

    elements: tuple[Storage, ...]

    def default(self) -> tuple:
        """Return the value of a parameter that declares none."""
        return tuple(element.default() for element in self.elements)

    def check(self, value: Sequence) -> None:
        """Raise ValueError for a wrong number of values; the elements check themselves."""
        if len(value) != len(self.elements):
            raise ValueError(f"must have {len(self.elements)} values: {value!r}")
        for element, item in zip(self.elements, value, strict=True):
            element.check(item)

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a tuple under a name."""
        return self.elements[0].is_in(node, f"{name}.0")

    def write(self, node: Node, name: str, value: Sequence) -> None:
        """Check the values and keep them."""
        self.check(value)
        with slicer.util.NodeModify(node):
            for index, (element, item) in enumerate(zip(self.elements, value, strict=True)):
                element.write(node, f"{name}.{index}", item)

    def read(self, node: Node, name: str) -> tuple:
        """Return the tuple that is held."""
        return tuple(e.read(node, f"{name}.{i}") for i, e in enumerate(self.elements))

    def remove(self, node: Node, name: str) -> None:
        """Forget the tuple."""
        for index, element in enumerate(self.elements):
            element.remove(node, f"{name}.{index}")


@dataclass(frozen=True)
class DictOf:
    """A dictionary, as a list of pairs; what is read back writes its own changes."""

    pairs: ListOf

    def default(self) -> dict:
        """Return the value of a parameter that declares none."""
        return {}

    def check(self, value: Mapping) -> None:
        """Raise TypeError or ValueError for what cannot be kept."""
        if not hasattr(value, "items"):
            raise TypeError(f"must be a dictionary, not {type(value)}: {value!r}")
        self.pairs.check(value.items())

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a dictionary under a name."""
        return self.pairs.is_in(node, name)

    def write(self, node: Node, name: str, value: Mapping) -> None:
        """Check the pairs and keep them."""
        self.check(value)
        self.pairs.write(node, name, list(value.items()))

    def read(self, node: Node, name: str) -> ObservedDict:
        """Return the dictionary that is held."""
        return ObservedDict(node, self, name)

    def remove(self, node: Node, name: str) -> None:
        """Forget the dictionary."""
        self.pairs.remove(node, name)


@dataclass(frozen=True)
class OneOf:
    """A value of one of several types: Optional and Union."""

    members: tuple[Storage, ...]

    def default(self) -> object:
        """Return the value of a parameter that declares none."""
        last = self.members[-1]
        optional = len(self.members) == 2 and isinstance(last, Nothing)
        return None if optional else self.members[0].default()

    def _member(self, value: object) -> tuple[int, Storage]:
        problem: Exception = TypeError(f"no way to keep {value!r}")
        found = Nothing if value is None else object
        for index, member in enumerate(self.members):
            if isinstance(member, found):
                try:
                    member.check(value)
                except (TypeError, ValueError) as error:
                    problem = error
                else:
                    return index, member
        raise problem

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError for a value that fits no type."""
        self._member(value)

    def is_in(self, node: Node, name: str) -> bool:
        """Whether the node holds a value of any of the types."""
        return any(m.is_in(node, f"{name}.{i}") for i, m in enumerate(self.members))

    def write(self, node: Node, name: str, value: object) -> None:
        """Check a value and keep it."""
        index, member = self._member(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            member.write(node, f"{name}.{index}", value)

    def read(self, node: Node, name: str) -> object:
        """Return the value that is held."""
        for index, member in enumerate(self.members):
            if member.is_in(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(f"the node has no value {name}")

    def remove(self, node: Node, name: str) -> None:
        """Forget the value."""
        for index, member in enumerate(self.members):
            member.remove(node, f"{name}.{index}")


class ObservedList(MutableSequence):
    """A list in a parameter node: every change is written there at once.

    As in the application it is no `list`, `+` and `*` are refused, and it compares with lists.
    """

    def __init__(self, node: Node, storage: ListOf, name: str) -> None:
        self._node, self._storage, self._name = node, storage, name
        self._items = storage.items(node, name)

    def _changed(self) -> None:
        try:
            self._storage.write(self._node, self._name, self._items)
        finally:
            self._items = self._storage.items(self._node, self._name)

    def __repr__(self) -> str:
        return f"ObservedList({self._items})"

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedList) else other)

    __hash__ = None

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int | slice) -> typing.Any:
        return self._items[index]

    def __setitem__(self, index: int | slice, value: object) -> None:
        self._items[index] = value
        self._changed()

    def __delitem__(self, index: int | slice) -> None:
        del self._items[index]
        self._changed()

    def __add__(self, _other: object) -> typing.NoReturn:
        raise NotImplementedError("the application refuses + on a list of a parameter node")

    __radd__ = __mul__ = __rmul__ = __add__

    def insert(self, index: int, value: object) -> None:
        """Insert an element before a place."""
        self._items.insert(index, value)
        self._changed()

    def extend(self, values: Sequence) -> None:
        """Add elements, all in one change of the node."""
        self._items.extend(values)
        self._changed()

    def __iadd__(self, values: Sequence) -> ObservedList:
        self.extend(values)
        return self

    def clear(self) -> None:
        """Remove all elements."""
        self._items.clear()
        self._changed()

    def sort(self, **options: object) -> None:
        """Sort the elements."""
        self._items.sort(**options)
        self._changed()

    def reverse(self) -> None:
        """Turn the order round."""
        self._items.reverse()
        self._changed()


class ObservedDict(MutableMapping):
    """A dictionary in a parameter node: every change is written there at once.

    As in the application, `get` and `pop` take no default.
    """

    def __init__(self, node: Node, storage: DictOf, name: str) -> None:
        self._node, self._storage, self._name = node, storage, name
        self._items = dict(storage.pairs.items(node, name))

    def _changed(self) -> None:
        try:
            self._storage.write(self._node, self._name, self._items)
        finally:
            self._items = dict(self._storage.pairs.items(self._node, self._name))

    def __repr__(self) -> str:
        return f"ObservedDict({self._items})"

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedDict) else other)

    __hash__ = None

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator:
        return iter(self._items)

    def __getitem__(self, key: object) -> typing.Any:
        return self._items[key]

    def __setitem__(self, key: object, value: object) -> None:
        self._items[key] = value
        self._changed()

    def __delitem__(self, key: object) -> None:
        del self._items[key]
        self._changed()

    def get(self, key: object) -> typing.Any:
        """Return a value, None if there is none."""
        return self._items.get(key)

    def pop(self, key: object) -> typing.Any:
        """Take a value out."""
        value = self._items.pop(key)
        self._changed()
        return value

    def clear(self) -> None:
        """Remove all values."""
        self._items.clear()
        self._changed()


def split(declared: object) -> tuple[typing.Any, tuple]:
    """Return the type of a hint and what stands beside it in Annotated."""
    annotations = tuple(getattr(declared, "__metadata__", ()))
    return (typing.get_args(declared)[0] if annotations else declared), annotations


def make_storage(declared: object) -> Storage:
    """Return how values of a type hint are kept.

    :raises TypeError: values of this type cannot be kept in a parameter node; `int | None` cannot
        either, the application knows only Optional[int]
    """
    kind, annotations = split(declared)
    validators = tuple(a for a in annotations if isinstance(a, Validator))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None):
        return Nothing()
    if origin is typing.Union:
        return OneOf(tuple(make_storage(argument) for argument in arguments))
    if origin is list and len(arguments) == 1:
        return ListOf(make_storage(arguments[0]), validators)
    if origin is tuple and arguments and Ellipsis not in arguments:
        return TupleOf(tuple(make_storage(argument) for argument in arguments))
    if origin is dict and len(arguments) == 2:
        return DictOf(ListOf(TupleOf(tuple(make_storage(argument) for argument in arguments))))
    if isinstance(kind, type):
        if issubclass(kind, slicer.vtkMRMLNode):
            return NodeReference(kind)
        if issubclass(kind, enum.Enum):
            first = next(iter(kind))
            return Plain((kind,), first, lambda v: v.name, kind.__getitem__, validators)
        if issubclass(kind, pathlib.PurePath):
            return Plain((kind,), kind(), str, kind, validators)
        plain = {
            bool: Plain((bool,), False, str, lambda text: text == "True", validators),
            int: Plain((int,), 0, str, int, validators),
            float: Plain((int, float), 0.0, str, float, validators),
            str: Plain((str,), "", str, str, validators),
        }
        if kind in plain:
            return plain[kind]
    raise TypeError(f"no way to keep a value of type {declared}")
