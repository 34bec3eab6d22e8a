"""Images to volumes: which belong together, in which order, and on which regular grid."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..errors import SegmentationError
from ..images import Notice, check_geometry
from ..images.geometry import MIN_VOXELS, ijk_to_ras_from_itk
from .headers import APART_TITLES, ImageHeader, bad_series, counted, series_name
from .volumes import DicomVolume, SeriesInfo, Slice, TooFewImages

_SAME_PLACE_MM = 0.01
_GAP_TOLERANCE = 0.01  # of the distance between slices
_GAP_TOLERANCE_MM = 0.01
_LARGEST_GAP = 2.0  # distances: one slice may be missing
_DRIFT = 0.1  # of the distance between slices
_ROUNDED_MM = 0.101  # how far positions of one decimal are off, at both ends together
_MOST_SLICES = 4  # of the grid, for each slice
_LINE_TOLERANCE_MM = 0.1
_SAME_SPACING = 1e-3
_SAME_COSINE = 1e-3
_MOST_KEYS = 3  # that split images one within the other, as echoes of phases
_LONGEST_VALUE = 40  # characters of a header in a title
_NOT_SHOWN = re.compile(r"[^A-Za-z0-9 ._+\-/]")

Stack = tuple[str, list[ImageHeader]]
"""Images with one at each place, and what sets them apart from others of the series."""


def make_volumes(
    info: SeriesInfo, headers: Sequence[ImageHeader]
) -> tuple[tuple[DicomVolume, ...], tuple[SegmentationError, ...]]:
    """The volumes that the images of a series make, the largest first.

    :param headers: images without localizers, each once.
    :return: the volumes; why other images make none.
    """
    for header in headers:
        if header.refusal and not header.image.rows:  # cut off before it says where it belongs
            return (), (header.refusal,)
    name = series_name(info.number)
    stacks: list[Stack] = []
    refusals: list[SegmentationError] = []
    groups: list[list[ImageHeader]] = []
    for group in _alike(headers):
        if refusal := next((header.refusal for header in group if header.refusal), None):
            refusals.append(refusal)
        else:
            groups.append(group)
    large = [group for group in groups if _count_places(group) >= MIN_VOXELS]
    if len(large) < len(groups):
        refusals.append(_too_few(groups, name) if not large else _mixed(name))
    for group in large:
        try:
            stacks += _stacks(group, len(large) > 1)
        except SegmentationError as error:
            refusals.append(error)
    volumes: list[DicomVolume] = []
    for title, images in _told_apart(stacks):
        try:
            volumes.append(_volume(info, images, len(volumes) + 1, title))
        except SegmentationError as error:
            refusals.append(error)
    return tuple(volumes), tuple({error.message: error for error in refusals}.values())


def _told_apart(stacks: Sequence[Stack]) -> list[Stack]:
    """The stacks with titles that differ, as those of oblique groups may not; none for one."""
    if len(stacks) == 1:
        return [("", stacks[0][1])]
    counts = Counter(title for title, _ in stacks)
    return [
        (title if counts[title] == 1 else f"{title}, stack {number}", images)
        for number, (title, images) in enumerate(stacks, 1)
    ]


def directions(one: Slice) -> np.ndarray:
    """(3, 3) LPS: row by row those of the image's rows, of its columns and of its normal.

    They are perpendicular and have the length 1, which rounded cosines of headers may miss.
    """
    row, column = np.reshape(one.orientation, (2, 3))
    normal = np.cross(row, column)
    axes = np.stack([row, np.cross(normal, row), normal])
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def heights(slices: Sequence[Slice]) -> np.ndarray:
    """Where slices lie along the normal of the first one in mm."""
    return np.array([one.position for one in slices]) @ directions(slices[0])[2]


# ---- groups ---------------------------------------------------------------------------------


def _alike(headers: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """Images of the same size, spacing, orientation and frame of reference; large groups first."""
    groups: list[list[ImageHeader]] = []
    for header in headers:
        for group in groups:
            if _is_alike(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return sorted(groups, key=len, reverse=True)


def _is_alike(a: ImageHeader, b: ImageHeader) -> bool:
    return (
        (a.image.rows, a.image.columns) == (b.image.rows, b.image.columns)
        and a.frame_of_reference_uid == b.frame_of_reference_uid
        and len(a.image.orientation) == len(b.image.orientation)
        and all(map(_is_same_spacing, a.image.pixel_spacing, b.image.pixel_spacing))
        and all(map(_is_same_cosine, a.image.orientation, b.image.orientation))
    )


def _is_same_spacing(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_SAME_SPACING)


def _is_same_cosine(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=0, abs_tol=_SAME_COSINE)


def _too_few(groups: Sequence[list[ImageHeader]], name: str) -> TooFewImages:
    slices = counted(max(map(_count_places, groups)), "slice")
    return TooFewImages(
        "input.too_small",
        f"{name} has {slices}; at least {MIN_VOXELS} are needed.",
        "Choose the whole series.",
    )


def _mixed(name: str) -> TooFewImages:
    return TooFewImages(
        "input.series_geometry",
        f"{name} has images of different size, spacing or orientation.",
        "Put each kind into a folder of its own.",
    )


def _stacks(group: list[ImageHeader], is_one_of_several: bool) -> list[Stack]:
    """The stacks of images that are alike."""
    stacks = _split(group)
    if not stacks:
        doubled = counted(_count_doubled(group), "slice")
        raise bad_series(
            f"{series_name(group[0].number)} has {doubled} at a place where there is one already.",
            "Put one phase or time point into a folder of its own.",
        )
    if not is_one_of_several:
        return stacks
    plane = _plane(group[0].image)
    return [(", ".join(filter(None, (plane, title))), images) for title, images in stacks]


def _plane(one: Slice) -> str:
    direction = ("sagittal", "coronal", "axial")[int(np.abs(directions(one)[2]).argmax())]
    return f"{direction} {one.columns} x {one.rows}"


# ---- images at the same place ---------------------------------------------------------------


def _split(group: list[ImageHeader]) -> list[Stack]:
    """Split images until there is one at each place; nothing if no header says how.

    Also where all places differ, but two phases lie between each other: best are stacks of slices
    at even distances.
    """
    keys: Sequence[int] = range(len(APART_TITLES) + 1)
    if not _is_single(group):
        return _parted(group, keys, _is_even) or _parted(group, keys, _is_single)
    if _is_even(group):  # what may still be two phases are acquisitions of CT
        keys = keys[:1] if group[0].modality == "CT" else ()
    return _parted(group, keys, _is_even) or [("", group)]


def _parted(
    group: list[ImageHeader],
    keys: Sequence[int],
    is_stack: Callable[[list[ImageHeader]], bool],
    depth: int = _MOST_KEYS,
) -> list[Stack]:
    """Stacks by what sets images apart, in the order of :data:`APART_TITLES`, and last by the order
    of their numbers; also one within the other, as in several echoes of several phases.

    :param keys: what of it is tried.
    :param is_stack: whether images need no further split.
    :param depth: how often images may still be split, as every time takes many times longer.
    """
    titles = (*APART_TITLES, "part {number}")
    for index, key in enumerate(keys if depth else ()):
        parts = _parts(group, key)
        if not _may_be_stacks(group, parts):
            continue
        stacks: list[Stack] = []
        for number, (value, part) in enumerate(parts.items(), 1):
            name = titles[key].format(value=_shown(value), number=number)
            later = keys[index + 1 :]
            inner = [("", part)] if is_stack(part) else _parted(part, later, is_stack, depth - 1)
            if not inner:
                break
            stacks += [(", ".join(filter(None, (name, title))), images) for title, images in inner]
        else:
            return stacks
    return []


def _may_be_stacks(
    group: Sequence[ImageHeader], parts: Mapping[str, Sequence[ImageHeader]]
) -> bool:
    """Whether parts are large enough; and what lies one above the other belongs together."""
    if len(parts) < 2 or min(map(len, parts.values())) < MIN_VOXELS:
        return False
    normal = directions(group[0].image)[2]
    along = [np.array([one.image.position for one in part]) @ normal for part in parts.values()]
    ranges = sorted((one.min(), one.max()) for one in along)
    return any(above[0] < below[1] + _SAME_PLACE_MM for below, above in pairwise(ranges))


def _is_single(group: Sequence[ImageHeader]) -> bool:
    return not _count_doubled(group)


def _is_even(group: Sequence[ImageHeader]) -> bool:
    """Whether slices lie at even distances, but for single ones that are missing."""
    steps = _steps(np.sort(heights([header.image for header in group])))
    return steps is not None and bool(steps.max() <= _LARGEST_GAP)


def _count_places(group: Sequence[ImageHeader]) -> int:
    return len(group) - _count_doubled(group)


def _count_doubled(group: Sequence[ImageHeader]) -> int:
    gaps = np.diff(np.sort(heights([header.image for header in group])))
    return int(np.count_nonzero(gaps < _SAME_PLACE_MM))


def _parts(group: Sequence[ImageHeader], key: int) -> dict[str, list[ImageHeader]]:
    """The images by one of their values, in the order of the values."""
    if key == len(APART_TITLES):
        return _runs(group)
    parts: dict[str, list[ImageHeader]] = {}
    for header in group:
        parts.setdefault(header.apart[key], []).append(header)
    return {value: parts[value] for value in sorted(parts, key=_order)}


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value


def _shown(value: str) -> str:
    """A value as people write it: 40, not 40.0; short, and without what only looks like text."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return _NOT_SHOWN.sub("", value.replace("\\", "/"))[:_LONGEST_VALUE]


