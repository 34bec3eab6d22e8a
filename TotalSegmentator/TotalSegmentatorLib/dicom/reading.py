"""A volume as an image for engines, and labels back on its original slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..images import Image, Notice, labels_on_grid, same_grid
from ..images.failures import too_large
from ..images.geometry import ijk_to_ras_from_itk
from ..images.values import to_intensities
from ..jobs.workspace import workspace
from .attributes import quiet_pydicom
from .headers import series_name
from .orders import Source, SourceSlice
from .pixels import Pixels, read_pixels
from .stacks import directions, heights
from .volumes import DicomVolume, Slice

_AIR_HU = -1024
_HIGHEST_HU = 20_000  # metal on an extended scale stays below
_INT16 = np.iinfo(np.int16)


def read_volume(volume: DicomVolume) -> tuple[Image, tuple[Notice, ...]]:
    """Read the voxels of a volume, on its regular grid.

    Slices that are missing, or lie at uneven distances, are interpolated between their neighbours.

    :return: the image as int16 or float32, all voxels finite; what people should know about it.
    :raises InputError: ``input.damaged``, ``input.not_found``, ``input.not_readable``,
        ``input.no_values``.
    :raises SetupError: ``memory.image_too_large``, ``disk.not_writable``.
    """
    name = series_name(volume.series.number)
    try:
        array = _on_grid(_intensities(volume), np.array(volume.places), volume.shape[0])
        array, notices = to_intensities(array, name)
    except MemoryError as error:
        raise too_large(name, str(error)) from error
    modality = volume.series.modality if volume.series.modality in ("CT", "MR") else ""
    return Image(array, volume.ijk_to_ras, modality), (*volume.notices, *notices)


def labels_on_slices(labels: Image, volume: DicomVolume) -> np.ndarray:
    """The labels in the pixels of the original slices: for each the one whose voxel it lies in.

    :param labels: a labelmap on any grid.
    :return: (slices, rows, columns), of the labelmap's type; 0 outside of it.
    """
    # The array of a grid does not matter, and this one takes no memory.
    grid = Image(np.broadcast_to(np.uint8(0), volume.shape), volume.ijk_to_ras)
    if same_grid(labels, grid):
        return labels.array[np.rint(volume.places).astype(int)]
    planes = [
        labels_on_grid(labels, Image(grid.array[:1], _slice_to_ras(one))).array
        for one in volume.slices
    ]
    return np.concatenate(planes)


def source_of(volume: DicomVolume) -> Source:
    """What objects that are written for a volume refer to."""
    series, first = volume.series, volume.slices[0]
    return Source(
        header=first.path,
        study_uid=series.study_uid,
        series_uid=series.uid,
        frame_of_reference_uid=series.frame_of_reference_uid,
        modality=series.modality,
        number=series.number,
        rows=first.rows,
        columns=first.columns,
        pixel_spacing=first.pixel_spacing,
        slice_spacing=float(np.median(np.diff(heights(volume.slices)))),
        slices=tuple(map(_source_slice, volume.slices)),
    )


def _source_slice(one: Slice) -> SourceSlice:
    frame = one.frame + 1 if one.frames > 1 else 0
    orientation = tuple(directions(one)[:2].ravel().tolist())  # as the grid has it
    return SourceSlice(one.sop_class, one.sop_instance, frame, one.position, orientation)


def _slice_to_ras(one: Slice) -> np.ndarray:
    """(4, 4), pixel (column, row, 0, 1) to mm RAS."""
    row_spacing, column_spacing = one.pixel_spacing
    spacing = (column_spacing, row_spacing, 1.0)
    return ijk_to_ras_from_itk(one.position, spacing, directions(one).T.ravel())


def _intensities(volume: DicomVolume) -> np.ndarray:
    """(slices, rows, columns): HU or the scanner's units, as int16 if they are whole and fit."""
    shape = (len(volume.slices), *volume.shape[1:])
    array = np.empty(shape, np.int16 if all(map(_is_whole, volume.slices)) else np.float32)
    outside = np.zeros(shape, bool)
    indices: dict[Path, list[int]] = {}
    for index, one in enumerate(volume.slices):
        indices.setdefault(one.path, []).append(index)
    with workspace() as folder, quiet_pydicom():
        for wanted in indices.values():
            pixels = read_pixels(volume.slices[wanted[0]], folder)
            for index in wanted:
                values, padding = _rescaled(pixels, volume.slices[index])
                if volume.series.modality == "CT":
                    _fill_with_air(values, padding)
                elif padding.any():
                    outside[index] = padding
                if array.dtype == np.int16 and not _fits_int16(values):
                    array = array.astype(np.float32)
                array[index] = values
    if outside.any() and not outside.all():
        array[outside] = array[~outside].min()
    return array


def _is_whole(one: Slice) -> bool:
    return one.slope % 1 == 0 and one.intercept % 1 == 0


def _rescaled(pixels: Pixels, one: Slice) -> tuple[np.ndarray, np.ndarray]:
    """The values of a slice, and which of them are padding."""
    stored = pixels.values[one.frame]
    low, high = pixels.padding
    padding = (stored >= low) & (stored <= high)
    if _is_whole(one):
        return stored.astype(np.int64) * int(one.slope) + int(one.intercept), padding
    return stored * one.slope + one.intercept, padding


def _fill_with_air(values: np.ndarray, padding: np.ndarray) -> None:
    """Only what no tissue has is believed to be padding: careless exports call 0 HU so too, which
    is water."""
    values[padding & ((values < _AIR_HU) | (values > _HIGHEST_HU))] = _AIR_HU


def _fits_int16(values: np.ndarray) -> bool:
    return bool(values.min() >= _INT16.min and values.max() <= _INT16.max)


def _on_grid(array: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """The slices 0 to *count* - 1 of the regular grid, from those at *places* on it."""
    if np.array_equal(places, np.arange(count)):
        return array
    result = np.empty((count, *array.shape[1:]), array.dtype)
    for k, plane in enumerate(result):
        after = int(np.searchsorted(places, k).clip(1, len(places) - 1))
        part = (k - places[after - 1]) / (places[after] - places[after - 1])
        mixed = (1 - part) * array[after - 1] + part * array[after]
        plane[:] = np.rint(mixed) if array.dtype.kind == "i" else mixed
    return result
