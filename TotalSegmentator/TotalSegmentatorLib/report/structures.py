"""What was found: numbers per structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import catalog
from ..images import Image, SegmentRecord

Box = tuple[slice, slice, slice]
_CHUNK = 1 << 20
# Of intensities by structure: 0.1 GB. All of CT and of most MR images need less.
_MOST_BINS = 1 << 24


@dataclass(frozen=True)
class Intensities:
    """Intensities inside a structure; HU for CT, scanner units for MR."""

    mean: float
    sd: float
    median: float


@dataclass(frozen=True)
class StructureReport:
    """One structure that was looked for.

    :param id: class name.
    :param name: name for people.
    :param label: the task's official value.
    :param found: whether it has a voxel.
    :param touches_border: whether it reaches the border of what was segmented, the image or a
        region of it, and may be cut off.
    :param voxels: number of voxels.
    :param volume_ml: volume in mL.
    :param hu: intensities, or None if not found.
    :param bbox_ijk: ((i first, i last), (j ...), (k ...)) voxel indices, inclusive, or None.
    :param task: id of the task that looked for it.
    :param centroid_ras: mean position of its voxels, (right, front, head) in mm, or None.
    """

    id: str
    name: str
    label: int
    found: bool
    touches_border: bool = False
    voxels: int = 0
    volume_ml: float = 0.0
    hu: Intensities | None = None
    bbox_ijk: tuple[tuple[int, int], ...] | None = None
    task: str = ""
    centroid_ras: tuple[float, float, float] | None = None


def measure(
    labels: Image, image: Image, label_names: Mapping[int, str], task: str = ""
) -> tuple[StructureReport, ...]:
    """Measure every structure that was looked for, in the order of their labels.

    :param labels: labelmap (K, J, I) on the grid of ``image``.
    :param image: the image that was segmented.
    :param label_names: official value -> class name.
    :param task: id of the task that gave the labels.
    """
    counts = _count(labels.array, max(label_names, default=0) + 1)
    intensities = _all_intensities(labels.array, image.array, counts)
    return tuple(
        _measure_one(labels, value, name, [axis[:, value] for axis in counts], intensities, task)
        for value, name in sorted(label_names.items())
    )


def _measure_one(
    labels: Image,
    value: int,
    name: str,
    counts: Sequence[np.ndarray],
    intensities: Callable[[int, Box], Intensities],
    task: str,
) -> StructureReport:
    """
    :param counts: how many of its voxels have an index, for each of k, j and i.
    """
    title = catalog.structure(name).name
    box = _box(counts)
    if box is None:
        return StructureReport(name, title, value, found=False, task=task)
    extent = [(axis.start, axis.stop - 1) for axis in reversed(box)]
    voxels = int(counts[0].sum())
    center = [axis @ np.arange(axis.size) / voxels for axis in reversed(counts)]
    right, front, head = (labels.ijk_to_ras @ [*center, 1])[:3].tolist()
    return StructureReport(
        name,
        title,
        value,
        found=True,
        touches_border=any(
            first == 0 or last == size - 1
            for (first, last), size in zip(extent, labels.shape_ijk, strict=True)
        ),
        voxels=voxels,
        volume_ml=round(voxels * labels.voxel_volume_ml, 4),
        hu=intensities(value, box),
        bbox_ijk=tuple(extent),
        task=task,
        centroid_ras=(round(right, 2), round(front, 2), round(head, 2)),
    )


def _count(labels: np.ndarray, values: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many voxels of each label have an index: (K, values), (J, values) and (I, values).

    One pass for all labels, plane by plane: places, sizes and centres follow from it.
    """
    nk, nj, ni = labels.shape
    along_k, along_j, along_i = (np.zeros((n, values), np.int64) for n in (nk, nj, ni))
    for k, plane in enumerate(labels):
        j, i = np.nonzero((plane > 0) & (plane < values))
        label = plane[j, i].astype(np.int64)
        along_k[k] = np.bincount(label, minlength=values)
        along_j += np.bincount(j * values + label, minlength=nj * values).reshape(nj, values)
        along_i += np.bincount(i * values + label, minlength=ni * values).reshape(ni, values)
    return along_k, along_j, along_i


def _box(counts: Sequence[np.ndarray]) -> Box | None:
    """The smallest box (k, j, i) that holds what was counted along these axes."""
    places = [np.flatnonzero(axis) for axis in counts]
    if not places[0].size:
        return None
    k, j, i = (slice(int(axis[0]), int(axis[-1]) + 1) for axis in places)
    return k, j, i


def _all_intensities(
    labels: np.ndarray, image: np.ndarray, counts: Sequence[np.ndarray]
) -> Callable[[int, Box], Intensities]:
    """Tells the intensities of a structure by its label and its box."""
    values = counts[0].shape[1]
    lowest, highest = (int(image.min()), int(image.max())) if image.size else (0, 0)
    steps = highest - lowest + 1
    if image.dtype.kind == "f" or values * steps > _MOST_BINS:
        return lambda value, box: _intensities(image[box][labels[box] == value])
    histogram = np.zeros(values * steps, np.int64)
    for plane, intensities in zip(labels, image, strict=True):
        inside = (plane > 0) & (plane < values)
        bins = plane[inside].astype(np.int64) * steps + (intensities[inside] - np.int64(lowest))
        histogram += np.bincount(bins, minlength=histogram.size)
    table = histogram.reshape(values, steps)
    return lambda value, box: _of_histogram(table[value], np.arange(lowest, highest + 1))


def _of_histogram(counts: np.ndarray, values: np.ndarray) -> Intensities:
    """Mean, SD and median of whole numbers, of which some have been counted."""
    total = counts.sum()
    mean = float(counts @ values / total)
    sd = float(np.sqrt(counts @ np.square(values - mean) / total))
    middle = np.searchsorted(np.cumsum(counts), [(total + 1) // 2, total // 2 + 1])
    return Intensities(round(mean, 2), round(sd, 2), round(float(values[middle].mean()), 2))


def _intensities(voxels: np.ndarray) -> Intensities:
    """Mean, SD and median of at least one value, in chunks: a trunk has 10^8 voxels."""
    mean = sum(float(chunk.sum()) for chunk in _chunks(voxels)) / voxels.size
    squares = sum(float(np.square(chunk - mean).sum()) for chunk in _chunks(voxels))
    sd = float(np.sqrt(squares / voxels.size))
    median = float(np.median(voxels, overwrite_input=True))
    return Intensities(round(mean, 2), round(sd, 2), round(median, 2))


def _chunks(voxels: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, voxels.size, _CHUNK):
        yield voxels[start : start + _CHUNK].astype(np.float64)


def shifted(
    structures: Sequence[StructureReport], start_ijk: Sequence[int]
) -> list[StructureReport]:
    """Structures that were measured in a cropped image, with the voxel indices of the whole one.

    :param start_ijk: voxel (i, j, k) of the whole image at which the cropped one begins.
    """
    return [
        s
        if s.bbox_ijk is None
        else replace(
            s,
            bbox_ijk=tuple(
                (first + start, last + start)
                for (first, last), start in zip(s.bbox_ijk, start_ijk, strict=True)
            ),
        )
        for s in structures
    ]


def segment_records(structures: Sequence[StructureReport]) -> tuple[SegmentRecord, ...]:
    """The structures that were found, as they become segments."""
    records = []
    for found in (s for s in structures if s.found):
        structure = catalog.structure(found.id)
        records.append(
            SegmentRecord(
                id=found.id,
                name=structure.name,
                label=found.label,
                color=structure.color,
                terminology=structure.terminology_entry(),
            )
        )
    return tuple(records)
