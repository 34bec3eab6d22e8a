"""Warnings about a result: what is missing, exchanged or of an impossible size."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .. import catalog
from ..catalog.volumes import volume_range
from ..images import Image, Notice
from .sides import check_sides, check_twins
from .structures import StructureReport

_MAX_NAMES = 5
"""More structures than this are not named one by one: the cause is then a common one."""


def check_result(
    structures: Sequence[StructureReport],
    image: Image,
    requested: Collection[str] = (),
    region: bool = False,
) -> tuple[Notice, ...]:
    """Everything that looks wrong in a result; warnings only.

    :param structures: what was looked for, of all tasks that were run.
    :param image: the image that was segmented.
    :param requested: ids of the structures that were asked for by name; empty if all were.
    :param region: whether the image is the region that was chosen of a larger one.
    :return: notices ``result.empty``, or ``result.not_found``, ``result.sides``,
        ``result.one_sided`` and ``result.implausible_volume``.
    """
    return empty_notice(structures, region) or (
        *_check_requested(structures, requested, region),
        *check_sides(structures),
        *check_twins(structures, image),
        *_check_volumes(structures),
    )


def empty_notice(structures: Sequence[StructureReport], region: bool = False) -> tuple[Notice, ...]:
    """A warning if nothing was found: an empty result must not be silent."""
    if any(structure.found for structure in structures):
        return ()
    text = "No structure was found. Does the task fit the image's modality and body region?"
    if region:
        text = "No structure was found. Does the task fit the image's modality and the region?"
    return (Notice("result.empty", text),)


def _check_requested(
    structures: Sequence[StructureReport], requested: Collection[str], region: bool
) -> tuple[Notice, ...]:
    found = {structure.id for structure in structures if structure.found}
    missing = [catalog.structure(id).name for id in sorted(set(requested) - found)]
    if not missing:
        return ()
    where = "region" if region else "image's field of view"
    text = f"Asked for, but not found: {_listed(missing)}; is it in the {where}?"
    return (Notice("result.not_found", text),)


def _check_volumes(structures: Sequence[StructureReport]) -> tuple[Notice, ...]:
    """Organs that are cut off by the border (of the region) are left out: they may be any size."""
    whole = (s for s in structures if s.found and not s.touches_border)
    wrong = {s.name: notice for s in whole if (notice := _check_volume(s))}
    if len(wrong) <= _MAX_NAMES:
        return tuple(wrong.values())
    return (
        Notice(
            "result.implausible_volume",
            f"{_listed(list(wrong))} have volumes that are not plausible in adults; check the "
            "voxel spacing in the image's header, and the segments.",
        ),
    )


def _check_volume(structure: StructureReport) -> Notice | None:
    plausible = volume_range(structure.id)
    if plausible is None or plausible.low_ml <= structure.volume_ml <= plausible.high_ml:
        return None
    return Notice(
        "result.implausible_volume",
        f"{structure.name} has {structure.volume_ml:.3g} mL, where {plausible.low_ml:g} to "
        f"{plausible.high_ml:g} mL are plausible in adults; check the segment.",
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
