"""nnU-Net's normalisation of intensities, in single precision and in its order of steps."""

from __future__ import annotations

import numpy as np

from .plans import Normalisation

SMALLEST_STD = 1e-8


def normalise(array: np.ndarray, how: Normalisation, inside: np.ndarray | None) -> None:
    """Normalise in place.

    :param array: (z, y, x) float32; its strides decide the rounding of means.
    :param inside: mask of the non-zero region, only used if ``how.use_mask``.
    """
    if how.scheme == "CTNormalization":
        values = how.intensities
        np.clip(array, values["percentile_00_5"], values["percentile_99_5"], out=array)
        array -= values["mean"]
        array /= max(values["std"], SMALLEST_STD)
    elif how.scheme == "ZScoreNormalization":
        _z_score(array, inside if how.use_mask else None)
    elif how.scheme == "RescaleTo01Normalization":
        array -= array.min()
        array /= np.clip(array.max(), a_min=SMALLEST_STD, a_max=None)


def _z_score(array: np.ndarray, inside: np.ndarray | None) -> None:
    if inside is None:
        mean, std = array.mean(), array.std()
        array -= mean
        array /= max(std, SMALLEST_STD)
    else:
        chosen = array[inside]
        array[inside] = (chosen - chosen.mean()) / max(chosen.std(), SMALLEST_STD)
