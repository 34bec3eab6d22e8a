"""What is done with the labels of a task after its networks: pieces, vertebrae, the outside.

The rules and their numbers are those of TotalSegmentator 2.18 (``nnUNet_predict_image`` in its
``nnunet.py``, and ``postprocessing.py``), and so are the roundings: a limit in voxels is a float32,
and the spacing is that of a NIfTI header.

All arrays are (I, J, K), in any memory order; labels are uint8 and are changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import cc3d
import numpy as np
import torch
from scipy import ndimage

from ... import catalog
from ...catalog import Task
from . import on_device
from .geometry import box_around
from .merging import look_up

_MIN_EXTREMITY_MM3 = 50000
_MIN_VERTEBRA_MM3 = 100
# The networks learned vertebrae that were shrunk by this, so that neighbours do not touch.
_VERTEBRA_MARGIN_MM = 3
_REFINED_VERTEBRA_MARGIN_MM = 2
_HEART = ("heart", "aorta", "inferior_vena_cava")
_HEART_MARGIN_MM = 10


def after_prediction(
    task: Task,
    labels: np.ndarray,
    spacing: np.ndarray,
    device: torch.device,
    small_blobs_mm3: float = 0.0,
) -> None:
    """What follows the networks, on their grid and in canonical axes.

    :param labels: all labels of the task.
    :param spacing: (3,) float32, mm.
    :param device: where pieces are looked for.
    :param small_blobs_mm3: pieces of any structure up to this volume are removed; 0: none.
    """
    step = _AFTER_PREDICTION.get(task.id)
    if step:
        step(task, labels, spacing, device)
    if small_blobs_mm3:
        remove_small(labels, task.labels, small_blobs_mm3 / np.prod(spacing), device)


def after_upsampling(
    task: Task, labels: np.ndarray, spacing: np.ndarray, others: Mapping[str, np.ndarray]
) -> None:
    """What follows when the labels are back on the grid of the image.

    :param labels: all labels of the task.
    :param spacing: (3,) float32, mm.
    :param others: labels of other tasks on the same grid, by the ids of these: of the rough
        segmentation of ``task.crop``, and of ``task.prerequisites``.
    """
    step = _AFTER_UPSAMPLING.get(task.id)
    if step:
        step(task, labels, spacing, others)


def keep_largest(labels: np.ndarray, value: int, device: torch.device) -> None:
    """Keep only the largest piece of a structure; of equal ones, the first along I, then J, K."""
    if device.type == "cuda":
        on_gpu = on_device.to_device(labels, device)
        on_device.keep_largest(on_gpu, value)
        labels[...] = on_gpu.cpu().numpy()
        return
    pieces, sizes = _pieces(labels, [value])
    sizes[0] = 0
    largest = np.flatnonzero(sizes == sizes.max())
    kept = np.zeros(len(sizes), bool)
    kept[[0, min(largest, key=lambda piece: np.argmax(pieces == piece))]] = True
    labels *= look_up(kept, pieces)


def remove_small(
    labels: np.ndarray, values: Iterable[int], voxels: float, device: torch.device
) -> None:
    """Remove the small pieces of some structures.

    :param voxels: the largest number of voxels that is small.
    """
    if device.type == "cuda":
        on_gpu = on_device.to_device(labels, device)
        on_device.remove_small(on_gpu, values, voxels)
        labels[...] = on_gpu.cpu().numpy()
        return
    pieces, sizes = _pieces(labels, values)
    kept = sizes > voxels
    kept[0] = True
    labels *= look_up(kept, pieces)


def _clean_body(task: Task, labels: np.ndarray, spacing: np.ndarray, device: torch.device) -> None:
    """One trunk, and no extremities that are too small to be any."""
    keep_largest(labels, _value(task, "body_trunc"), device)
    small = _MIN_EXTREMITY_MM3 / np.prod(spacing)
    remove_small(labels, [_value(task, "body_extremities")], small, device)


def _separate_vertebrae(
    task: Task, labels: np.ndarray, spacing: np.ndarray, device: torch.device
) -> None:
    """Give every vertebra a label of its own, and its true size.

    The network finds vertebrae that do not touch each other. If labels do, they are wrong.
    """
    box = box_around(labels)
    if box is None:
        return
    found = labels[box]
    if _touch(found):
        found[...] = _counted_anew(task, found, np.prod(spacing))
    _grow(labels, task.labels, spacing, _VERTEBRA_MARGIN_MM)


def _refine_vertebrae(
    task: Task, labels: np.ndarray, spacing: np.ndarray, others: Mapping[str, np.ndarray]
) -> None:
    """Let the vertebrae end where another network saw the bodies of all vertebrae end."""
    bodies = catalog.task("vertebrae_body")
    _grow(labels, task.labels, spacing, _REFINED_VERTEBRA_MARGIN_MM)
    labels *= others[bodies.id] == _value(bodies, "vertebrae_body")


def _remove_outside_of_heart(
    task: Task, labels: np.ndarray, spacing: np.ndarray, others: Mapping[str, np.ndarray]
) -> None:
    """Remove what is farther from the rough heart and its vessels than a margin.

    The margin is a number of steps from voxel to voxel, of the mean size of a voxel. If that is no
    step, scipy dilates the mask until nothing changes: everything is inside.
    """
    rough = catalog.task("total")
    heart = _membership(_value(rough, name) for name in _HEART)
    steps = int(_HEART_MARGIN_MM / np.mean(spacing))
    near = box_around(labels, [steps or max(labels.shape)] * 3)
    if near is None:
        return
    mask = look_up(heart, others[rough.id][near])
    labels[near] *= ndimage.binary_dilation(mask, iterations=steps)


_AFTER_PREDICTION: Mapping[str, Callable[[Task, np.ndarray, np.ndarray, torch.device], None]] = {
    "body": _clean_body,
    "vertebrae_pp": _separate_vertebrae,
    "vertebrae_pp_refined": _separate_vertebrae,
}
_AFTER_UPSAMPLING: Mapping[
    str, Callable[[Task, np.ndarray, np.ndarray, Mapping[str, np.ndarray]], None]
] = {
    "vertebrae_pp_refined": _refine_vertebrae,
    "heartchambers_highres": _remove_outside_of_heart,
}


def _pieces(labels: np.ndarray, values: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Connected pieces of some structures: voxels share a face and a label.

    :returns: the number of the piece of each voxel, 0 for what is not among the structures, and the
        number of voxels of each piece, int64.
    """
    chosen = labels * look_up(_membership(values), labels)
    pieces = cc3d.connected_components(chosen, connectivity=6)
    sizes = cc3d.statistics(pieces, no_slice_conversion=True)["voxel_counts"]
    return pieces, sizes.astype(np.int64)


