"""Items of a workflow, and the queries that choose among them, as MHub writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError

_ANY_KIND = "any"
_ANY_VALUE = "*"
# What MHub's language has besides, and what must not be taken for a part of a value.
_NOT_HERE = re.compile(r"\b(?:AND|OR|NOT)\b|[()<>!~]")
_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Item:
    """A series, or a file of a result.

    :param kind: ``dicom`` for a series, else one of the kinds of :mod:`..dicom.orders`.
    :param meta: what is known of it, e.g. ``{"mod": "seg"}``.
    :param name: of its file; empty for a series.
    """

    kind: str
    meta: Mapping[str, str]
    name: str = ""


@dataclass(frozen=True)
class Query:
    """Which items are meant: of one of the kinds, with one of the values for every key.

    Case does not matter.

    :param kinds: empty for any.
    :param values: key -> values; none of them stands for any value, but there must be one.
    """

    kinds: frozenset[str]
    values: Mapping[str, frozenset[str]]

    def takes(self, item: Item) -> bool:
        """Whether an item is meant."""
        if self.kinds and item.kind.lower() not in self.kinds:
            return False
        for key, allowed in self.values.items():
            if key not in item.meta or (allowed and item.meta[key].lower() not in allowed):
                return False
        return True


def read_query(text: str) -> Query:
    """The query that a text like ``dicom|nrrd:mod=ct|mr:part=*`` stands for.

    :raises InputError: ``input.bad_config``.
    """
    first, *conditions = text.strip().split(":")
    kinds = [kind.lower() for kind in first.split("|")]
    pairs = [condition.partition("=") for condition in conditions]
    plain = all(_NAME.fullmatch(name) for name in (*kinds, *(key for key, _, _ in pairs)))
    if _NOT_HERE.search(text) or not plain or not all(value for _, _, value in pairs):
        raise InputError(
            "input.bad_config",
            f"The query '{text}' cannot be understood.",
            "Write it as kind|kind:key=value|value:key=*, e.g. dicom:mod=ct|mr.",
        )
    values = {
        key: frozenset() if value == _ANY_VALUE else frozenset(value.lower().split("|"))
        for key, _, value in pairs
    }
    return Query(frozenset() if _ANY_KIND in kinds else frozenset(kinds), values)
