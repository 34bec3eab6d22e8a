"""Layers: labelmaps whose labels are named segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .image import Image
from .values import label_type

#: Tag of a segment that came from us: its structure's id.
ID_TAG = "TotalSegmentator.id"


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
    :param extra: whether it came unasked with other structures, from which it was made (the skin
        from the body); left out where only one labelmap can be kept, since it would hide them.
    """

    labels: Image
    segments: tuple[SegmentRecord, ...]
    label_names: Mapping[int, str] = field(default_factory=dict)
    extra: bool = False


def merge_layers(layers: Sequence[Layer]) -> Layer:
    """One labelmap of all layers; where they overlap, the later one is seen.

    A single layer keeps its labels. Several are numbered anew from 1, in their order, because
    tasks use the same numbers.

    :param layers: at least one, on the same grid. Segments need not have voxels.
    """
    if len(layers) == 1:
        return layers[0]
    names = {
        (n, label): name
        for n, layer in enumerate(layers)
        for label, name in {**{s.label: s.id for s in layer.segments}, **layer.label_names}.items()
    }
    new = {key: label for label, key in enumerate(sorted(names), 1)}
    merged = np.zeros(layers[0].labels.array.shape, label_type(len(new)))
    segments: list[SegmentRecord] = []
    for n, layer in enumerate(layers):
        largest = int(layer.labels.array.max(initial=0))
        table = np.zeros(max([largest, *(s.label for s in layer.segments)]) + 1, merged.dtype)
        for segment in layer.segments:
            table[segment.label] = new[n, segment.label]
            segments.append(replace(segment, label=new[n, segment.label]))
        labels = table[layer.labels.array]
        np.copyto(merged, labels, where=labels != 0)
    merged_names = {label: names[key] for key, label in new.items()}
    return Layer(layers[0].labels.with_array(merged), tuple(segments), merged_names)
