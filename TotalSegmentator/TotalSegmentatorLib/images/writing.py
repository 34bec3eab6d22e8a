"""Writing images and labelmaps as NIfTI, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from . import nifti
from .image import Image
from .values import label_type


def write_nifti(image: Image, path: str | Path) -> None:
    """Write an image in its own voxel type; compressed if the name ends with .gz.

    The sform is the image's matrix. So is the qform, which is left out if the grid is sheared:
    nibabel and the official package then read the true place, ITK and Slicer refuse the file.

    :raises SetupError: ``disk.full``.
    :raises InputError: ``output.not_writable``.
    """
    nifti.write(image, Path(path))


def write_labelmap(
    image: Image,
    path: str | Path,
    names: Mapping[int, str],
    description: str = "",
    comment: str = "",
) -> None:
    """Write a labelmap as uint8 (uint16 above 255) with the names in the header.

    :param names: label value to name, where the official package's readers look for them.
    :param description: a few words for the header, e.g. a warning.
    :param comment: any text, e.g. how the labels were made; a header extension.
    :raises ValueError: if voxels are not whole numbers of 0 to 65535.
    :raises SetupError, InputError: as :func:`write_nifti`.
    """
    nifti.write(image.with_array(as_labels(image.array)), Path(path), names, description, comment)


def as_labels(array: np.ndarray) -> np.ndarray:
    """Integer voxels in the smallest label type.

    :raises ValueError: if they are not whole numbers of 0 to 65535.
    """
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if array.dtype.kind not in "iub" or low < 0 or high > np.iinfo(np.uint16).max:
        raise ValueError(f"not labels: {array.dtype}, {low} to {high}")
    return array.astype(label_type(high), copy=False)
