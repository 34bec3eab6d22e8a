"""The class decorator parameterNodeWrapper."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping

import slicer
import vtk
from PySide6 import QtWidgets

from .annotations import Default
from .connectors import PROPERTY, Connector, create_connector
from .fields import Field, make_field


class ParameterNodeWrapper:
    """What the decorator adds to a class whose annotations name parameters.

    :ivar parameterNode: the node that holds the values
    :ivar allParameters: name -> field
    """

    allParameters: typing.ClassVar[dict[str, Field]] = {}

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        """Wrap a node; parameters it does not hold yet get their defaults."""
        self.parameterNode = parameterNode
        self._bindings: dict[int, dict[str, Connector]] = {}
        self._nextTag = 0
        self._updatingGUI = False
        for field in self.allParameters.values():
            field.ensure(parameterNode)

    @classmethod
    def _field(cls, name: str) -> Field:
        if name not in cls.allParameters:
            known = ", ".join(cls.allParameters)
            raise ValueError(f"there is no parameter {name}; there are: {known}")
        return cls.allParameters[name]

    def getValue(self, name: str) -> object:
        """Return a value by name; ValueError for an unknown name."""
        return self._field(name).read(self.parameterNode)

    def setValue(self, name: str, value: object) -> None:
        """Store a value by name; ValueError for an unknown name."""
        self._field(name).write(self.parameterNode, value)

    def default(self, name: str) -> object:
        """Return the default of a parameter, in the `value` of what comes back."""
        return Default(self._field(name).default)

    def isCached(self, name: str) -> bool:
        """Whether the application keeps the value beside the node: it does for all types here."""
        return bool(self._field(name))

    @classmethod
    def dataType(cls, name: str) -> object:
        """Return the type hint of a parameter."""
        return cls._field(name).declared

    def connectGui(self, gui: object) -> int:
        """Bind every widget that has a SlicerParameterName.

        :param gui: a widget with its descendants, or what slicer.util.childWidgetVariables returns
        :return: a tag for disconnectGui
        """
        is_widget = isinstance(gui, QtWidgets.QWidget)
        widgets = gui.findChildren(QtWidgets.QWidget) if is_widget else vars(gui).values()
        named = {widget.property(PROPERTY): widget for widget in widgets}
        return self.connectParametersToGui({n: w for n, w in named.items() if n})

    def connectParametersToGui(self, mapping: Mapping[str, QtWidgets.QWidget]) -> int:
        """Bind widgets by the names of their parameters; widgets take the present values.

        :raises ValueError: a name is not a parameter
        :raises RuntimeError: a widget cannot show a parameter of this type
        """
        bound = {n: create_connector(w, self._field(n)) for n, w in mapping.items()}
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        self._bindings[tag] = bound
        for name, connector in bound.items():
            connector.write(self.getValue(name))
            connector.connect(self._storing(name, connector))
        # The application, too, adds an observer that disconnectGui leaves behind, harmlessly.
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._updateGUI)
        return tag

    def disconnectGui(self, tag: int) -> None:
        """Undo connectGui."""
        for connector in self._bindings.pop(tag, {}).values():
            connector.disconnect()

    def _storing(self, name: str, connector: Connector) -> Callable[[], None]:
        def store() -> None:
            if not self._updatingGUI:
                with slicer.util.NodeModify(self):
                    self.setValue(name, connector.read())

        return store

    def _updateGUI(self, _caller: vtk.vtkObject, _event: str) -> None:
        if self._updatingGUI:
            return
        self._updatingGUI = True
        try:
            for bound in self._bindings.values():
                for name, connector in bound.items():
                    connector.write(self.getValue(name))
        finally:
            self._updatingGUI = False

    def StartModify(self) -> int:
        """Hold the node's events back."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> None:
        """Let the node's events go."""
        self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: object, callback: Callable, priority: float = 0.0) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Stop observing the node."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        """Send the node's ModifiedEvent."""
        self.parameterNode.Modified()


def _attribute(field: Field) -> property:
    return property(
        lambda self: field.read(self.parameterNode),
        lambda self, value: field.write(self.parameterNode, value),
    )


def _wrap(cls: type) -> type:
    hints = typing.get_type_hints(cls, include_extras=True)
    namespace: dict[str, object] = {"__doc__": cls.__doc__, "__module__": cls.__module__}
    fields = {}
    for name, declared in hints.items():
        if hasattr(ParameterNodeWrapper, name):
            raise ValueError(f"'{name}' is reserved in a parameterNodeWrapper")
        assigned = {"assigned": getattr(cls, name)} if hasattr(cls, name) else {}
        fields[name] = make_field(name, declared, **assigned)
        namespace[name] = _attribute(fields[name])
    # Methods of the class itself stay; its attributes are now properties that hide it.
    return type(cls.__name__, (ParameterNodeWrapper, cls), {**namespace, "allParameters": fields})


def parameterNodeWrapper(cls: type | None = None) -> type | Callable[[type], type]:
    """Make a class whose annotated attributes live in a parameter node, with or without ()."""
    return _wrap if cls is None else _wrap(cls)


def isParameterNodeWrapper(classOrObject: object) -> bool:
    """Whether a class, or the class of an object, was made by parameterNodeWrapper."""
    cls = classOrObject if isinstance(classOrObject, type) else type(classOrObject)
    return issubclass(cls, ParameterNodeWrapper)
