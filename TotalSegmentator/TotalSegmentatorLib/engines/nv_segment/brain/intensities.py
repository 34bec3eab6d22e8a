"""A brain's intensities: without bias field, from 0 to 1."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from ....errors import InputError

_BRIGHTEST_PERCENT = 99.9
# Bias fields change slowly: finer voxels would only take time.
_BIAS_SPACING_MM = 4.0
# N4 works on logarithms, and those of nearly nothing would take most bins of its histogram.
_DARKEST = 0.05


def brain_values(array: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
    """The brain's voxels, none of them negative, and 0 around it; float32.

    :param array: intensities (K, J, I).
    :param mask: bool (K, J, I), not empty.
    :param name: what the image is called in messages.
    :raises InputError: ``input.no_values``.
    """
    inside = array[mask].astype(np.float32)
    lowest, highest = inside.min(), inside.max()
    what = ""
    if not np.isfinite(inside).all():
        what = f"Some voxels of the brain in {name} have no finite value."
    elif lowest == highest:
        what = f"All voxels of the brain in {name} have the same value."
    if what:
        raise InputError("input.no_values", what, "Give a T1 image, and the mask that fits it.")
    values = np.zeros(array.shape, np.float32)
    values[mask] = inside - min(lowest, 0)
    return values


def correct_bias(brain: sitk.Image) -> sitk.Image:
    """A brain without the slow changes of brightness that coils make (N4).

    :param brain: float32, 0 around the brain, not negative.
    """
    bright = brain > _DARKEST * _brightest(brain)
    factors = [
        min(math.ceil(_BIAS_SPACING_MM / spacing), size)
        for spacing, size in zip(brain.GetSpacing(), brain.GetSize(), strict=True)
    ]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)  # sums of several threads would differ between computers
    n4.Execute(sitk.Shrink(brain, factors), sitk.Shrink(bright, factors))
    return brain / sitk.Exp(n4.GetLogBiasFieldAsImage(brain))


def normalise(brain: sitk.Image) -> sitk.Image:
    """A brain from 0 to 1, which is the 99.9th percentile of its voxels.

    The network's authors first scale the peak of the white matter to 110; as this division takes
    back every factor, that peak need not be found.

    :param brain: float32, 0 around the brain, not negative.
    """
    return sitk.Clamp(brain / _brightest(brain), sitk.sitkFloat32, 0.0, 1.0)


def _brightest(brain: sitk.Image) -> float:
    array = sitk.GetArrayViewFromImage(brain)
    return float(np.percentile(array[array > 0], _BRIGHTEST_PERCENT))
