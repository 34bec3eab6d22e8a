"""Convolutions slab by slab: with less memory and the same rounding.

oneDNN copies what it reads and writes into an order of its own, of which slabs leave little.
"""

from __future__ import annotations

import torch
from torch.nn.functional import conv3d, conv_transpose3d, pad

from .accumulation import slabs

_ROWS = 16  # so that hardly more is computed than for the whole


def convolve(
    values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, result: torch.Tensor
) -> None:
    """A convolution that keeps the size.

    :param values: (windows, features, rows, y, z).
    :param weight: (features of the result, features, edge, edge, edge) with an odd edge.
    :param result: (windows, features of the result, rows, y, z), which is written.
    """
    _, count, height, width, _ = values.shape
    reach = weight.shape[2] // 2  # rows that it looks at on both sides
    places = slabs(count, height, width, _ROWS)
    if len(places) == 1:  # rows that are added before may lead to another algorithm
        result[:] = conv3d(values, weight, bias, padding=reach)
        return
    for slab in places:
        first, last = slab.start - reach, slab.stop + reach
        part = values[:, :, max(first, 0) : last]
        outside = (0, 0, 0, 0, max(-first, 0), max(last - height, 0))
        part = pad(part, outside) if any(outside) else part
        result[:, :, slab] = conv3d(part, weight, bias, padding=(0, reach, reach))


def enlarge(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A transposed convolution of 3 x 3 x 3 voxels that doubles the size of each axis.

    :param values: (windows, features, rows, y, z).
    :param weight: (features, features of the result, 3, 3, 3).
    """
    windows, count, height, width, length = values.shape
    result = values.new_empty(windows, weight.shape[1], 2 * height, 2 * width, 2 * length)
    for slab in slabs(count, height, width):
        part = values[:, :, slab.start : slab.stop + 1]  # its last row meets the next one
        found = conv_transpose3d(part, weight, stride=2, padding=1, output_padding=1)
        rows = slice(2 * slab.start, 2 * slab.stop)
        result[:, :, rows] = found[:, :, : rows.stop - rows.start]
    return result
