"""What was found: numbers per structure, and the report of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from . import catalog
from .images import Image, Notice, SegmentRecord
from .jobs import EngineResult, Request

SCHEMA = 1
DEMO_BANNER = "DEMO MODEL - not for any real use"


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
    :param touches_border: whether it reaches the border of the image and may be cut off.
    :param voxels: number of voxels.
    :param volume_ml: volume in mL.
    :param hu: intensities, or None if not found.
    :param bbox_ijk: ((i first, i last), (j ...), (k ...)) voxel indices, inclusive, or None.
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


def measure(
    labels: Image, image: Image, label_names: Mapping[int, str]
) -> tuple[StructureReport, ...]:
    """Measure every structure that was looked for, in the order of their labels.

    :param labels: labelmap (K, J, I) on the grid of ``image``.
    :param image: the image that was segmented.
    :param label_names: official value -> class name.
    """
    boxes = ndimage.find_objects(labels.array)
    milliliters = abs(float(np.linalg.det(labels.ijk_to_ras[:3, :3]))) / 1000
    return tuple(
        _measure_one(labels, image, value, name, boxes, milliliters)
        for value, name in sorted(label_names.items())
    )


def _measure_one(
    labels: Image,
    image: Image,
    value: int,
    name: str,
    boxes: Sequence[tuple[slice, slice, slice] | None],
    milliliters: float,
) -> StructureReport:
    title = catalog.structure(name).name
    box = boxes[value - 1] if value <= len(boxes) else None
    if box is None:
        return StructureReport(name, title, value, found=False)
    voxels = image.array[box][labels.array[box] == value].astype(np.float64)
    extent = [(axis.start, axis.stop - 1) for axis in reversed(box)]
    return StructureReport(
        name,
        title,
        value,
        found=True,
        touches_border=any(
            first == 0 or last == size - 1
            for (first, last), size in zip(extent, labels.shape_ijk, strict=True)
        ),
        voxels=int(voxels.size),
        volume_ml=round(voxels.size * milliliters, 4),
        hu=Intensities(
            round(float(voxels.mean()), 2),
            round(float(voxels.std()), 2),
            round(float(np.median(voxels)), 2),
        ),
        bbox_ijk=tuple(extent),
    )


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


def empty_notice(structures: Sequence[StructureReport]) -> tuple[Notice, ...]:
    """A warning if nothing was found: an empty result must not be silent."""
    if any(structure.found for structure in structures):
        return ()
    return (
        Notice(
            "result.empty",
            "No structure was found. Does the task fit the image's modality and body region?",
        ),
    )


def input_record(image: Image, source: str) -> dict[str, str]:
    """Which image it was: only ``report.json`` says so.

    :param source: path of the image's file or folder; empty for one that has none.
    """
    digest = hashlib.sha256(repr((image.array.shape, image.array.dtype.str)).encode())
    digest.update(np.round(image.ijk_to_ras, 6).tobytes())
    digest.update(np.ascontiguousarray(image.array).data)
    return {"path": source, "sha256": digest.hexdigest()}


def make_report(
    source: Mapping[str, str],
    request: Request,
    result: EngineResult,
    structures: Sequence[StructureReport],
    notices: Sequence[Notice],
    timings_s: Mapping[str, float],
) -> dict[str, Any]:
    """The content of ``report.json``.

    :param source: see :func:`input_record`.
    """
    return {
        "schema": SCHEMA,
        "input": dict(source),
        "request": request.to_dict(),
        "provenance": dict(result.provenance),
        "structures": [asdict(structure) for structure in structures],
        "warnings": [asdict(notice) for notice in notices],
        "timings_s": {**result.timings_s, **timings_s},
    }
