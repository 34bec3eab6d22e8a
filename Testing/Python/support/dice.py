"""Agreement of two labelmaps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def dice(a: np.ndarray, b: np.ndarray, labels: Iterable[int]) -> dict[int, float]:
    """Dice coefficient of every label; NaN for a label that is in neither labelmap.

    Dice = 2 |A and B| / (|A| + |B|), Dice, Ecology 26 (1945).

    :param a: labelmap of any shape, non-negative integers.
    :param b: labelmap on the same grid and with the same values.
    :raises ValueError: if the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"labelmaps of shapes {a.shape} and {b.shape} cannot be compared")
    wanted = [int(label) for label in labels]
    size = max([int(a.max(initial=0)), int(b.max(initial=0)), *wanted]) + 1
    both = np.bincount(a[a == b].ravel(), minlength=size)
    total = np.bincount(a.ravel(), minlength=size) + np.bincount(b.ravel(), minlength=size)
    return {
        label: 2 * int(both[label]) / int(total[label]) if total[label] else float("nan")
        for label in wanted
    }


def mean_dice(values: dict[int, float]) -> float:
    """Mean over the labels that are in at least one of the labelmaps."""
    return float(np.nanmean(list(values.values())))
