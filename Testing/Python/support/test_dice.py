"""The Dice helper of the tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dice import dice, mean_dice

A = np.array([[0, 1, 1, 1], [2, 2, 0, 0]], dtype=np.uint8)
B = np.array([[0, 1, 1, 0], [3, 3, 0, 0]], dtype=np.uint16)


def test_values() -> None:
    values = dice(A, B, [1, 2, 9])
    assert values[1] == pytest.approx(4 / 5)
    assert values[2] == 0
    assert math.isnan(values[9])
    assert mean_dice(values) == pytest.approx(0.4)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        dice(A, B[:1], [1])
