"""The image: an array and where it lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Notice:
    """A warning for people about an input that was accepted.

    :param code: stable, dotted, e.g. ``input.nonfinite``.
    :param message: one sentence, with numbers where there are some.
    """

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar 3D image; also a labelmap, if its voxels are integers.

    Compared by identity: arrays have no single truth value. Compare grids with
    :func:`~TotalSegmentatorLib.images.geometry.same_grid`.

    :param array: voxels, shape (K, J, I): the order of Slicer and SimpleITK.
    :param ijk_to_ras: (4, 4) float64, maps voxel indices (i, j, k, 1) to mm RAS.
    :param modality: ``CT`` or ``MR``; empty if the source does not say.
    :raises ValueError: if a shape is wrong (a programming error, not a bad input).
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    modality: str = ""

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if self.array.ndim != 3:
            raise ValueError(f"an image has 3 dimensions, not {self.array.ndim}")
        if matrix.shape != (4, 4):
            raise ValueError(f"ijk_to_ras is a 4 x 4 matrix, not {matrix.shape}")
        matrix.flags.writeable = False
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Voxels along i, j and k: the array's shape the other way round."""
        nk, nj, ni = self.array.shape
        return ni, nj, nk

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along i, j and k in mm."""
        si, sj, sk = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(si), float(sj), float(sk)

    @property
    def directions(self) -> np.ndarray:
        """(3, 3): the columns are the unit vectors of i, j and k in RAS."""
        return self.ijk_to_ras[:3, :3] / np.asarray(self.spacing)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3]))) / 1000.0

    def with_array(self, array: np.ndarray) -> Image:
        """Other voxels on the same grid, e.g. the labelmap of an image.

        :raises ValueError: if the shape differs.
        """
        if array.shape != self.array.shape:
            raise ValueError(f"shape {array.shape} is not the grid's {self.array.shape}")
        return replace(self, array=array)