def _runs(group: Sequence[ImageHeader]) -> dict[str, list[ImageHeader]]:
    """The images by the order of their numbers: phase after phase, or all phases of a place after
    those of another.

    None if the phases differ in their places: where single images are doubled, no order helps.
    """
    ordered = sorted(group, key=_number)
    places = np.rint(heights([header.image for header in ordered]) / _SAME_PLACE_MM).tolist()
    count = places.count(places[0])
    if _is_by_place(places, count) and len(set(map(_number, group))) == len(group):
        return {str(number): ordered[number::count] for number in range(count)}
    runs: list[dict[float, ImageHeader]] = [{}]
    for header, place in zip(ordered, places, strict=True):
        if place in runs[-1]:
            runs.append({})
        runs[-1][place] = header
    if any(run.keys() != runs[0].keys() for run in runs):
        return {}
    return {str(number): list(run.values()) for number, run in enumerate(runs)}


def _number(header: ImageHeader) -> tuple[int, int]:
    return header.instance, header.image.frame


def _is_by_place(places: Sequence[float], count: int) -> bool:
    """Whether each place comes so many times in a row, and not again."""
    firsts = places[::count]
    return len(set(firsts)) == len(firsts) and places == [p for p in firsts for _ in range(count)]


# ---- grids ----------------------------------------------------------------------------------


