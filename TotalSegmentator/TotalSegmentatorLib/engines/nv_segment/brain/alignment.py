"""A brain moved onto a template: the affine transform with the least mean square difference.

Gauss and Newton's method needs some fifty steps from coarse to fine, with SimpleITK for the images
and twelve equations for each step. (For a brain turned by 20 degrees SimpleITK's own optimisers
were far slower, and ended 7 mm or more beside the right place.)
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ....errors import InputError
from ...contract import Reporter
from .grids import resampled, spaced_grid

# Spacing and smoothing, from coarse to fine: twelve numbers need no more detail.
_LEVELS_MM = ((8.0, 8.0), (4.0, 4.0), (2.0, 1.0))
_STEPS = 50
# A step that moves no point of a brain by more ends a level.
_STILL_MM = 0.01
_RADIUS_MM = 100.0
# Share of the steepest slope below which a voxel tells nothing.
_FLAT = 0.01
# Levenberg and Marquardt's damping: at first, and when there is nothing more to gain.
_DAMPING, _STUCK = 1e-3, 1e3
# Far below what two aligned brains of different people reach.
_LEAST_OVERLAP, _LEAST_CORRELATION = 0.8, 0.2
# Along one axis beside another; heads differ by a third.
_MOST_STRETCHED = 1.5
# As the image says, and turned by half about each axis.
_WAYS_UP = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
#: The smoothing needs four voxels of the coarsest level.
THINNEST_MM = 32


def align(template: sitk.Image, brain: sitk.Image, name: str, report: Reporter) -> sitk.Transform:
    """The affine transform from points of a template to points of a brain.

    :param template: float32 from 0 (around the brain) to 1.
    :param brain: the same of the brain.
    :param name: the template's file name for messages.
    :raises InputError: ``input.not_aligned`` if the brain does not match the template then, or
        would better do so another way up, or matches in no way that heads differ.
    :raises CancelledError: if the run was cancelled.
    """
    if min(_thickness_mm(template), _thickness_mm(brain)) < THINNEST_MM:
        raise _not_aligned(name, f"one of the images is less than {THINNEST_MM} mm thick")
    first, *finer = _LEVELS_MM
    coarse = _coarse(template, *first), _coarse(brain, *first)
    # Upside down a brain ends in a wrong place whose match may still look good.
    ways = [_refined(start, *coarse, report) for start in _starts(template, brain)]
    differences = [np.linalg.norm(_difference(*coarse, way)) for way in ways]
    transform = ways[0]
    for level in finer:
        transform = _refined(transform, _coarse(template, *level), _coarse(brain, *level), report)
    overlap, correlation = _match(template, brain, transform)
    match = f"overlap {overlap:.2f}, correlation {correlation:.2f}"
    report.log(f"The brain is aligned to the template: {match}.")
    if not (overlap >= _LEAST_OVERLAP and correlation >= _LEAST_CORRELATION):  # nor if one is NaN
        raise _not_aligned(name, match)
    if np.argmin(differences) > 0:
        raise _not_aligned(name, "it matches better another way up")
    scales = np.linalg.svd(np.reshape(transform.GetMatrix(), (3, 3)), compute_uv=False)
    if scales.max() > _MOST_STRETCHED * scales.min():
        raise _not_aligned(name, "it matches only if it is stretched a lot, as parts of a brain do")
    return transform


def _not_aligned(name: str, why: str) -> InputError:
    return InputError(
        "input.not_aligned",
        f"The brain could not be aligned to the template {name} ({why}).",
        "Check that both are T1 brains without skull and that the image's orientation is right, "
        "or leave the template out.",
    )


def _starts(template: sitk.Image, brain: sitk.Image) -> list[sitk.AffineTransform]:
    """Centre upon centre, of the brain's size, and any way up."""
    moments = sitk.CenteredTransformInitializerFilter.MOMENTS
    start = sitk.AffineTransform(
        sitk.CenteredTransformInitializer(template, brain, sitk.AffineTransform(3), moments)
    )
    scale = np.cbrt(_volume_mm3(brain) / _volume_mm3(template))
    starts = [sitk.AffineTransform(start) for _ in _WAYS_UP]
    for one, signs in zip(starts, _WAYS_UP, strict=True):
        one.SetMatrix((np.diag(signs) * scale).ravel().tolist())
    return starts


