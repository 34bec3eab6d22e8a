"""Terms of use of models that are not TotalSegmentator's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import InputError
from .names import did_you_mean

_DATA = Path(__file__).parent / "data" / "terms.json"


@dataclass(frozen=True)
class Terms:
    """Under which terms models may be used.

    :param id: e.g. ``nv-segment-ctmr``.
    :param title: a word or two for lists, e.g. ``non-commercial``.
    :param sentence: one or two sentences for people.
    :param url: page of the models, with the terms in full.
    :param accept: whether people must accept them before the models are used.
    """

    id: str
    title: str
    sentence: str
    url: str
    accept: bool


def all_terms() -> tuple[Terms, ...]:
    """The terms of all models."""
    return tuple(_table().values())


def terms(id: str) -> Terms:
    """The terms of an id.

    :raises InputError: ``input.unknown_terms``, with close ids in the remedy.
    """
    found = _table().get(id)
    if found is None:
        raise InputError(
            "input.unknown_terms",
            f"There are no terms '{id}'.",
            did_you_mean(id, {known: known for known in _table()})
            or f"There are: {', '.join(_table())}.",
        )
    return found


@cache
def _table() -> Mapping[str, Terms]:
    content = json.loads(_DATA.read_text(encoding="utf-8"))
    return {values["id"]: Terms(**values) for values in content["terms"]}