def _volume(
    info: SeriesInfo, headers: Sequence[ImageHeader], number: int, title: str
) -> DicomVolume:
    name = series_name(info.number)
    along = heights([header.image for header in headers])
    headers = [headers[index] for index in np.argsort(along, kind="stable")]
    slices = tuple(header.image for header in headers)
    places, step_notices = _places(np.sort(along), name)
    _check_line(slices, name)
    shape = (round(places[-1]) + 1, slices[0].rows, slices[0].columns)
    matrix = _grid(slices, shape[0])
    frame_of_reference = headers[0].frame_of_reference_uid or info.frame_of_reference_uid
    return DicomVolume(
        series=replace(info, frame_of_reference_uid=frame_of_reference),
        number=number,
        title=title,
        slices=slices,
        ijk_to_ras=matrix,
        shape=shape,
        places=tuple(places.tolist()),
        notices=(
            *step_notices,
            *_value_notices(headers, name),
            *check_geometry(matrix, shape, name),
        ),
    )


def _places(along: np.ndarray, name: str) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """The index of every slice on a regular grid from the first to the last one.

    Its distance is the usual one if all others are multiples of it, else the smallest one.

    :param along: where the slices lie along their normal in mm, ascending.
    :raises InputError: ``input.series_geometry`` if more than one slice is missing at a place.
    """
    steps = _steps(along)
    if steps is not None:
        lost = counted(int(steps.sum()) - len(steps), "slice")
        missing = f"{name} lacks {lost} inside the series"
        if steps.max() > _LARGEST_GAP:
            raise bad_series(f"{missing}.")
        places = np.concatenate([[0.0], np.cumsum(steps)])
        return places, _resampled(missing) if steps.max() > 1 else ()
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    uneven = f"{name} has slices at uneven distances, {gaps.min():.4g} to {gaps.max():.4g} mm"
    if gaps.max() > _LARGEST_GAP * (usual + max(_GAP_TOLERANCE * usual, _GAP_TOLERANCE_MM)):
        raise bad_series(f"{uneven}.")
    total = along[-1] - along[0]
    count = min(round(total / gaps.min()), _MOST_SLICES * len(along) - 1)
    return (along - along[0]) / total * count, _resampled(uneven)


