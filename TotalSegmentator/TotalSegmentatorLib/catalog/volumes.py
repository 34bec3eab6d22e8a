"""Plausible volumes of adult organs: how small or large a right segmentation may be."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "data" / "volumes.csv"


@dataclass(frozen=True)
class VolumeRange:
    """The volumes that are plausible for a whole organ of an adult.

    The ranges are far wider than the published normal ones: what is outside is either a rare
    disease or a mistake.

    :param low_ml: smallest plausible volume in mL.
    :param high_ml: largest plausible volume in mL.
    :param source: the published or measured values that the range was drawn around.
    """

    low_ml: float
    high_ml: float
    source: str


def volume_range(id: str) -> VolumeRange | None:
    """The plausible volumes of a structure; None if the table does not know it.

    :param id: class name, e.g. ``kidney_left``.
    """
    return _table().get(id)


@cache
def _table() -> dict[str, VolumeRange]:
    with open(_TABLE, encoding="utf-8", newline="") as file:
        return {
            row["id"]: VolumeRange(float(row["low_ml"]), float(row["high_ml"]), row["source"])
            for row in csv.DictReader(file)
        }
