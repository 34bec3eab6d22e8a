"""What PythonQt shows of qt, ctk and qMRML classes in the real application (recorded there)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data" / "pythonqt_api.json"
# Members that PythonQt adds to every object and that no listing shows.
ALWAYS = frozenset({"name", "exec_", "delete", "className", "inherits", "help"})


@dataclass(frozen=True)
class RecordedClass:
    """One class with everything it inherits.

    :ivar properties: property name -> (C++ type, writable)
    :ivar signals: normalised signatures such as ``clicked(bool)``
    :ivar slots: normalised signatures
    """

    name: str
    module: str
    members: frozenset[str]
    properties: dict[str, tuple[str, bool]]
    signals: frozenset[str]
    slots: frozenset[str]

    def has(self, attribute: str) -> bool:
        """Whether the application lets code read this attribute."""
        return attribute in self.members or attribute in self.properties or attribute in ALWAYS

    def writable(self, attribute: str) -> bool:
        """Whether the application lets code assign this attribute."""
        return attribute == "name" or self.properties.get(attribute, ("", False))[1]


@functools.cache
def _recording() -> dict:
    return json.loads(DATA.read_text(encoding="utf-8"))["classes"]


@functools.cache
def recorded_class(name: str) -> RecordedClass | None:
    """Return what was recorded of a class, base classes included; None for an unknown class."""
    entry = _recording().get(name)
    if entry is None:
        return None
    # A widget lists what it adds to QWidget; QWidget itself lists all it has from QObject.
    base = recorded_class(entry["base"]) if entry["base"] else None
    properties = {key: (kind, writable) for key, (kind, writable) in entry["properties"].items()}
    members, signals, slots = entry["members"].split(), entry["signals"], entry["slots"]
    return RecordedClass(
        name=name,
        module=entry["module"],
        members=frozenset(members) | (base.members if base else frozenset()),
        properties={**(base.properties if base else {}), **properties},
        signals=frozenset(signals) | (base.signals if base else frozenset()),
        slots=frozenset(slots) | (base.slots if base else frozenset()),
    )


def recorded_ancestor(python_class: type) -> RecordedClass | None:
    """Return the record of the nearest class in the MRO that was recorded."""
    for ancestor in python_class.__mro__:
        found = recorded_class(ancestor.__name__)
        if found is not None:
            return found
    return None
