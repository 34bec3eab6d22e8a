"""The columns of a table of measured structures, the same in files and in the scene."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).parent / "data" / "columns.csv"


@dataclass(frozen=True)
class Column:
    """One measure of a structure.

    :param name: stable name of the column.
    :param key: where the value stands in a structure of a report: keys and indices with dots.
    :param type: ``text``, ``integer``, ``number`` or ``boolean``.
    :param unit: unit of the values; may be empty.
    :param description: one line for people.
    """

    name: str
    key: str
    type: str
    unit: str
    description: str

    def value(self, structure: Mapping[str, Any]) -> Any:
        """The value of one structure, or None if it has none.

        :param structure: an entry of ``structures`` in a report, also one of an older version.
        """
        value: Any = structure
        for part in self.key.split("."):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, Sequence) and not isinstance(value, str):
                value = value[int(part)]
            else:
                return None
        return value


@cache
def columns() -> tuple[Column, ...]:
    """All columns, in the order in which tables show them."""
    with open(_TABLE, encoding="utf-8", newline="") as file:
        return tuple(Column(**row) for row in csv.DictReader(file))
