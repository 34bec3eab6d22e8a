"""Resampling as the official packages do it, to the last bit.

TotalSegmentator resamples images with ``scipy.ndimage.zoom`` in double precision, with the axes in
the order (i, j, k), and cuts off the fractions; labels come back by the nearest voxel. nnU-Net
resamples between the spacing of an image and that of its plans with ``skimage.transform.resize``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from scipy.ndimage import map_coordinates, zoom

from ...errors import InputError
from .geometry import Volume, box_around
from .plans import Axes, Plans, Resampling

T = TypeVar("T")
Spacing = Sequence[float]
#: Is told the share done, 0..1, and may raise, to stop.
Progress = Callable[[float], None]
_ANISOTROPIC = 3.0  # nnU-Net's ANISO_THRESHOLD: the largest spacing over the smallest
_SMOOTH_MARGIN = 3  # voxels around a structure, TotalSegmentator's CROPPED_LOGITS_RESAMPLING_MARGIN


def to_spacing(volume: Volume, spacing_mm: Spacing) -> Volume:
    """The volume at another spacing (linear); voxels become int32.

    :param spacing_mm: along i, j and k.
    """
    if np.array_equal(volume.spacing, spacing_mm):
        return volume
    factors, shape, affine = grid_at(volume, spacing_mm)
    # The steps after this one want the axes in the order (k, j, i).
    resampled = np.empty(shape[::-1], np.float64).T
    zoom(volume.array, factors, output=resampled, order=1, mode="nearest")
    return Volume(resampled.astype(np.int32), affine)


def grid_at(volume: Volume, spacing_mm: Spacing) -> tuple[np.ndarray, list[int], np.ndarray]:
    """What a volume's grid becomes at another spacing: factors, shape (I, J, K) and matrix.

    :raises InputError: ``input.too_small`` if no voxel is left.
    """
    factors = volume.spacing / np.array(spacing_mm, np.float64)
    shape = [round(n * factor) for n, factor in zip(volume.array.shape, factors, strict=True)]
    _check_not_empty(shape, spacing_mm)
    affine = volume.affine.copy()
    affine[:3, :3] /= factors
    return factors, shape, affine


def labels_to_shape(labels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Labels at another size, each voxel from the nearest one.

    :param labels: (I, J, K).
    :param shape: that of the result, which is a view of a (K, J, I) array.
    """
    result = labels.T
    for axis, (old, new) in enumerate(zip(labels.T.shape, reversed(shape), strict=True)):
        if old != new:
            # scipy tells itself which voxel it takes: the axes do not depend on one another.
            nearest = zoom(np.arange(old), new / old, order=0, mode="nearest")
            result = np.take(result, nearest, axis)
    return result.T


def shape_at(shape: Axes, spacing: Spacing, new_spacing: Spacing) -> Axes:
    """nnU-Net's size of an image at another spacing.

    :raises InputError: ``input.too_small`` if no voxel is left.
    """
    sizes = zip(spacing, new_spacing, shape, strict=True)
    z, y, x = (round(old / new * size) for old, new, size in sizes)
    _check_not_empty((z, y, x), new_spacing)
    return z, y, x


def _check_not_empty(shape: Sequence[int], spacing_mm: Spacing) -> None:
    if 0 in shape:
        thin = spacing_mm[list(shape).index(0)]
        raise InputError(
            "input.too_small",
            f"The image is too thin for this model, whose voxels are {thin:g} mm wide.",
            "Use an image that covers more of the body, or a finer model.",
        )


def resample(
    array: np.ndarray, shape: Axes, spacing: Spacing, new_spacing: Spacing, how: Resampling
) -> np.ndarray:
    """nnU-Net's resampling of one channel (z, y, x); the dtype stays."""
    if array.shape == tuple(shape):
        return array
    axis = _separate_axis(spacing, new_spacing, how.force_separate_z)
    values = array.astype(np.float64, copy=False)
    if axis is None:
        return _resized(values, shape, how.order).astype(array.dtype)
    plane = tuple(size for other, size in enumerate(shape) if other != axis)
    slices = [_resized(one, plane, how.order) for one in np.moveaxis(values, axis, 0)]
    flat = np.stack(slices, axis)
    if flat.shape != tuple(shape):
        flat = _along(flat, axis, shape[axis], how.order_z)
    return flat.astype(array.dtype)


def _resized(array: np.ndarray, shape: Sequence[int], order: int) -> np.ndarray:
    from skimage.transform import resize  # only few models need it, and it takes long to load

    return resize(array, tuple(shape), order, mode="edge", anti_aliasing=False)


