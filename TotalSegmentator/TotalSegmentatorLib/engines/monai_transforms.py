"""Images as MONAI's transforms want them, and labels back on the grid of the image.

MONAI's own transforms are used but for resampling: it would hold 56 bytes for each voxel, which for
labels on a CT of 512 x 512 x 397 voxels is 6 GB. Here it is done in slabs, with MONAI's arithmetic
and PyTorch's sampling, so that the values are the same bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import AFFINE_TOL, affine_to_spacing, compute_shape_offset, zoom_affine
from monai.networks.utils import to_norm_affine
from monai.transforms import Orientation
from torch import set_num_threads  # by its own name: see devices.cpu_threads()
from torch.nn.functional import grid_sample

from ..images import Image

_RAS = (("L", "R"), ("P", "A"), ("I", "S"))
_POINTS_AT_ONCE = 1 << 20  # of a slab, each of which takes 64 bytes


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie.

    :param shape: (x, y, z).
    :param affine: (4, 4) float64, voxel indices to mm RAS.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray


def read(image: Image, device: torch.device) -> MetaTensor:
    """An image as MONAI's ``LoadImage`` and ``EnsureChannelFirst`` give it.

    :return: (1, x, y, z) float32.
    """
    values = torch.from_numpy(image.array.astype(np.float32)).permute(2, 1, 0)[None]
    return MetaTensor(values.to(device), affine=torch.tensor(np.array(image.ijk_to_ras)))


def grid_of(volume: MetaTensor) -> Grid:
    """
    :param volume: (1, x, y, z).
    """
    _, x, y, z = volume.shape
    return Grid((x, y, z), volume.affine.numpy().copy())


def to_ras(volume: MetaTensor) -> MetaTensor:
    """With axes and directions as close to RAS as permuting and flipping can bring them.

    :param volume: (1, x, y, z).
    """
    return Orientation("RAS", labels=_RAS)(volume)


def from_ras(labels: torch.Tensor, present: Grid, onto: Grid) -> torch.Tensor:
    """Undo :func:`to_ras` for labels.

    :param labels: (x, y, z), of any type.
    :param present: their grid: that of what :func:`to_ras` gave.
    :param onto: grid of the result: that of what :func:`to_ras` was given.
    """
    codes = nibabel.aff2axcodes(onto.affine, labels=_RAS)
    turned = MetaTensor(labels[None], affine=torch.from_numpy(present.affine))
    return Orientation("".join(codes), labels=_RAS)(turned).as_tensor()[0]


def respaced(volume: MetaTensor, spacing: float) -> MetaTensor:
    """The same as MONAI's ``Spacing``, linear, but for what that notes for its inverse.

    :param volume: (1, x, y, z) float32.
    :param spacing: of the result in mm, the same along all axes.
    """
    before = grid_of(volume)
    wanted = np.full(3, float(spacing))
    present = affine_to_spacing(before.affine)
    kept = (wanted - AFFINE_TOL <= present) & (present <= wanted + AFFINE_TOL)
    affine = zoom_affine(before.affine, np.where(kept, present, wanted), diagonal=False)
    shape, affine[:3, 3] = compute_shape_offset(before.shape, before.affine, affine)
    x, y, z = (int(size) for size in shape)
    after = Grid((x, y, z), affine)
    change = _change(before, after)
    if change is None:
        return volume
    values = _sampled(volume.as_tensor()[0], after.shape, change, "bilinear")
    # As MONAI notes it, with the rounding of the product: the way back starts from there.
    return MetaTensor(values[None], affine=torch.from_numpy(before.affine) @ change)


def labels_on(labels: torch.Tensor, present: Grid, onto: Grid) -> torch.Tensor:
    """Labels on another grid: the same as the inverse of MONAI's ``Spacing`` with nearest voxels.

    :param labels: (x, y, z), of any integer type.
    :param present: grid of the labels: that of what :func:`respaced` gave.
    :param onto: grid of the result: that of what :func:`respaced` was given.
    """
    change = _change(present, onto)
    return labels if change is None else _sampled(labels, onto.shape, change, "nearest")


def put_back(labels: torch.Tensor, image: Image) -> Image:
    """
    :param labels: (x, y, z) on the image's grid.
    """
    return image.with_array(np.ascontiguousarray(labels.cpu().numpy().T))


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block means are rounded as in the process that loads MONAI's data: it has one thread,
    and the rounding depends on their number."""
    before = torch.get_num_threads()
    set_num_threads(1)
    try:
        yield
    finally:
        set_num_threads(before)


def _change(before: Grid, after: Grid) -> torch.Tensor | None:
    """Voxel indices of one grid to those of another one before it, (4, 4) float64; None if MONAI
    takes them for the same."""
    matrix = np.linalg.solve(before.affine, after.affine)
    matrix[3] = 0, 0, 0, 1
    same_place = np.allclose(before.affine, after.affine, atol=AFFINE_TOL)
    unchanged = same_place or np.allclose(matrix, np.eye(4), atol=AFFINE_TOL)
    return None if unchanged and before.shape == after.shape else torch.from_numpy(matrix)


def _sampled(
    values: torch.Tensor, shape: tuple[int, int, int], change: torch.Tensor, mode: str
) -> torch.Tensor:
    """Values (x, y, z) at the voxels of a grid, of the type that they have."""
    # Apple's GPUs know no double precision.
    device = torch.device("cpu") if values.device.type == "mps" else values.device
    theta = to_norm_affine(change[None], values.shape, shape)[0, :3]
    theta = theta[[2, 1, 0]][:, [2, 1, 0, 3]].to(device)  # PyTorch names the last axis first
    x, y, z = (_positions(size, device) for size in shape)
    source = values.to(device).double()[None, None]  # in this order: see above
    result = torch.empty(shape, dtype=values.dtype, device=values.device)
    rows = max(1, _POINTS_AT_ONCE // (shape[1] * shape[2]))
    for first in range(0, shape[0], rows):
        slab = slice(first, min(first + rows, shape[0]))
        count = slab.stop - first
        points = x.new_ones((count, shape[1], shape[2], 4))
        points[..., 0] = z
        points[..., 1] = y[:, None]
        points[..., 2] = x[slab, None, None]
        places = torch.bmm(points.view(1, -1, 4), theta.T[None]).view(count, 1, *shape[1:], 3)
        # Each row is an image of a batch: only those are sampled in parallel.
        found = grid_sample(
            source.expand(count, -1, -1, -1, -1),
            places,
            mode=mode,
            padding_mode="border",
            align_corners=False,
        )
        result[slab] = found[:, 0, 0].to(values.dtype)
    return result


def _positions(size: int, device: torch.device) -> torch.Tensor:
    """The middles of so many voxels between -1 and 1, as in PyTorch's ``affine_grid``."""
    if size == 1:
        return torch.zeros(1, dtype=torch.float64, device=device)
    return torch.linspace(-1, 1, size, dtype=torch.float64, device=device) * (size - 1) / size
