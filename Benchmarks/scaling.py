"""How our engine's time and memory grow with the image, and what a second thread brings.

Task total --fast, exact and warm, on the sample CT (122 x 101 x 112 voxels of 3 mm) and on two and
four of it, one above the other. Weights that are not installed are made; see README.md.

    .venv/bin/python Benchmarks/scaling.py --json scaling.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from parts import works
from parts.application import Application
from parts.process_tree import Usage

from TotalSegmentatorLib.images import read_image, write_nifti

TIMES = (1, 2, 4)
WORK = works.WORKS["fast-sample"]


def stacked(path: Path, times: int, target: Path) -> None:
    """An image several times, every other one upside down, so that slices fit together."""
    image, _ = read_image(path)
    parts = [image.array[:: -1 if number % 2 else 1] for number in range(times)]
    write_nifti(replace(image, array=np.concatenate(parts)), target)


def measure(threads: int, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each size of the image.

    :param folder: with the images, ``1.nii.gz`` and so on.
    """
    weights, made = works.weights_for(WORK, ["exact"])
    request = WORK.request("exact", "cpu", made)
    request = replace(request, options={**request.options, "threads": threads})
    labels = folder / "labels.nii.gz"
    rows = []
    with Application(weights) as one:
        one.segment(works.part(folder / "1.nii.gz"), labels, request)
        for times in TIMES:
            used: list[Usage] = []
            for _ in range(repeats):
                one.lap()
                one.segment(folder / f"{times}.nii.gz", labels, request)
                used.append(one.lap())
                print(f"{threads} threads, x{times}: {used[-1]}", file=sys.stderr)
            row: dict[str, Any] = {"threads": threads, "volume": times}
            for name in ("wall_s", "cpu_s", "peak_rss_mb"):
                row[name] = round(statistics.median(getattr(usage, name) for usage in used), 2)
            rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as Markdown; each time also as a multiple of that of the single image."""
    lines = ["| threads | volume | wall s | times | CPU s | peak MB |"]
    lines.append("|---:|---:|---:|---:|---:|---:|")
    single = {row["threads"]: row["wall_s"] for row in rows if row["volume"] == 1}
    for row in rows:
        times = row["wall_s"] / single[row["threads"]]
        lines.append(
            f"| {row['threads']} | x{row['volume']} | {row['wall_s']:.1f} | {times:.1f} "
            f"| {row['cpu_s']:.1f} | {row['peak_rss_mb']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure with each number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case (default 3)")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=works.JSON_HELP)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for times in TIMES:
            stacked(works.image_file("sample"), times, folder / f"{times}.nii.gz")
        rows = [row for n in options.threads for row in measure(n, options.repeats, folder)]
    works.show(rows, table(rows), options.json)


if __name__ == "__main__":
    main()
