"""The public hosts that this product may contact, and what for; nothing else is contacted.

A mirror, an index or a proxy that the user has set is contacted instead, or besides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "hosts.json"


@dataclass(frozen=True)
class Purpose:
    """What some hosts are contacted for.

    :param name: stable, e.g. ``weights``.
    :param hosts: their names; the first one is asked first.
    :param sentence: for people: what is got or sent, and when.
    """

    name: str
    hosts: tuple[str, ...]
    sentence: str


@cache
def all_purposes() -> tuple[Purpose, ...]:
    """Everything that public hosts may be contacted for."""
    values = json.loads(_FILE.read_text("utf-8"))
    return tuple(Purpose(name, tuple(one["hosts"]), one["purpose"]) for name, one in values.items())


def hosts(purpose: str) -> tuple[str, ...]:
    """The hosts for a purpose.

    :raises KeyError: there is no such purpose.
    """
    return {one.name: one.hosts for one in all_purposes()}[purpose]
