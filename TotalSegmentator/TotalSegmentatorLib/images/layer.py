"""Layers: labelmaps whose labels are named segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .image import Image


@dataclass(frozen=True)
class SegmentRecord:
    """One segment of a layer.

    :param id: unique in a result; the structure's id.
    :param name: for people.
    :param label: its voxel value.
    :param color: red, green, blue, 0 to 255.
    :param terminology: Slicer's serialized terminology entry; may be empty.
    """

    id: str
    name: str
    label: int
    color: tuple[int, int, int]
    terminology: str = ""


@dataclass(frozen=True, eq=False)
class Layer:
    """One labelmap and what its labels mean, e.g. the result of one task.

    A result of several tasks has several layers, because their structures may overlap: the
    vessels of the liver lie in the liver. Labels are unique in a layer, ids in a result.

    :param labels: labelmap (K, J, I), 0 is background.
    :param segments: the structures that were found.
    :param label_names: label -> class name of every structure that was looked for.
    """

    labels: Image
    segments: tuple[SegmentRecord, ...]
    label_names: Mapping[int, str] = field(default_factory=dict)
