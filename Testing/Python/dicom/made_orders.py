"""Orders to write, made of datasets and arrays, and what judges find in the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from highdicom.seg import segread
from pydicom import Dataset
from scipy.spatial import cKDTree

from TotalSegmentatorLib.catalog.terminology import ANATOMICAL_STRUCTURE, Code
from TotalSegmentatorLib.dicom.orders import (
    Algorithm,
    DicomOptions,
    Order,
    SegmentContent,
    Source,
    SourceSlice,
)

LIVER = Code("SCT", "10200004", "Liver")
ALGORITHM = Algorithm("TotalSegmentator", "2.18.0", "total")
TOLERANCE_MM = 0.005


def source_of_slices(slices: Sequence[Dataset], header: Path) -> Source:
    """What objects refer to, by the headers of single images alone.

    :param header: the file of one of them.
    """
    first = slices[0]
    row, column = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    heights = [np.cross(row, column) @ np.array(ds.ImagePositionPatient, float) for ds in slices]
    return Source(
        header=header,
        study_uid=str(first.StudyInstanceUID),
        series_uid=str(first.SeriesInstanceUID),
        frame_of_reference_uid=str(first.FrameOfReferenceUID),
        modality=first.Modality,
        number=first.SeriesNumber,
        rows=first.Rows,
        columns=first.Columns,
        pixel_spacing=tuple(map(float, first.PixelSpacing)),
        slice_spacing=float(np.median(np.diff(heights))),
        slices=tuple(map(_source_slice, slices)),
    )


def _source_slice(ds: Dataset) -> SourceSlice:
    return SourceSlice(
        str(ds.SOPClassUID),
        str(ds.SOPInstanceUID),
        0,
        tuple(map(float, ds.ImagePositionPatient)),
        tuple(map(float, ds.ImageOrientationPatient)),
    )


def content(label: int, layer: int = 0, **values: Any) -> SegmentContent:
    """A segment of the task ``total``."""
    given = {"name": f"Structure {label}", "id": f"structure_{label}", "task": "total", **values}
    return SegmentContent(
        layer,
        label,
        **{"category": ANATOMICAL_STRUCTURE, "type": LIVER, "color": (label % 256, 90, 30)} | given,
    )


def made_order(
    source: Source,
    labels: Sequence[np.ndarray],
    folder: Path,
    contents: Sequence[SegmentContent] | None = None,
    part: int = 0,
    algorithm: Algorithm = ALGORITHM,
    **options: bool,
) -> Order:
    """An order whose labels are saved in a new folder; all labels are segments if none are given.

    :param options: as of :class:`DicomOptions`.
    """
    folder.mkdir(parents=True)
    paths = tuple(folder / f"labels-{number}.npy" for number in range(len(labels)))
    for path, array in zip(paths, labels, strict=True):
        np.save(path, array)
    if contents is None:
        values = [np.unique(array[array > 0]).tolist() for array in labels]
        contents = [content(value, layer) for layer, found in enumerate(values) for value in found]
    options = DicomOptions(**options)
    return Order(source, paths, tuple(contents), algorithm, options, folder, part)


def made_labels(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Three labels without any symmetry; nothing in the first slice, and 3 in the last one only."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.arange(3, dtype=np.uint8), shape, p=[0.8, 0.1, 0.1])
    labels[:, : shape[1] // 3, : shape[2] // 4] = 1
    labels[0] = 0
    labels[-1, -2:, 1:4] = 3
    return labels


def places_in(position: Any, orientation: Any, spacing: Any, mask: np.ndarray) -> np.ndarray:
    """(n, 3): LPS mm of the pixels of a slice that are set.

    :param spacing: distance of rows, then of columns.
    """
    row, column = np.reshape(np.array(orientation, float), (2, 3))
    j, i = np.nonzero(mask)
    along = np.outer(i * float(spacing[1]), row) + np.outer(j * float(spacing[0]), column)
    return np.array(position, float) + along


def true_places(slices: Sequence[Dataset], labels: np.ndarray, label: int) -> np.ndarray:
    """(n, 3): LPS mm of all pixels with a label, by the headers of the images."""
    return np.concatenate(
        [
            places_in(
                ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, plane == label
            )
            for ds, plane in zip(slices, labels, strict=True)
        ]
    )


def read_places(path: Path) -> dict[int, np.ndarray]:
    """LPS mm of the voxels of every segment as highdicom reads them, by the file's own headers."""
    seg = segread(path)
    (shared,) = seg.SharedFunctionalGroupsSequence
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    found: dict[int, list[np.ndarray]] = {}
    for number, groups in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        frame = seg.get_stored_frame(number)
        for segment, mask in _masks(groups, frame):
            places = places_in(position, orientation, spacing, mask)
            found.setdefault(segment, []).append(places)
    return {segment: np.concatenate(places) for segment, places in found.items()}


def _masks(groups: Dataset, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
    if "SegmentIdentificationSequence" in groups:
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        return [(number, frame != 0)]
    return [(int(number), frame == number) for number in np.unique(frame[frame > 0])]


def assert_same_places(
    found: dict[int, np.ndarray], slices: Sequence[Dataset], labels: np.ndarray
) -> None:
    """Every label's pixels are there, each once and at its place, and nothing else is.

    :param found: LPS mm of the voxels of every segment; its number is the label.
    """
    assert sorted(found) == np.unique(labels[labels > 0]).tolist()
    for label, places in found.items():
        expected = true_places(slices, labels, label)
        distances, nearest = cKDTree(expected).query(places)
        assert distances.max() < TOLERANCE_MM
        assert sorted(nearest) == list(range(len(expected)))
