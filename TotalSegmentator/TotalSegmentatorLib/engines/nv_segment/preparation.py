"""An image as the network wants it, and its labels back on the image's grid.

The steps and their order are those of NVIDIA's bundle, done by MONAI's own transforms.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import CropForeground, Orientation, ScaleIntensityRangePercentiles

from ...errors import InputError
from ...images import Image
from ..monai_transforms import Grid, grid_of, labels_on, put_back, read, respaced
from . import SPACING_MM

# Voxels to leave around what is above zero.
_CROP = CropForeground(margin=10, allow_smaller=True)
_SCALE = ScaleIntensityRangePercentiles(1, 99, b_min=0, b_max=1, clip=True)
_TURN = Orientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the network wants it.

    :param volume: (x, y, z) float32 from 0 to 1.
    :param grid: of the volume.
    :param original: grid of the image.
    :param steps: how the volume was cropped and turned, in MONAI's notes.
    """

    volume: torch.Tensor
    grid: Grid
    original: Grid
    steps: Sequence[Mapping[str, Any]]


def prepare(image: Image, device: torch.device) -> Prepared:
    """
    :raises InputError: ``input.no_foreground``.
    """
    loaded = read(image, device)
    original = grid_of(loaded)
    volume = respaced(loaded, SPACING_MM)
    if not (volume > 0).any():
        raise InputError(
            "input.no_foreground",
            "The image has no voxel above zero, which is all that the network looks at.",
            "See whether it is the right image, and whether a CT is in HU.",
        )
    volume = _TURN(_SCALE(_CROP(volume)))
    voxels = volume.as_tensor()[0].contiguous()
    return Prepared(voxels, grid_of(volume), original, list(volume.applied_operations))


def on_image(labels: torch.Tensor, prepared: Prepared, image: Image) -> Image:
    """The way back, exactly onto the image's grid.

    :param labels: (x, y, z) on the grid of the prepared volume, of any integer type.
    :param image: of which the grid matters only.
    """
    affine = torch.from_numpy(prepared.grid.affine)
    steps = copy.deepcopy(list(prepared.steps))  # they are used up
    found = MetaTensor(labels[None], affine=affine, applied_operations=steps)
    found = _CROP.inverse(_TURN.inverse(found))
    # From where MONAI's inverse says that the voxels are: its rounding decides at ties.
    return put_back(labels_on(found.as_tensor()[0], grid_of(found), prepared.original), image)
