"""What lies in a polygon."""

from __future__ import annotations

import numpy as np


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres are in a polygon, by counting the lines to their left.

    :param polygon: (points, 2) row and column, the last point is followed by the first.
    :return: bool of the given shape (rows, columns).
    """
    row, column = np.indices(shape)[:, None]
    begin, end = polygon, np.roll(polygon, -1, axis=0)
    leads_down = begin[:, 0] != end[:, 0]
    (y0, x0), (y1, x1) = begin[leads_down].T[..., None, None], end[leads_down].T[..., None, None]
    beside = (row >= np.minimum(y0, y1)) & (row < np.maximum(y0, y1))
    right = column > x0 + (row - y0) * (x1 - x0) / (y1 - y0)
    return (beside & right).sum(axis=0) % 2 == 1