def _separate_axis(spacing: Spacing, new_spacing: Spacing, force: bool | None) -> int | None:
    """The axis of low resolution that is resampled apart from the others, if there is one."""
    if force is False:
        return None
    for one in (spacing, new_spacing):
        if force or max(one) / min(one) > _ANISOTROPIC:
            (axes,) = np.nonzero(max(one) / np.array(one) == 1)
            return int(axes[0]) if len(axes) == 1 else None
    return None


def _along(array: np.ndarray, axis: int, size: int, order: int) -> np.ndarray:
    """Resample along one axis; the others stay."""
    scale = float(array.shape[axis]) / size
    where = scale * (np.arange(size) + 0.5) - 0.5
    if order == 0:
        nearest = map_coordinates(np.arange(array.shape[axis]), [where], order=0, mode="nearest")
        return np.take(array, nearest, axis)
    coordinates = [np.arange(n, dtype=np.float64) for n in array.shape]
    coordinates[axis] = where
    grid = np.array(np.meshgrid(*coordinates, indexing="ij"))
    return map_coordinates(array, grid, order=order, mode="nearest")


def labels_of_resampled(
    scores: np.ndarray, shape: Axes, spacing: Spacing, plans: Plans, progress: Progress
) -> np.ndarray:
    """The labels of scores that are first resampled from the plans' spacing to an image's.

    One channel after the other, so that only one is held at the image's size.

    :param scores: (channels, z, y, x) half.
    :param shape: of the result.
    :param spacing: of the image.
    """
    heads = plans.heads
    labels = np.zeros(shape, np.uint16 if heads.wide else np.uint8)
    channels = (
        resample(one, shape, plans.spacing, spacing, plans.logits)
        for one in _followed(scores, progress)
    )
    if heads.regions:
        for value, one in zip(heads.regions, channels, strict=True):
            labels[is_inside(one)] = value
        return labels
    best = next(channels).astype(np.float32)
    for value, one in enumerate(channels, 1):
        better = one > best  # strictly: of equal scores the first one counts
        labels[better] = value
        best[better] = one[better]
    return labels


def _followed(items: Sequence[T], progress: Progress) -> Iterator[T]:
    """The items, with the progress before each."""
    for number, one in enumerate(items):
        progress(number / len(items))
        yield one


def is_inside(scores: np.ndarray) -> np.ndarray:
    """Where a region's probability is above a half, as nnU-Net rounds it."""
    import torch

    return (torch.sigmoid(torch.from_numpy(scores).float()) > 0.5).numpy()


def smooth_labels(
    scores: np.ndarray, shape: Axes, spacing: Spacing, plans: Plans, progress: Progress
) -> np.ndarray:
    """TotalSegmentator's higher-order resampling: scores are resampled around their structure only.

    The background, or nothing for regions, is what a structure's score must exceed.

    :param scores: (channels, z, y, x) half, at the plans' spacing.
    :param shape: of the result.
    :param spacing: of the image.
    """
    heads = plans.heads
    labels = np.zeros(shape, np.uint16 if heads.wide else np.uint8)
    if heads.regions:
        for value, one in zip(heads.regions, _followed(scores, progress), strict=True):
            for place, resampled in _resampled_around(one, one > 0, shape):
                labels[place][resampled > 0] = value
        return labels
    best = resample(scores[0], shape, plans.spacing, spacing, plans.logits)
    coarse = np.argmax(scores, axis=0)
    for value in _followed(np.unique(coarse[coarse > 0]), progress):
        for place, resampled in _resampled_around(scores[value], coarse == value, shape):
            better = resampled > best[place]
            labels[place][better] = value
            best[place][better] = resampled[better]
    return labels


def _resampled_around(
    scores: np.ndarray, mask: np.ndarray, shape: Axes
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """The scores around a mask at another size, and where they belong; nothing if it is empty."""
    box = box_around(mask, (_SMOOTH_MARGIN,) * 3)
    if box is None:
        return
    old, new = np.array(mask.shape), np.array(shape)
    start, stop = np.array([(axis.start, axis.stop) for axis in box]).T
    scale = new / old
    first = np.maximum(np.floor(start * scale).astype(int), 0)
    last = np.minimum(np.ceil(stop * scale).astype(int), new)
    if (last <= first).any():
        return
    # In these types and this order (single times int64 is double): it decides the last bit.
    where = [
        (np.arange(first[a], last[a], dtype=np.float32) + 0.5) * old[a] / new[a] - 0.5 - start[a]
        for a in range(3)
    ]
    grid = np.array(np.meshgrid(*where, indexing="ij"), dtype=np.float32)
    values = map_coordinates(scores[box].astype(np.float64), grid, order=1, mode="nearest")
    yield tuple(map(slice, first, last)), values
