"""Left and right of a result: exchanged sides, and one of two organs missing."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..catalog.structures import side
from ..catalog.volumes import volume_range
from ..images import Image, Notice
from .structures import StructureReport

_TWINS = {"kidney": "kidney", "lung": "lung", "hip": "hip bone", "femur": "femur"}
"""Stem and name of what is paired and large: when one is seen, the other is seen too."""
_RIGHT_OF = (
    ("liver", "spleen"),
    ("liver", "stomach"),
    ("inferior_vena_cava", "aorta"),
)
"""Single organs of which the first lies to the right of the second in nearly everybody."""
_MIN_ML = 0.5  # smaller ones may be a few stray voxels
_MARGIN_MM = 5.0
_LUNG_LOBES = ("lung_upper_lobe", "lung_middle_lobe", "lung_lower_lobe")


def check_sides(structures: Sequence[StructureReport]) -> tuple[Notice, ...]:
    """``result.sides`` if what is called right lies left of what is called left.

    If it is so for most pairs, or for the organs that lie on one side, the image is mirrored: its
    header is wrong, or the organs are (situs inversus, one in about ten thousand).
    """
    found = {s.id: s for s in structures if s.found and s.volume_ml >= _MIN_ML}
    pairs = [
        (found[right], found[left])
        for right, left in _pairs(found)
        if right in found and left in found
    ]
    organs = [(found[a], found[b]) for a, b in _RIGHT_OF if a in found and b in found]
    exchanged = [pair for pair in pairs if _is_exchanged(*pair)]
    wrong_organs = [pair for pair in organs if _is_exchanged(*pair)]
    if len(exchanged) + len(wrong_organs) > 1 and (
        2 * len(exchanged) > len(pairs) or 2 * len(wrong_organs) > len(organs)
    ):
        first, second = (*exchanged, *wrong_organs)[0]
        return (
            Notice(
                "result.sides",
                f"The image seems to be mirrored: {_named(first)} lies to the left of "
                f"{_named(second)}; check the orientation in its header.",
            ),
        )
    return tuple(
        Notice(
            "result.sides",
            f"{right.name} lies to the left of {_named(left)}; check both segments.",
        )
        for right, left in exchanged
    )


def _pairs(ids: Iterable[str]) -> list[tuple[str, str]]:
    """(right, left) ids of which the right one is among the ids; the left one need not be."""
    return [(id, _other_side(id)) for id in ids if side(id) == "right"]


def _other_side(id: str) -> str:
    other = {"left": "right", "right": "left"}
    return "_".join(other.get(word, word) for word in id.split("_"))


def _is_exchanged(right: StructureReport, left: StructureReport) -> bool:
    if right.centroid_ras is None or left.centroid_ras is None:
        return False
    return right.centroid_ras[0] < left.centroid_ras[0] - _MARGIN_MM


def _named(structure: StructureReport) -> str:
    """Its name inside a sentence."""
    return f"the {structure.name[0].lower()}{structure.name[1:]}"


@dataclass(frozen=True)
class _Twin:
    """One of two organs, perhaps made of several structures (the lobes of a lung)."""

    parts: tuple[StructureReport, ...]

    @property
    def found(self) -> bool:
        return any(part.found for part in self.parts)

    @property
    def is_large(self) -> bool:
        """Whether it has at least the smallest plausible volume of its parts together."""
        ranges = [volume_range(part.id) for part in self.parts]
        low = sum(range_.low_ml for range_ in ranges if range_)
        return 0 < low <= sum(part.volume_ml for part in self.parts)

    def box_ras(self, image: Image) -> np.ndarray:
        """(8 n, 3): corners of the bounding boxes of the n parts found, mm RAS."""
        boxes = [part.bbox_ijk for part in self.parts if part.bbox_ijk is not None]
        corners = [corner for box in boxes for corner in itertools.product(*box)]
        return np.array(corners) @ image.ijk_to_ras[:3, :3].T + image.ijk_to_ras[:3, 3]


def check_twins(structures: Sequence[StructureReport], image: Image) -> tuple[Notice, ...]:
    """``result.one_sided`` if a large paired organ was found on one side only, though the other
    side is in the image.

    The place of the missing one is the mirror image of the other's bounding box, about the middle
    of the body: that of the pairs and of the spine that were found. Without these nothing is said.
    """
    middle = _middle_mm(structures)
    if middle is None:
        return ()
    notices = []
    for stem in _TWINS:
        twins = {where: _twin(structures, stem, where) for where in ("left", "right")}
        for where, other in (("left", "right"), ("right", "left")):
            seen, missing = twins[where], twins[other]
            if not missing.parts or missing.found or not seen.is_large:
                continue
            if _is_inside(_mirrored(seen.box_ras(image), middle), image):
                notices.append(_one_sided(stem, where, other))
    return tuple(notices)


def _one_sided(stem: str, where: str, other: str) -> Notice:
    return Notice(
        "result.one_sided",
        f"The {where} {_TWINS[stem]} was found, but not the {other} one, though its place is in "
        "the image; was it removed, or missed?",
    )


def _twin(structures: Iterable[StructureReport], stem: str, where: str) -> _Twin:
    ids = _twin_ids(stem, where)
    return _Twin(tuple(s for s in structures if s.id in ids))


def _twin_ids(stem: str, where: str) -> Collection[str]:
    stems = (stem, *_LUNG_LOBES) if stem == "lung" else (stem,)
    return {f"{name}_{where}" for name in stems}


def _middle_mm(structures: Sequence[StructureReport]) -> float | None:
    """The body's middle plane: median right-left position of spine and pairs, mm RAS."""
    found: Mapping[str, float] = {
        s.id: s.centroid_ras[0] for s in structures if s.centroid_ras is not None
    }
    places = [x for id, x in found.items() if id.startswith(("vertebrae_", "sacrum", "spinal"))]
    places += [
        (found[right] + found[left]) / 2
        for right, left in _pairs(found)
        if left in found and not right.startswith("lung_")
    ]
    return float(np.median(places)) if places else None


def _mirrored(points: np.ndarray, middle: float) -> np.ndarray:
    return points * (-1, 1, 1) + (2 * middle, 0, 0)


def _is_inside(points: np.ndarray, image: Image) -> bool:
    """Whether all points (n, 3), mm RAS, lie in the image, to within a voxel."""
    ras_to_ijk = np.linalg.inv(image.ijk_to_ras)
    indices = points @ ras_to_ijk[:3, :3].T + ras_to_ijk[:3, 3]
    return bool((indices >= -1).all() and (indices <= image.shape_ijk).all())