def _thickness_mm(image: sitk.Image) -> float:
    return float(np.multiply(image.GetSize(), image.GetSpacing()).min())


def _volume_mm3(brain: sitk.Image) -> float:
    count = np.count_nonzero(sitk.GetArrayViewFromImage(brain))
    return count * float(np.prod(brain.GetSpacing()))


def _coarse(brain: sitk.Image, spacing_mm: float, smoothing_mm: float) -> sitk.Image:
    coarse = resampled(brain, spaced_grid(brain, spacing_mm), sitk.Transform())
    return sitk.SmoothingRecursiveGaussian(coarse, smoothing_mm)


def _refined(
    start: sitk.AffineTransform, template: sitk.Image, brain: sitk.Image, report: Reporter
) -> sitk.AffineTransform:
    """The transform with the least mean square difference near another one."""
    # Each step asks how the template would have to move, whose slopes stay the same.
    slopes, where = _slopes(template, start.GetCenter())
    curvature = slopes.T @ slopes
    transform, damping = start, _DAMPING
    difference = _difference(template, brain, transform)
    for _ in range(_STEPS):
        report.check()
        damped = curvature + damping * np.diag(np.diag(curvature))
        step = np.linalg.solve(damped, slopes.T @ difference[where]).reshape(3, 4)
        tried = _moved(transform, step)
        new = _difference(template, brain, tried)
        if new @ new < difference @ difference:
            transform, difference, damping = tried, new, damping / 10
        else:
            damping *= 10
        shift = np.linalg.norm(step[:, 3]) + _RADIUS_MM * np.linalg.norm(step[:, :3], 2)
        if shift < _STILL_MM or damping > _STUCK:
            break
    return transform


def _slopes(template: sitk.Image, centre: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """How voxels change with the numbers of a step, and which voxels change.

    :param centre: the point about which the template moves.
    :return: (n, 12), by rows of the step; (n,) indices of the voxels in order.
    """
    gradient = sitk.GetArrayFromImage(sitk.Gradient(template, useImageDirection=True))
    steepness = np.linalg.norm(gradient, axis=3)
    kji = np.nonzero(steepness > _FLAT * steepness.max())
    axes = np.reshape(template.GetDirection(), (3, 3)) * template.GetSpacing()
    places = np.stack(kji[::-1], axis=1) @ axes.T + template.GetOrigin() - centre
    places = np.column_stack([places, np.ones(len(places))])
    slopes = gradient[kji][:, :, None] * places[:, None, :]
    return slopes.reshape(-1, 12), np.ravel_multi_index(kji, steepness.shape)


def _difference(
    template: sitk.Image, brain: sitk.Image, transform: sitk.AffineTransform
) -> np.ndarray:
    moved = sitk.GetArrayFromImage(resampled(brain, template, transform)).astype(np.float64)
    return (moved - sitk.GetArrayViewFromImage(template)).ravel()


def _moved(transform: sitk.AffineTransform, step: np.ndarray) -> sitk.AffineTransform:
    """A transform after the template was moved back by a step.

    :param step: (3, 4), about the transform's centre.
    """
    back = np.linalg.inv(np.eye(4) + np.vstack([step, np.zeros(4)]))
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    moved = sitk.AffineTransform(transform)
    moved.SetMatrix((matrix @ back[:3, :3]).ravel().tolist())
    moved.SetTranslation((matrix @ back[:3, 3] + transform.GetTranslation()).tolist())
    return moved


def _match(
    template: sitk.Image, brain: sitk.Image, transform: sitk.Transform
) -> tuple[float, float]:
    """Dice overlap of two brains, and the correlation of their intensities where both are."""
    moved = resampled(brain, template, transform, sitk.sitkNearestNeighbor)
    one, other = sitk.GetArrayViewFromImage(template), sitk.GetArrayViewFromImage(moved)
    both = (one > 0) & (other > 0)
    overlap = 2 * np.count_nonzero(both) / (np.count_nonzero(one) + np.count_nonzero(other))
    if overlap < _LEAST_OVERLAP:
        return overlap, 0.0
    return overlap, float(np.corrcoef(one[both], other[both])[0, 1])
