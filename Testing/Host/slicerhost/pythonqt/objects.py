"""PySide6 classes that behave as PythonQt's: Q_PROPERTYs are attributes, typing errors raise."""

from __future__ import annotations

import functools
import types

import shiboken6
from PySide6.QtCore import QObject, SignalInstance

from . import signals
from .calls import lenient

# Their getters are virtual: reading them as properties makes Shiboken look for a Python override,
# which comes back here and recurses.
_KEPT_AS_METHODS = {"sizeHint", "minimumSizeHint"}
_REPLACED = ("connect", "disconnect", "findChild", "findChildren")


class UiLoading:
    """Whether a .ui file is being loaded: PySide's loader then hangs children on the top widget."""

    active = False


# Class -> property name -> (C++ type, writable).
_PROPERTIES: dict[type, dict[str, tuple[str, bool]]] = {}


def _properties(instance: QObject) -> dict[str, tuple[str, bool]]:
    """Return what can be read and assigned as an attribute of an object."""
    cls = type(instance)
    if cls not in _PROPERTIES:
        # Asked of the object: PySide may replace the class's own staticMetaObject.
        meta = QObject.metaObject(instance)
        found = (meta.property(i) for i in range(meta.propertyCount()))
        _PROPERTIES[cls] = {
            p.name(): (p.typeName(), p.isWritable())
            for p in found
            if p.name() not in _KEPT_AS_METHODS
        }
    return _PROPERTIES[cls]


def _require_living(instance: QObject, name: str) -> None:
    """Raise what PythonQt raises where Shiboken would crash: the object is already deleted."""
    if not shiboken6.isValid(instance):
        cls = type(instance).__name__
        raise ValueError(f"Trying to access '{name}' of a destroyed {cls} object")


class _NativeInstances(type(QObject)):
    """Lets isinstance(widget, qt.QWidget) hold for every widget, whichever class made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        native = cls.__dict__.get("_native")
        return isinstance(instance, native) if native else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        native = cls.__dict__.get("_native")
        return issubclass(subclass, native) if native else super().__subclasscheck__(subclass)


class PythonQtMixin:
    """What PythonQt changes on every QObject; see `wrapped`."""

    def __getattribute__(self, name: str) -> object:
        if name.startswith("_"):
            return super().__getattribute__(name)
        _require_living(self, name)
        if name == "name":
            return QObject.objectName(self)
        if name in _properties(self):
            return QObject.property(self, name)
        if name in _REPLACED:  # Shiboken's own attribute look-up would find QObject's first
            return types.MethodType(PythonQtMixin.__dict__[name], self)
        value = super().__getattribute__(name)
        if isinstance(value, SignalInstance):
            return signals.BoundSignal(self, name, signals.overload(self, value, name))
        return lenient(value) if isinstance(value, types.BuiltinMethodType) else value

    def __setattr__(self, name: str, value: object) -> None:
        cls = type(self)
        if name.startswith("_"):  # Python's own, allowed before Qt has made the object
            super().__setattr__(name, value)
            return
        _require_living(self, name)
        if name == "name":
            QObject.setObjectName(self, value)
        elif name in _properties(self):
            self._setProperty(name, value)
        elif not cls.__dict__.get("_sealed") or hasattr(cls, name):
            super().__setattr__(name, value)
        elif not (UiLoading.active and isinstance(value, QObject)):
            raise AttributeError(
                f"'{name}' does not exist on {cls.__name__} and creating new attributes on C++ "
                "objects is not allowed"
            )

    def _setProperty(self, name: str, value: object) -> None:
        cls = type(self)
        kind, writable = _properties(self)[name]
        if not writable:
            raise AttributeError(f"Property '{name}' of {cls.__name__} is not writable")
        if QObject.setProperty(self, name, value):
            return
        setter = getattr(self, f"set{name[0].upper()}{name[1:]}", None)
        try:
            setter(value)  # flags and enumerations, which a QVariant does not convert
        except TypeError as error:
            raise AttributeError(
                f"Property '{name}' of type '{kind}' does not accept an object of type "
                f"{type(value).__name__} ({value!r})"
            ) from error

    def connect(self, signature: str, *receiver: object) -> bool:
        """Connect a signal by signature: ``connect('clicked(bool)', f)``."""
        return signals.connect(self, signature, *receiver)

    def disconnect(self, signature: str, *receiver: object) -> bool:
        """Undo connect()."""
        return signals.disconnect(self, signature, *receiver)

    def findChild(self, kind: type, name: str = "") -> QObject | None:
        """Return the first descendant of a class, and of a name if one is given."""
        return next(iter(self.findChildren(kind, name)), None)

    def findChildren(self, kind: type, name: str = "") -> list[QObject]:
        """Return all descendants of a class, and of a name if one is given."""
        found = QObject.findChildren(self, QObject)
        return [c for c in found if isinstance(c, kind) and name in ("", QObject.objectName(c))]

    def className(self) -> str:
        """Return the name of the class as Qt knows it."""
        return QObject.metaObject(self).className()

    def delete(self) -> None:
        """Delete the object once control is back in the event loop."""
        QObject.deleteLater(self)


@functools.cache
def wrapped(native: type) -> type:
    """Return the PythonQt-flavoured subclass of a PySide6 class; other values come back as such."""
    if not isinstance(native, type) or not issubclass(native, QObject):
        return native
    if issubclass(native, PythonQtMixin):
        return native
    namespace: dict[str, object] = {"_native": native, "_sealed": True, "__module__": "qt"}
    if hasattr(native, "exec"):
        namespace["exec_"] = native.exec
    return _NativeInstances(native.__name__, (PythonQtMixin, native), namespace)


def sealed(cls: type) -> type:
    """Mark a stand-in as a native class: module code may not add attributes to its objects."""
    cls._sealed = True
    base = cls.__bases__[0]
    if base.__name__ == cls.__name__:  # it replaces a class of Qt: all its instances count
        cls._native = base._native
    return cls