def _value(task: Task, name: str) -> int:
    return next(value for value, other in task.labels.items() if other == name)


def _membership(values: Iterable[int]) -> np.ndarray:
    """Which of all uint8 values are among some: (256,) bool."""
    return np.isin(np.arange(256), list(values))


def _wider(box: tuple[slice, ...], margins: Iterable[int]) -> tuple[slice, ...]:
    """A box with margins on both sides; it may reach over the end of an array."""
    return tuple(
        slice(max(side.start - margin, 0), side.stop + margin)
        for side, margin in zip(box, margins, strict=True)
    )


def _touch(labels: np.ndarray) -> bool:
    """Whether voxels of different labels have a face in common."""
    for axis in range(labels.ndim):
        along = np.moveaxis(labels, axis, 0)
        one, other = along[:-1], along[1:]
        if ((one != other) & (np.minimum(one, other) > 0)).any():
            return True
    return False


def _counted_anew(task: Task, labels: np.ndarray, voxel_mm3: np.floating) -> np.ndarray:
    """Labels by the order of the connected pieces along the last axis, which points up.

    The counting begins on top if C1, the first label, was found, and not L5, the last one. Else it
    begins at the bottom, with the lowest vertebra that was found. (The package fails if there is
    one piece only.)
    """
    pieces, _ = ndimage.label(labels)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    bodies = np.flatnonzero(sizes * voxel_mm3 >= _MIN_VERTEBRA_MM3)
    table = np.zeros(len(sizes), np.uint8)
    present = set(labels[np.isin(pieces, bodies)].tolist()) & set(task.labels)
    if present:
        first, last = min(task.labels), max(task.labels)
        from_top = first in present and last not in present
        heights = np.array(ndimage.center_of_mass(pieces > 0, pieces, bodies))[:, 2]
        order = np.argsort(-heights if from_top else heights, kind="stable")
        values = range(first, last + 1) if from_top else range(max(present), first - 1, -1)
        for piece, value in zip(bodies[order], values, strict=False):
            table[piece] = value
    return table[pieces]


def _grow(labels: np.ndarray, values: Iterable[int], spacing: np.ndarray, margin_mm: float) -> None:
    """Let structures grow into the background; where two meet, the lower label wins.

    :param margin_mm: half axis of the ellipsoid of voxels around every voxel.
    """
    radii = margin_mm / spacing
    margins = [int(radius) for radius in np.ceil(radii)]
    whole = box_around(labels, margins)
    if whole is None:
        return
    near = labels[whole]
    ball = _ellipsoid(radii)
    boxes = ndimage.find_objects(near, max_label=max(values))
    for value in sorted(values):
        box = boxes[value - 1]
        if box:
            around = near[_wider(box, margins)]
            grown = ndimage.binary_dilation(around == value, structure=ball)
            around[grown & (around == 0)] = value


def _ellipsoid(radii: np.ndarray) -> np.ndarray:
    """The voxels in an ellipsoid around the origin, as the package lays them out.

    Voxels are counted from the lower end, so that the ellipsoid is not quite symmetric.

    :param radii: (3,) float32, half axes in voxels.
    """
    # float32 throughout: at an ellipsoid's border other roundings give other voxels.
    places = [np.arange(np.ceil(r + 1 + r), dtype=np.float32) - r for r in radii]
    x, y, z = ((place * place) / (r * r) for place, r in zip(places, radii, strict=True))
    return x[:, None, None] + y[:, None] + z <= 1
