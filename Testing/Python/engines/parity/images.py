"""Small images of many geometries and intensities, cut out of the sample CT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from TotalSegmentatorLib.catalog import Task
from TotalSegmentatorLib.images import Image, read_image, write_nifti

_CORNER_KJI, _SHAPE_KJI = (3, 32, 36), (24, 36, 40)


def fitting_spacing(task: Task) -> float:
    """mm at which a small image has not too many voxels for the task's finest model."""
    finest = min(
        min(model.spacing_mm or (1.5,)) for models in task.speeds.values() for model in models
    )
    return 3.0 if finest >= 1.4 else 1.5 if finest > 0.65 else 1.0


class Images:
    """Makes images when they are first asked for.

    :param folder: where they are written.
    :param sample: the small sample CT.
    """

    def __init__(self, folder: Path, sample: Path) -> None:
        self._folder = folder
        self._sample = sample
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, spacing: float) -> Path:
        """
        :param name: one of :data:`NAMES`.
        :param spacing: mm along all axes, or along the finest.
        """
        path = self._folder / f"{name}-{spacing:g}.nii"
        if not path.exists():
            whole, _ = read_image(self._sample)
            write_nifti(whole if name == "sample" else _MAKERS[name](_cut(whole, spacing)), path)
        return path


def _cut(whole: Image, spacing: float) -> Image:
    box = tuple(slice(c, c + n) for c, n in zip(_CORNER_KJI, _SHAPE_KJI, strict=True))
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = -80.25, 31.5, 12.125
    return Image(whole.array[box].astype(np.int16), matrix)


def _with_columns(image: Image, columns: np.ndarray) -> Image:
    matrix = image.ijk_to_ras @ np.pad(columns, (0, 1))
    matrix[:3, 3] = image.ijk_to_ras[:3, 3]
    return Image(image.array, matrix)


def _rotation(degrees: float, axes: tuple[int, int]) -> np.ndarray:
    turned, (a, b), angle = np.eye(3), axes, np.radians(degrees)
    turned[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return turned


def _plain(image: Image) -> Image:
    return image


def _oblique(image: Image) -> Image:
    turn = _rotation(17.0, (0, 1)) @ _rotation(-11.0, (1, 2))
    matrix = image.ijk_to_ras.copy()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    return Image(image.array, matrix)


def _left_handed(image: Image) -> Image:
    return _with_columns(image, np.diag([-1.0, 1, 1]))


def _prone(image: Image) -> Image:
    return _with_columns(image, np.diag([-1.0, -1, 1]))


def _upside_down(image: Image) -> Image:
    return _with_columns(image, np.diag([1.0, -1, -1]))


def _permuted(image: Image) -> Image:
    """Sagittal slices: i runs to anterior, j upwards, k to the left."""
    order = np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]])
    return _with_columns(Image(image.array.transpose(2, 0, 1).copy(), image.ijk_to_ras), order)


def _oblique_permuted(image: Image) -> Image:
    return _oblique(_permuted(image))


def _anisotropic(image: Image) -> Image:
    """Slices 4.3 times as far from each other as voxels within them."""
    return _with_columns(Image(image.array[::2], image.ijk_to_ras), np.diag([0.7, 0.7, 3.0]))


def _uneven(image: Image) -> Image:
    """Spacings that binary numbers cannot hold."""
    return _with_columns(image, np.diag([0.7, 0.81, 1.1]))


def _real_values(image: Image) -> Image:
    """As an MR image: not integer, with zeros around."""
    array = np.clip(image.array.astype(np.float32) + 300, 0, None) * np.float32(0.7371)
    return Image(array, image.ijk_to_ras)


def _thin(image: Image) -> Image:
    return Image(image.array[10:15], image.ijk_to_ras)


def _margins(image: Image) -> Image:
    """Zeros around on some sides, which nnU-Net cuts away."""
    return Image(np.pad(image.array, ((3, 0), (5, 4), (0, 7))), image.ijk_to_ras)


def _air(image: Image) -> Image:
    return Image(np.full_like(image.array, -1000), image.ijk_to_ras)


def _high(image: Image) -> Image:
    """Long enough along the body to be cut into three parts."""
    mirrored = np.concatenate([image.array, image.array[::-1]] * 2)
    return Image(mirrored, image.ijk_to_ras)


def _task_spacing(spacing: tuple[float, float, float]) -> Callable[[Image], Image]:
    def make(image: Image) -> Image:
        matrix = image.ijk_to_ras.copy()
        matrix[:3, :3] = np.diag(spacing)
        return Image(image.array, matrix)

    return make


_MAKERS: dict[str, Callable[[Image], Image]] = {
    "plain": _plain,
    "oblique": _oblique,
    "left_handed": _left_handed,
    "prone": _prone,
    "upside_down": _upside_down,
    "permuted": _permuted,
    "oblique_permuted": _oblique_permuted,
    "anisotropic": _anisotropic,
    "uneven": _uneven,
    "real_values": _real_values,
    "thin": _thin,
    "margins": _margins,
    "air": _air,
    "high": _high,
    "spacing_1.5": _task_spacing((1.5, 1.5, 1.5)),
    "spacing_fine": _task_spacing((0.75, 0.75, 1.0)),
}
NAMES = tuple(_MAKERS)
