"""connect() and disconnect() by signature, and bound signals (`button.clicked.connect(f)`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QMetaObject, QObject, SignalInstance

from ..recorded_api import recorded_ancestor
from .slots import guarded

# Signals of Qt 5 whose argument picks another signal in Qt 6.
_RENAMED = {
    "currentIndexChanged(QString)": "currentTextChanged",
    "activated(QString)": "textActivated",
    "highlighted(QString)": "textHighlighted",
    "buttonClicked(int)": "idClicked",
    "buttonPressed(int)": "idPressed",
    "buttonReleased(int)": "idReleased",
    "buttonToggled(int,bool)": "idToggled",
    "valueChanged(QString)": "textChanged",
}


@dataclass(frozen=True)
class Link:
    """One connection of an object's signal to a Python callable."""

    signature: str
    signal: SignalInstance
    slot: Callable
    call: Callable


def normalized(signature: str) -> str:
    """Return a signature as Qt writes it in its meta objects."""
    return bytes(QMetaObject.normalizedSignature(signature)).decode()


def _argument_count(signature: str) -> int:
    arguments = signature.partition("(")[2].rstrip(")")
    return arguments.count(",") + 1 if arguments else 0


def find_signal(sender: QObject, signature: str) -> SignalInstance | None:
    """Return the signal that a signature names, None when the application has no such signal."""
    record = recorded_ancestor(type(sender))
    # Qt 6 has signals that Qt 5 lacks, so the recording decides wherever there is one.
    if record is not None and record.name != "QObject":
        known = signature in record.signals
    else:
        known = QObject.metaObject(sender).indexOfSignal(signature) >= 0
    if not known:
        return None
    name = _RENAMED.get(signature, signature.partition("(")[0])
    signal = QObject.__getattribute__(sender, name) if hasattr(type(sender), name) else None
    return overload(sender, signal, name, signature) if signal is not None else None


def overload(
    sender: QObject, signal: SignalInstance, name: str, wanted: str = ""
) -> SignalInstance:
    """Return the form of a signal with a signature, or else the one with most arguments."""
    meta = QObject.metaObject(sender)
    methods = (meta.method(i) for i in range(meta.methodCount()))
    forms = [m for m in methods if bytes(m.name()).decode() == name]
    forms.sort(key=lambda form: form.parameterCount())
    exact = [m for m in forms if bytes(m.methodSignature()).decode() == wanted]
    if len(forms) < 2:
        return signal
    chosen = (exact or forms)[-1]
    if not chosen.parameterCount():
        return signal  # whatever it carries, the arguments are cut off to none
    return signal[",".join(bytes(t).decode() for t in chosen.parameterTypes())]


def links(sender: QObject) -> list[Link]:
    """Return the connections that Python made from this object."""
    return sender.__dict__.setdefault("_links", [])


def _receiver(arguments: tuple) -> Callable:
    if len(arguments) == 1:
        return arguments[0]
    target, slot = arguments  # connect(signal, object, 'slot(type)')
    return getattr(target, slot.partition("(")[0])


def connect(sender: QObject, signature: str, *receiver: object) -> bool:
    """Connect as PythonQt does: False, and nothing raised, for a signature that is not there."""
    signature = normalized(signature)
    signal = find_signal(sender, signature)
    if signal is None:
        return False
    slot = _receiver(receiver)
    link = Link(signature, signal, slot, guarded(slot, _argument_count(signature)))
    links(sender).append(link)
    signal.connect(link.call)
    return True


def disconnect(sender: QObject, signature: str, *receiver: object) -> bool:
    """Undo connect(); without a slot, all connections of the signature. False if none was found."""
    signature = normalized(signature)
    slot = _receiver(receiver) if receiver else None
    ended = [x for x in links(sender) if x.signature == signature and slot in (None, x.slot)]
    for link in ended:
        links(sender).remove(link)
        link.signal.disconnect(link.call)
    return bool(ended)


class BoundSignal:
    """A signal read as an attribute: it connects, disconnects, and is emitted by calling it."""

    def __init__(self, sender: QObject, name: str, signal: SignalInstance) -> None:
        self._sender = sender
        self._name = name
        self._signal = signal

    def connect(self, *receiver: object) -> bool:
        """Connect a callable to every argument the signal carries."""
        slot = _receiver(receiver)
        link = Link(self._name, self._signal, slot, guarded(slot))
        links(self._sender).append(link)
        self._signal.connect(link.call)
        return True

    def disconnect(self, *receiver: object) -> bool:
        """Undo connect()."""
        slot = _receiver(receiver) if receiver else None
        ended = [
            x for x in links(self._sender) if x.signature == self._name and slot in (None, x.slot)
        ]
        for link in ended:
            links(self._sender).remove(link)
            self._signal.disconnect(link.call)
        return bool(ended)

    def __call__(self, *arguments: object) -> None:
        self._signal.emit(*arguments)
