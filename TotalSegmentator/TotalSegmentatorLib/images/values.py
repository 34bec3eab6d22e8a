"""Voxel values: the few types that the house works with."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .image import Notice

_AIR_HU = -1024
_INT16 = np.iinfo(np.int16)
_LARGEST_EXACT_FLOAT32 = 1 << 24


def to_intensities(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """Intensities as int16 where they fit, else float32, all of them finite.

    NaN and infinities become -1024 (air) if any value is negative, as in CT, and else 0.

    :param array: any real type.
    :raises InputError: ``input.value_range`` (integers that float32 cannot hold),
        ``input.no_values`` (nothing is finite).
    """
    if array.dtype.kind in "iub":
        return _narrowed(array, name), ()
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    count = int(array.size - np.count_nonzero(finite))
    if count == 0:
        return array, ()
    if count == array.size:
        raise InputError(
            "input.no_values",
            f"{name} has no voxel with a value.",
            "Export the image again from its source.",
        )
    fill = _AIR_HU if array[finite].min() < 0 else 0
    text = f"{count} voxels of {name} have no finite value and are taken as {fill}."
    return np.where(finite, array, np.float32(fill)), (Notice("input.nonfinite", text),)


def to_labels(array: np.ndarray, name: str) -> np.ndarray:
    """Labels as uint8 where they fit, else uint16.

    :raises InputError: ``input.not_a_labelmap`` if values are not whole numbers of 0 to 65535.
    """
    if array.dtype == np.uint8:  # there is nothing to look for, and large ones take a while
        return array
    whole = array.dtype.kind in "iub" or bool(np.array_equal(array, np.rint(array)))
    low, high = array.min(), array.max()
    if not whole or low < 0 or high > np.iinfo(np.uint16).max:
        raise InputError(
            "input.not_a_labelmap",
            f"{name} has values that are not labels (whole numbers of 0 to 65535).",
            "Choose a labelmap.",
        )
    return array.astype(label_type(int(high)), copy=False)


def label_type(largest: int) -> np.dtype:
    """uint8, or uint16 for label values above 255."""
    return np.dtype(np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16)


def _narrowed(array: np.ndarray, name: str) -> np.ndarray:
    low, high = int(array.min()), int(array.max())
    if low >= _INT16.min and high <= _INT16.max:
        return array.astype(np.int16, copy=False)
    if max(-low, high) > _LARGEST_EXACT_FLOAT32:
        raise InputError(
            "input.value_range",
            f"{name} has values from {low} to {high}, which are no intensities.",
            "Check the export; CT values lie between -1024 and about 3000 HU.",
        )
    return array.astype(np.float32)
