"""The official TotalSegmentator package, called through its Python API."""

from collections.abc import Mapping
from typing import Any

from ...errors import InputError
from ...jobs import Request
from ..contract import THREADS, Costs, EngineSpec, Lighter, Option

START, PREDICT, WRITE = "Loading TotalSegmentator", "Running the network", "Writing the labels"
_SMALL_BLOBS_MM3 = 200.0  # the package's own default

#: Settings of the tasks themselves, whichever engine runs them.
TASK_OPTIONS = (
    Option(
        "robust_crop",
        False,
        "Robust cropping",
        "Find the region to crop to with the 3 mm model instead of the 6 mm one.",
        scope="task",
    ),
    Option(
        "higher_order_resampling",
        False,
        "Higher-order resampling",
        "Smoother borders: resample the network's scores instead of the labels. Slower.",
        scope="task",
    ),
    Option(
        "remove_small_blobs",
        False,
        "Remove small blobs",
        "Remove separate pieces of a structure that are too small to be real.",
        scope="task",
    ),
    Option(
        "small_blobs_mm3",
        _SMALL_BLOBS_MM3,
        "Small blobs are below (mm3)",
        "Volume in mm3 below which pieces are removed, if small blobs are.",
        minimum=1.0,
        maximum=1e6,
        scope="task",
    ),
    Option(
        "force_split",
        False,
        "Process in three parts",
        "Cut the image into three parts along the body: less memory for large images.",
        scope="task",
    ),
    Option(
        "body_seg",
        False,
        "Crop to the body first",
        "Leave out the air around the body: less memory and time for large images.",
        scope="task",
    ),
)

SPEC = EngineSpec(
    name="totalsegmentator",
    title="TotalSegmentator",
    description="The official TotalSegmentator package with its own models.",
    costs=Costs(
        start_s=6.0,
        network_s=7.3,
        patch_voxel_s=9e-6,
        score_s=26e-9,
        image_voxel_s=88e-9,
        own_bytes=2.6e9,
        score_bytes=4.7,
        layered=False,
        image_voxel_bytes=8.0,
    ),
    options=(*TASK_OPTIONS, THREADS),
    stages=((START, 0.15), (PREDICT, 0.8), (WRITE, 0.05)),
    # As the package's command line does, unless it is to write one file of labels.
    derived={"body": ("body", "skin")},
    lighter=(Lighter({"force_split": True}, "in three parts (option force_split)"),),
)


def check(request: Request) -> None:
    """A size of blobs without their removal would do nothing.

    :raises InputError: ``input.bad_option``.
    """
    options = request.options
    given = options.get("small_blobs_mm3", _SMALL_BLOBS_MM3) != _SMALL_BLOBS_MM3
    if given and not options.get("remove_small_blobs"):
        raise InputError(
            "input.bad_option",
            "Option small_blobs_mm3 is given, but small blobs are not removed.",
            "Give the option remove_small_blobs, too.",
        )


def official_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's options as arguments of the package's API function."""
    arguments = {k: v for k, v in options.items() if k not in ("threads", "small_blobs_mm3")}
    if options["remove_small_blobs"]:
        arguments["remove_small_blobs"] = options["small_blobs_mm3"]
    # More than one thread for resampling makes the package start processes for a single image.
    return {**arguments, "nr_thr_resamp": 1, "nr_thr_saving": 1}
