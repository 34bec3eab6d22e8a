"""Steps before and after the network on the network's device, so that voxels stay on a GPU.

Each has a twin in this folder that runs on the CPU and is exact. These run on any device, and the
tests run them on the CPU. Apple's GPUs have no double precision: there a voxel may differ by 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from .geometry import Volume, to_ras
from .normalisation import SMALLEST_STD
from .plans import Normalisation, Plans
from .prediction import Prepared, data_box
from .resampling import Spacing, grid_at, resample, shape_at
from .windows import padding

_PLANES_AT_ONCE = 32  # of a resampled volume: enough work for a GPU, in little memory


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The values of an array on a device, in a type that PyTorch computes with there.

    :param array: any shape and strides.
    """
    if array.dtype == np.uint16:  # PyTorch computes little with it
        array = array.astype(np.int32)
    if array.dtype == np.float64 and device.type == "mps":
        array = array.astype(np.float32)
    if any(step < 0 for step in array.strides):  # PyTorch has no such views
        array = array.copy()
    return torch.from_numpy(array).to(device)


def _real(device: torch.device) -> torch.dtype:
    """The most precise numbers that a device has."""
    return torch.float32 if device.type == "mps" else torch.float64


def zoom_linear(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """What ``scipy.ndimage.zoom`` with ``order=1, mode="nearest"`` gives, fractions cut off.

    In double precision the steps and their order are scipy's, so that the voxels are the same.

    :param volume: (I, J, K), integers or numbers.
    :param shape: of the result.
    :returns: int32.
    """
    real = _real(volume.device)
    steps = zip(volume.shape, shape, strict=True)
    along_i, along_j, along_k = (_neighbours(old, new, volume.device) for old, new in steps)
    result = torch.empty(tuple(shape), dtype=torch.int32, device=volume.device)
    for first in range(0, shape[0], _PLANES_AT_ONCE):
        planes = slice(first, first + _PLANES_AT_ONCE)
        total = torch.zeros(result[planes].shape, dtype=real, device=volume.device)
        for i, share_i in along_i:
            rows = volume.index_select(0, i[planes])
            for j, share_j in along_j:
                lines = rows.index_select(1, j)
                for k, share_k in along_k:
                    corner = lines.index_select(2, k).to(real)
                    total += corner * share_i[planes, None, None] * share_j[:, None] * share_k
        result[planes] = total.to(torch.int32)
    return result


def _neighbours(
    old: int, new: int, device: torch.device
) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """The two voxels between which each new one lies on an axis, and the share of each.

    :returns: twice (indices (new,), shares (new,)).
    """
    where = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 1.0)
    before = np.floor(where)
    share = 1 - (where - before)
    pairs = ((before, share), (np.minimum(before + 1, old - 1), 1 - share))
    return tuple(
        (
            torch.from_numpy(index.astype(np.int64)).to(device),
            torch.from_numpy(share).to(_real(device)).to(device),
        )
        for index, share in pairs
    )


def to_spacing(volume: Volume, spacing_mm: Spacing, device: torch.device) -> Volume:
    """:func:`.resampling.to_spacing` on a device, where the voxels stay."""
    if np.array_equal(volume.spacing, spacing_mm):
        return volume
    _, shape, affine = grid_at(volume, spacing_mm)
    return Volume(zoom_linear(to_device(volume.array, device), shape), affine)


def prepare(volume: Volume, plans: Plans, device: torch.device) -> Prepared:
    """:func:`.prediction.prepare` on a device.

    Only images at another spacing than the plans' pass the CPU, where nnU-Net's resampling is.

    :param volume: of RAS axes if :func:`to_spacing` has made it, as the tasks' volumes are there.
    """
    array = volume.array
    if isinstance(array, np.ndarray):
        array = to_device((to_ras(volume) if plans.reorients else volume).array, device)
    whole = array.permute(2, 1, 0).permute(plans.forward).to(torch.float32, copy=True)
    z, y, x = (float(volume.spacing[::-1][axis]) for axis in plans.forward)
    nonzero = whole != 0
    box = data_box(nonzero)
    data = whole[box]
    inside = fill_holes(nonzero)[box] if plans.normalisation.use_mask else None
    normalise(data, plans.normalisation, inside)
    shape = shape_at(data.shape, (z, y, x), plans.spacing)
    if shape != tuple(data.shape):
        values = data.cpu().numpy()
        data = to_device(resample(values, shape, (z, y, x), plans.spacing, plans.data), device)
    pads = padding(shape, plans.patch)
    inner = tuple(slice(p[0], p[0] + size) for p, size in zip(pads, shape, strict=True))
    padded = torch.nn.functional.pad(data, [n for pair in reversed(pads) for n in pair])
    return Prepared(padded, inner, box, tuple(whole.shape), (z, y, x))


