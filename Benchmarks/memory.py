"""The most memory that task total takes on 512 x 512 x 700 voxels of 0.8 mm, in exact mode.

The five networks compute two windows each, and give the values of the second one for all others;
everything else is done in full: reading, resampling, sums of scores, labels, writing. Beside the
measurement stands what must be held at that time by the sizes of things. Weights that are not
installed are made; see README.md.

    .venv/bin/python Benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from parts import works
from parts.application import Application

from TotalSegmentatorLib.images import read_image, write_nifti

SIZE, SPACING_MM = (512, 512, 700), 0.8
LIMIT_MB = 6000
_NETWORK_MM, _PATCH, _FEATURES, _CLASSES = 1.5, 128, 32, 27
_PARAMETERS = 31.2e6
_LAYERS = 5  # the widest block has two inputs, both joined (twice as wide), and its result
_LIBRARIES_MB = 700  # measured: an engine and an application that have imported everything


def measured_mb(folder: Path) -> float:
    """Run it on the sample CT, drawn out."""
    work = works.WORKS["total-sample"]
    weights, made = works.weights_for(work, ["exact"])
    sample, _ = read_image(works.image_file("sample"))
    grid = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    write_nifti(replace(works.resized(sample, SIZE), ijk_to_ras=grid), folder / "image.nii.gz")
    with Application(weights, Path(works.__file__).with_name("few_windows.py")) as one:
        request = work.request("exact", "cpu", made)
        one.segment(folder / "image.nii.gz", folder / "labels.nii.gz", request)
        return one.lap().peak_rss_mb


def allocations() -> list[tuple[str, float]]:
    """What is held while the last network runs, in MB, each with its reason."""
    image = math.prod(SIZE)
    edges = [round(n * SPACING_MM / _NETWORK_MM) for n in SIZE]
    seen = math.prod(edges)
    rows = _PATCH * edges[0] * edges[1]
    layer = _FEATURES * _PATCH**3 * 4
    return [
        ("image in the application, int16", 2 * image / 1e6),
        ("image in the engine, int16", 2 * image / 1e6),
        (f"image at {_NETWORK_MM} mm, int32, and normalised, float32", 8 * seen / 1e6),
        (f"sums of {_CLASSES} scores in {_PATCH} rows, half", 2 * (_CLASSES + 1) * rows / 1e6),
        ("labels so far and those of the network, uint8", 2 * seen / 1e6),
        ("five networks, float32", 5 * 4 * _PARAMETERS / 1e6),
        (
            f"four layers of {_FEATURES} features of a window, one of them twice as wide",
            5 * layer / 1e6,
        ),
        ("libraries", _LIBRARIES_MB),
    ]


def main() -> None:
    """Measure and calculate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=works.JSON_HELP)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peak = measured_mb(Path(folder))
    parts = allocations()
    lines = ["| what is held while the last network runs | MB |", "|---|---:|"]
    lines += [f"| {what} | {size:.0f} |" for what, size in parts]
    lines += [f"| together | {sum(size for _, size in parts):.0f} |"]
    lines += [f"| measured peak of the whole run | {peak:.0f} |", f"| limit | {LIMIT_MB} |"]
    rows = [{"what": what, "mb": round(size)} for what, size in [*parts, ("measured", peak)]]
    works.show(rows, "\n".join(lines), options.json)


if __name__ == "__main__":
    main()
