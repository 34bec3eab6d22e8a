"""The part of the API check that reads .ui files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .recorded_api import recorded_class

PARAMETER = "SlicerParameterName"
# Settings of the designer that are no Q_PROPERTYs, yet mean something to Qt's loader.
_LOADER_PROPERTIES = frozenset({"buddy", "leftMargin", "topMargin", "rightMargin", "bottomMargin"})


@dataclass(frozen=True)
class Finding:
    """Something that the application does not have."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class UiFile:
    """A .ui file: its widgets and what is wrong with it.

    :ivar widgets: object name -> class
    """

    def __init__(self, path: Path) -> None:
        self._file = path.name
        self._lines = path.read_text(encoding="utf-8").splitlines()
        self._root = ElementTree.parse(path).getroot()
        named = (*self._root.iter("widget"), *self._root.iter("layout"))
        self.widgets = {e.get("name"): e.get("class") for e in named if e.get("name")}

    def findings(self, parameters: set[str] | None) -> list[Finding]:
        """Return what is wrong.

        :param parameters: names of the parameter node's values; None to leave them unchecked
        """
        found = []
        for element in (*self._root.iter("widget"), *self._root.iter("layout")):
            found += self._element(element, parameters)
        for connection in self._root.iter("connection"):
            found += self._connection(connection)
        return found

    def _finding(self, near: str, message: str) -> Finding:
        lines = (i for i, line in enumerate(self._lines, 1) if near in line)
        return Finding(self._file, next(lines, 0), message)

    def _element(
        self, element: ElementTree.Element, parameters: set[str] | None
    ) -> Iterator[Finding]:
        class_name, near = element.get("class"), f'name="{element.get("name")}"'
        record = recorded_class(class_name)
        if record is None:
            yield self._finding(near, f"class {class_name} is not in the recorded API")
            return
        for entry in element.findall("property"):
            name = entry.get("name")
            if name == PARAMETER:
                value = entry.findtext("string")
                if parameters is not None and value not in parameters:
                    yield self._finding(near, f"{PARAMETER} '{value}' is not a parameter")
            elif entry.get("stdset") == "0":
                yield self._finding(near, f"dynamic property '{name}' means nothing to Slicer")
            elif name not in _LOADER_PROPERTIES and name not in record.properties:
                yield self._finding(near, f"{class_name} has no property '{name}'")

    def _connection(self, connection: ElementTree.Element) -> Iterator[Finding]:
        for end, member in (("sender", "signal"), ("receiver", "slot")):
            name, signature = connection.findtext(end), connection.findtext(member)
            class_name = self.widgets.get(name)
            record = recorded_class(class_name) if class_name else None
            if record is None:
                yield self._finding(signature, f"connection to an unknown widget '{name}'")
                continue
            # A signal may also be a receiver.
            known = record.signals if member == "signal" else record.slots | record.signals
            if signature not in known:
                yield self._finding(signature, f"{class_name} has no {member} {signature}")
