"""The way from a T1 image to the network's brain, and the way back for its labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ....errors import InputError
from ....images import Image, crop, labels_on_grid, read_image
from ....images.region import Box
from ...contract import Reporter
from .alignment import THINNEST_MM, align
from .grids import from_itk, placed, resampled, spaced_grid, to_itk
from .intensities import brain_values, correct_bias, normalise
from .masks import brain_mask
from .recognition import brain_alone

_SPACING_MM = 1.0
# More than the network looks at around a brain.
_MARGIN_MM = 20.0


@dataclass(frozen=True)
class BrainOptions:
    """What people give for a brain; empty texts for what they do not.

    :param mask: file with the brain's mask on the image's grid.
    :param skull_strip: command that removes the skull, see :mod:`.skull_strip`.
    :param template: file with a T1 brain without skull, onto which the image's is moved.
    """

    mask: str = ""
    skull_strip: str = ""
    template: str = ""


@dataclass(frozen=True, eq=False)
class PreparedBrain:
    """A brain for the network.

    :param image: float32 from 0 (around the brain) to 1, on the template's grid; without a
        template on a grid of 1 mm around the brain, along the image's own axes.
    :param original: the image that it was made of.
    :param ijk_to_original: (4, 4), voxel indices of ``image`` to mm RAS in ``original``; sheared
        if the template's brain has other proportions.
    """

    image: Image
    original: Image
    ijk_to_original: np.ndarray


def prepare_brain(
    image: Image, options: BrainOptions, folder: Path, report: Reporter
) -> PreparedBrain:
    """Skull stripped, without bias field, from 0 to 1, and moved onto the template.

    :param image: T1, int16 or float32, with perpendicular axes.
    :param folder: private folder for intermediate files; nothing is left in it.
    :param report: where to tell what is done; the steps are no stages of the spec.
    :raises InputError: ``input.no_brain``, ``input.not_skull_stripped``, ``input.bad_mask``,
        ``input.bad_template``, ``input.not_aligned``, ``input.bad_option``, ``input.no_values``,
        and those of files that cannot be read.
    :raises SetupError: ``environment.skull_strip_missing``, ``environment.skull_strip_failed``.
    :raises CancelledError: if the run was cancelled.
    """
    template = _read_template(Path(options.template)) if options.template else None
    with report.timed("Finding the brain"):
        mask = brain_mask(image, options.mask, options.skull_strip, folder, report)
        brain = image.with_array(brain_values(image.array, mask, "the image"))
        brain = crop(brain, _box_around(mask, image.spacing))
    with report.timed("Correcting the brightness"):
        # Turned to the same axes, however it is stored, so that the labels do not depend on that.
        itk_brain = normalise(correct_bias(sitk.DICOMOrient(to_itk(brain), "RAS")))
    if template is None:
        grid, transform = spaced_grid(itk_brain, _SPACING_MM), sitk.Transform()
        prepared = from_itk(resampled(itk_brain, grid, transform))
    else:
        with report.timed("Aligning the brain"):
            grid = normalise(to_itk(template))
            transform = align(grid, itk_brain, Path(options.template).name, report)
        moved = resampled(itk_brain, grid, transform)
        # With the matrix of the template itself, without SimpleITK's rounding.
        prepared = template.with_array(sitk.GetArrayFromImage(moved))
    return PreparedBrain(prepared, image, placed(grid, transform))


def labels_on_original(labels: Image, prepared: PreparedBrain) -> Image:
    """The labels of a prepared brain on the grid of the original image.

    Each voxel gets the label whose voxel it lies in.

    :param labels: integer voxels on the grid of ``prepared.image``.
    :raises ValueError: if their shape is another.
    """
    array = prepared.image.with_array(labels.array).array
    return labels_on_grid(Image(array, prepared.ijk_to_original), prepared.original)


def _box_around(mask: np.ndarray, spacing: tuple[float, float, float]) -> Box:
    """The mask's box with a margin, as far as the image reaches.

    :param mask: bool (K, J, I), not empty.
    :param spacing: along i, j and k.
    :raises InputError: ``input.no_brain``.
    """
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    sizes = [axis.stop - axis.start for axis in reversed(box)]
    thickness = min(np.multiply(sizes, spacing))
    if thickness < THINNEST_MM:
        raise InputError(
            "input.no_brain",
            f"The brain in the image is {thickness:.0f} mm thick, which is less than "
            f"{THINNEST_MM} mm.",
            "Give an image of the whole brain, in three dimensions.",
        )
    margins = [math.ceil(_MARGIN_MM / length) for length in reversed(spacing)]
    k, j, i = (
        slice(max(0, axis.start - more), axis.stop + more)
        for axis, more in zip(box, margins, strict=True)
    )
    return k, j, i


def _read_template(path: Path) -> Image:
    """The template, float32, 0 around the brain.

    :raises InputError: ``input.bad_template``, and those of :func:`~....images.read_image`.
    """
    template, _ = read_image(path)
    mask = brain_alone(template)
    if mask is None:
        raise InputError(
            "input.bad_template",
            f"The template {path.name} does not show a brain without skull.",
            "Give a skull-stripped T1 template in which all voxels around the brain are 0.",
        )
    return template.with_array(brain_values(template.array, mask, path.name))
