"""Warnings about an image before a task is run on it; the image is accepted all the same."""

from __future__ import annotations

import numpy as np

from ..images import Image, Notice

MIN_EXTENT_MM = 50.0
"""Below this an image shows too little of the body for networks that saw whole regions."""
_SAMPLED_VOXELS = 2_000_000
_AIR_HU, _MIN_AIR = -500, 0.001  # lungs and what surrounds the patient; share of all voxels
_FAT_HU, _MIN_FAT = -20, 0.001  # fat and air; share of all voxels, of which MR has next to none
_TISSUE_HU, _MIN_TISSUE = (-200, 300), 0.5  # fat to contrast; share of what is not air


def check_image(image: Image, modality: str, region: bool = False) -> tuple[Notice, ...]:
    """What people should know before they wait for a task.

    :param image: intensities.
    :param modality: what the task is for, ``CT`` or ``MR``; empty if it does not say.
    :param region: whether the image is the region that was chosen of a larger one.
    :return: notices ``input.constant``, ``input.wrong_modality``, ``input.not_hu``,
        ``input.small_extent``.
    """
    return (*_check_values(image, modality), *_check_extent(image, region))


def guess_modality(image: Image) -> str:
    """``CT`` or ``MR`` by the image's own word, else by its values; empty if they do not tell.

    CT has air near -1000 HU, and most of the rest lies between fat (-100) and organs with contrast
    agent (300). MR has hardly any negative values: those that resampling leaves at edges, and small
    ones where somebody has normalized them.
    """
    return image.modality or _modality_of_values(image)


def _modality_of_values(image: Image) -> str:
    low, high = image.array.min(), image.array.max()
    if low == high:
        return ""
    values = _sample(image.array)
    # The lowest value may be no measurement: what lies outside of a scan or of a resampled image.
    values = values[values > low] if low < 0 else values
    if np.count_nonzero(values < _FAT_HU) < _MIN_FAT * values.size:
        return "MR"
    rest = values[values >= _AIR_HU]
    air = 1 - rest.size / values.size
    tissue = np.count_nonzero((rest >= _TISSUE_HU[0]) & (rest < _TISSUE_HU[1]))
    return "CT" if air >= _MIN_AIR and tissue >= _MIN_TISSUE * rest.size else ""


def _sample(array: np.ndarray) -> np.ndarray:
    """Every n-th voxel along each axis, so many that shares are known to a thousandth."""
    step = max(1, int(np.cbrt(array.size / _SAMPLED_VOXELS)))
    return array[::step, ::step, ::step]


def _check_values(image: Image, modality: str) -> tuple[Notice, ...]:
    if image.array.min() == image.array.max():
        text = "All voxels of the image have the same value; nothing can be found in it."
        return (Notice("input.constant", text),)
    if modality == "CT":
        return _check_for_ct(image)
    if modality == "MR" and guess_modality(image) == "CT":
        text = "The task is for MR, but the image seems to be a CT; choose a task for CT."
        return (Notice("input.wrong_modality", text),)
    return ()


def _check_for_ct(image: Image) -> tuple[Notice, ...]:
    if image.modality == "MR":
        text = "The task is for CT, but the image is an MR image; choose a task for MR."
        return (Notice("input.wrong_modality", text),)
    if _modality_of_values(image) != "MR":
        return ()
    if image.modality == "CT":
        text = (
            "The CT has hardly any negative values, so it is not in Hounsfield units (air is "
            "-1000); export it again, or subtract its offset, often 1024."
        )
        return (Notice("input.not_hu", text),)
    text = (
        "The task is for CT, but the image has hardly any negative values, as CT has (air is "
        "-1000 HU); "
        "if it is an MR image, choose a task for MR."
    )
    return (Notice("input.wrong_modality", text),)


def _check_extent(image: Image, region: bool) -> tuple[Notice, ...]:
    extent = min(s * n for s, n in zip(image.spacing, image.shape_ijk, strict=True))
    if extent >= MIN_EXTENT_MM:
        return ()
    what, remedy = "image", "use the whole scan if there is one"
    if region:
        what, remedy = "region", "choose a larger one if it cuts through what you look for"
    text = (
        f"The {what} shows only {extent:.0f} mm of the body along one axis; structures that are "
        f"cut off are easily missed, so {remedy}."
    )
    return (Notice("input.small_extent", text),)