def _steps(along: np.ndarray) -> np.ndarray | None:
    """How many usual distances every slice lies behind the one before; None if no whole numbers.

    Positions may be rounded, so what counts is how far slices are off the places of an even grid.

    :param along: see :func:`_places`.
    """
    gaps = np.diff(along)
    steps = np.rint(gaps / max(float(np.median(gaps)), _SAME_PLACE_MM))
    if steps.min() < 1:
        return None
    places = np.concatenate([[0.0], np.cumsum(steps)])
    step = (along[-1] - along[0]) / places[-1]
    drift = np.abs(along - along[0] - places * step).max()
    return steps if drift <= max(_DRIFT * step, _ROUNDED_MM) else None


def _resampled(what: str) -> tuple[Notice, ...]:
    return (Notice("input.resampled", f"{what}; it is interpolated for the segmentation."),)


def _check_line(slices: Sequence[Slice], name: str) -> None:
    """Refuse slices that are shifted against each other, unlike those of a tilted gantry."""
    positions = np.array([one.position for one in slices])
    along = heights(slices)
    whole = positions[-1] - positions[0]
    parts = (along - along[0]) / (along[-1] - along[0])
    off = positions - (positions[0] + parts[:, None] * whole)
    usual = float(np.linalg.norm(whole)) / (len(slices) - 1)
    if np.abs(off).max() > max(_LINE_TOLERANCE_MM, 0.1 * usual):
        raise bad_series(f"{name} has slices that are shifted against each other.")


def _grid(slices: Sequence[Slice], count: int) -> np.ndarray:
    """ijk_to_ras of a regular grid from the first to the last slice.

    Axes by DICOM PS3.3 C.7.6.2.1.1: i along a row (column spacing), j along a column (row
    spacing), k from the first position to the last one.
    """
    first, last = slices[0], slices[-1]
    row, column, _ = directions(first)
    row_spacing, column_spacing = first.pixel_spacing
    step = np.subtract(last.position, first.position) / (count - 1)
    distance = float(np.linalg.norm(step))
    axes = np.column_stack([row, column, step / distance])
    return ijk_to_ras_from_itk(
        first.position, (column_spacing, row_spacing, distance), axes.ravel()
    )


def _value_notices(headers: Sequence[ImageHeader], name: str) -> tuple[Notice, ...]:
    notices = []
    if len({(header.image.slope, header.image.intercept) for header in headers}) > 1:
        text = f"{name} has slices of different rescale; each one's own is used."
        notices.append(Notice("input.rescale", text))
    if any(header.lossy for header in headers):
        text = f"{name} was compressed with losses; small structures may suffer."
        notices.append(Notice("input.lossy", text))
    return tuple(notices)
