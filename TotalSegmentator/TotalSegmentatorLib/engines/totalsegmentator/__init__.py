"""The official TotalSegmentator package, called through its Python API."""

from ..contract import EngineSpec, Option

START, PREDICT, WRITE = "Loading TotalSegmentator", "Running the network", "Writing the labels"

SPEC = EngineSpec(
    name="totalsegmentator",
    title="TotalSegmentator",
    description="The official TotalSegmentator package with its own models.",
    options=(
        Option(
            "robust_crop",
            False,
            "Robust cropping",
            "Find the region to crop to with the 3 mm model instead of the 6 mm one.",
        ),
        Option(
            "higher_order_resampling",
            False,
            "Higher-order resampling",
            "Smoother borders: resample the network's scores instead of the labels. Slower.",
        ),
        Option(
            "remove_small_blobs",
            False,
            "Remove small blobs",
            "Remove separate pieces of a structure that are too small to be real.",
        ),
        Option(
            "force_split",
            False,
            "Process in three parts",
            "Cut the image into three parts along the body: less memory for large images.",
        ),
        Option(
            "body_seg",
            False,
            "Crop to the body first",
            "Leave out the air around the body: less memory and time for large images.",
        ),
    ),
    stages=((START, 0.15), (PREDICT, 0.8), (WRITE, 0.05)),
)
