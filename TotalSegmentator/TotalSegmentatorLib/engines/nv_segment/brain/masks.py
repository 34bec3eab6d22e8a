"""Where the brain is: in a mask file, by a command, or in an image that has no skull."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....errors import InputError
from ....images import Image, block_on, read_labelmap
from ...contract import Reporter
from .recognition import LARGEST_ML, SAME_PLACE_MM, SMALLEST_ML, brain_alone, volume_ml
from .skull_strip import strip_skull


def brain_mask(
    image: Image, mask: str, skull_strip: str, folder: Path, report: Reporter
) -> np.ndarray:
    """The voxels of the brain.

    :param mask: file, or empty.
    :param skull_strip: command, or empty; used if there is no mask. With neither the image must
        have no skull.
    :param folder: private folder for intermediate files.
    :return: bool (K, J, I).
    :raises SegmentationError: see :func:`~.preparation.prepare_brain`.
    """
    if mask:
        found = _read_mask(Path(mask), image)
    elif skull_strip:
        found = strip_skull(skull_strip, image, folder, report)
    else:
        return _without_skull(image)
    volume = volume_ml(found, image)
    if not SMALLEST_ML <= volume <= LARGEST_ML:
        raise InputError(
            "input.no_brain",
            f"The brain's mask has {volume:.0f} ml, but brains have {SMALLEST_ML} to "
            f"{LARGEST_ML} ml.",
            "Check the mask, and the spacing of the image.",
        )
    return found


def _read_mask(path: Path, image: Image) -> np.ndarray:
    mask = read_labelmap(path)
    there = block_on(mask, image, SAME_PLACE_MM)  # of a region, the image is a part
    if there is None:
        raise InputError(
            "input.bad_mask",
            f"The brain mask {path.name} does not lie on the image's grid.",
            "Give a mask with the image's size, spacing and position; if the slices are slanted, "
            "give a command that removes the skull (option skull_strip).",
        )
    return there.array > 0


def _without_skull(image: Image) -> np.ndarray:
    mask = brain_alone(image)
    if mask is None:
        raise InputError(
            "input.not_skull_stripped",
            "The image does not show a brain without skull, surrounded by zeros.",
            "Give a brain mask (option brain_mask) or a command that removes the skull (option "
            "skull_strip); for an image that is prepared already, set the option prepared.",
        )
    return mask
