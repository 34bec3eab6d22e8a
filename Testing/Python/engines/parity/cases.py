"""The cases in which the fast engine and the official package must agree: what is run on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engines.parity.images import NAMES
from SampleData.made_plans import KINDS

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Task
from TotalSegmentatorLib.jobs.request import OptionValue

Options = Mapping[str, OptionValue]
_NO_OPTIONS: Options = {}
_OPTIONS: tuple[Options, ...] = (
    {"robust_crop": True},
    {"higher_order_resampling": True},
    {"remove_small_blobs": True},
    {"remove_small_blobs": True, "small_blobs_mm3": 1000.0},
    {"body_seg": True},
    {"higher_order_resampling": True, "remove_small_blobs": True, "robust_crop": True},
)
_SPLIT: Options = {"force_split": True}  # the package fails on images that are not high enough
# One of each way through the pipeline.
_WAYS = (
    ("total", "fast"),
    ("total", "normal"),
    ("total_mr", "normal"),
    ("body", "normal"),
    ("liver_vessels", "normal"),
    ("heartchambers_highres", "normal"),
    ("liver_segments", "normal"),
    ("headneck_muscles", "normal"),
    ("kidney_cysts", "normal"),
    ("vertebrae_pp_refined", "normal"),
)
_SUBSETS = (
    ("total", "normal", ("liver", "kidney_left")),
    ("total", "fast", ("brain", "skull", "colon")),
    ("total", "normal", ("vertebrae_L1", "heart", "rib_left_4")),
    ("total_v3", "normal", ("spleen",)),
    ("total_mr", "normal", ("liver", "femur_left")),
    ("breasts", "normal", ("breast",)),
    ("tissue_types", "normal", ("torso_fat",)),
)


@dataclass(frozen=True)
class Case:
    """One run on one image.

    :param image: one of :data:`~engines.parity.images.NAMES`, or ``sample``.
    :param kind: one kind of plans for the task's own models; empty: for each that
        which stands for it.
    """

    task: str
    speed: str = "normal"
    image: str = "plain"
    options: Options = field(default_factory=dict, hash=False)
    structures: tuple[str, ...] = ()
    kind: str = ""

    @property
    def id(self) -> str:
        """A name for files."""
        given = [f"{name}={value}" for name, value in self.options.items()]
        parts = [self.task, self.speed, self.image, self.kind, *given, *self.structures]
        return "-".join(part for part in parts if part)


def official_tasks() -> tuple[Task, ...]:
    """The tasks of the official package."""
    return tuple(task for task in catalog.tasks() if "totalsegmentator" in task.engines)


def quick_cases() -> list[Case]:
    """Every task once, each on another image, and every kind of plans and option once."""
    images = [name for name in NAMES if name not in ("air", "high")]
    cases = [
        Case(task.id, image=images[number % len(images)])
        for number, task in enumerate(official_tasks())
    ]
    cases += [Case("trunk_cavities", image="oblique_permuted", kind=kind) for kind in KINDS]
    cases += [Case("total", "fast", options=options) for options in _OPTIONS]
    cases += [Case("total", structures=("liver", "heart")), Case("liver_vessels", image="air")]
    cases += [Case("total", "fast", "high", _SPLIT)]
    return cases


def long_cases() -> list[Case]:
    """Every way on every image, every kind of plans on some, every option on every way."""
    return list({case.id: case for case in (*quick_cases(), *_long_cases())}.values())


def _long_cases() -> Iterator[Case]:
    for number, task in enumerate(official_tasks()):
        for speed in task.speeds:
            for step in (3, 7):
                yield Case(task.id, speed, NAMES[(number + step) % len(NAMES)])
    for image in (*NAMES, "sample"):
        for speed in ("fast", "fastest"):
            yield Case("total", speed, image)
        yield Case("body", "fast", image)
    for image in NAMES:
        for task in ("liver_vessels", "kidney_cysts", "heartchambers_highres"):
            yield Case(task, image=image)
        yield Case("total", image=image, structures=("liver", "heart"))
    for task, speed in _WAYS:
        for options in _OPTIONS:
            for image in ("plain", "oblique"):
                yield Case(task, speed, image, options)
    for task in ("total", "body", "total_mr", "breasts"):
        for options in (_SPLIT, {**_SPLIT, "higher_order_resampling": True}):
            yield Case(task, image="high", options=options)
    for task in ("teeth", "heartchambers_highres", "total"):  # nothing to crop to
        yield Case(task, image="air", options={"body_seg": True})
    for task, speed, structures in _SUBSETS:
        for options in (_NO_OPTIONS, *_OPTIONS[:2], _OPTIONS[-1]):
            yield Case(task, speed, "left_handed", options, structures)
    for kind in KINDS:
        for image in ("margins", "real_values", "anisotropic"):
            yield Case("trunk_cavities", image=image, kind=kind)
            yield Case("vertebrae_mr", image=image, kind=kind)
        yield Case("trunk_cavities", image="uneven", options=_OPTIONS[1], kind=kind)
        yield Case("vertebrae_mr", image="oblique", options=_OPTIONS[1], kind=kind)