def normalise(volume: torch.Tensor, how: Normalisation, inside: torch.Tensor | None) -> None:
    """Normalise in place.

    :param volume: (z, y, x) float32.
    :param inside: mask of the non-zero region, only used if ``how.use_mask``.
    """
    if how.scheme == "CTNormalization":
        values = how.intensities
        volume.clamp_(values["percentile_00_5"], values["percentile_99_5"])
        volume -= values["mean"]
        volume /= _on_device(max(values["std"], SMALLEST_STD), volume)
    elif how.scheme == "ZScoreNormalization":
        if how.use_mask and inside is not None:
            volume[inside] = _z_score(volume[inside])
        else:
            volume.copy_(_z_score(volume))
    elif how.scheme == "RescaleTo01Normalization":
        volume -= volume.min()
        volume /= volume.max().clamp(min=SMALLEST_STD)


def _on_device(value: float, like: torch.Tensor) -> torch.Tensor:
    """A number to divide by: by one on the host CUDA would multiply with its reciprocal."""
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def _z_score(values: torch.Tensor) -> torch.Tensor:
    real = _real(values.device)
    mean = values.mean(dtype=real)
    std = (values - mean).square().mean(dtype=real).sqrt().clamp(min=SMALLEST_STD)
    return (values - mean.to(values.dtype)) / std.to(values.dtype)


def find_pieces(labels: torch.Tensor) -> torch.Tensor:
    """Number the pieces of a label map: voxels of equal label that touch with a face.

    For a mask the numbers are those of ``scipy.ndimage.label``.

    :param labels: (I, J, K), 0 is no piece.
    :returns: int32; numbers from 1 in the order of the pieces' first voxels, i slowest.
    """
    begins = labels != 0  # where a row of equal labels along k begins
    begins[..., 1:] &= labels[..., 1:] != labels[..., :-1]
    # The number of the row that a voxel is in, from 1; after a row it goes on until the next one.
    row = begins.flatten().cumsum(0, dtype=torch.int32).view(labels.shape)
    one, other = _touching_rows(labels, begins, row)
    # Each row points to an earlier one of its piece; those that point to themselves are roots.
    root = torch.arange(int(row[-1, -1, -1]) + 1, device=labels.device)
    while len(one):
        # Of roots that touch, each is hung on the first of those before it.
        root.scatter_reduce_(0, torch.maximum(one, other), torch.minimum(one, other), "amin")
        while not torch.equal(further := root[root], root):
            root = further
        one, other = root[one], root[other]
        apart = one != other
        one, other = one[apart], other[apart]
    numbers = torch.unique(root, return_inverse=True)[1].int()
    return numbers[row] * (labels != 0)


def _touching_rows(
    labels: torch.Tensor, begins: torch.Tensor, row: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs of rows with the same label that touch, int64."""
    pairs = []
    for axis in (0, 1):
        before, after = (
            [one.narrow(axis, first, labels.shape[axis] - 1) for one in (labels, begins, row)]
            for first in (0, 1)
        )
        # Where two rows begin to touch, one of them begins.
        touch = (before[0] == after[0]) & (before[0] != 0) & (before[1] | after[1])
        pairs.append((before[2][touch], after[2][touch]))
    one, other = (torch.cat(side).long() for side in zip(*pairs, strict=True))
    return one, other


def keep_largest(labels: torch.Tensor, value: int) -> None:
    """Keep only the largest piece of a label; of equal ones the first, i slowest. In place."""
    pieces = find_pieces(labels == value)
    sizes = torch.bincount(pieces.flatten())
    sizes[0] = 0
    largest = (sizes == sizes.max()).nonzero()[0]
    labels[(pieces != 0) & (pieces != largest)] = 0


def remove_small(labels: torch.Tensor, values: Iterable[int], voxels: float) -> None:
    """Remove the small pieces of some labels, in place.

    :param labels: uint8.
    :param voxels: the largest number of voxels that is small.
    """
    chosen = torch.zeros(256, dtype=torch.bool, device=labels.device)
    chosen[list(values)] = True
    pieces = find_pieces(labels * chosen[labels.int()])
    small = torch.bincount(pieces.flatten()) <= voxels
    small[0] = False  # what is not among the labels
    labels[small[pieces]] = 0


def fill_holes(mask: torch.Tensor) -> torch.Tensor:
    """The mask with all that no path from face to face leads into from outside."""
    pieces = find_pieces(~mask)
    outside = torch.zeros(int(pieces.max()) + 1, dtype=torch.bool, device=mask.device)
    for axis, size in enumerate(mask.shape):
        for edge in (0, size - 1):
            outside[pieces.select(axis, edge)] = True
    return mask | ~outside[pieces]
