"""How long it takes to make 117 surfaces, and for how long nothing else can happen meanwhile.

Compares the library's SurfaceBuilder, whose steps a timer calls, with Slicer's own
CreateClosedSurfaceRepresentation, which is one call. Each way runs in a process of its own on bare
slicer-core (extra "headless"), so views are not part of it. The labels are boxes, and in the middle
an ellipsoid of half the image's length, as large as a liver in a whole-body image. After Slicer's
own way the surfaces of both are compared.

    python Benchmarks/surfaces.py --json surfaces.json
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from parts import ways
from segmentation_import import STRUCTURES
from segmentation_import import make_labels as make_boxes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "TotalSegmentator"))

MIDDLE = 63
METHODS = {
    "builder": "`SurfaceBuilder`",
    "slicer": "`CreateClosedSurfaceRepresentation`",
}


def make_labels(size: tuple[int, int, int]) -> np.ndarray:
    """117 structures, (K, J, I) uint8."""
    labels = make_boxes(size)
    k, j, i = np.ogrid[tuple(slice(-2, 2, complex(n)) for n in size[::-1])]
    labels[k**2 + j**2 + i**2 < 1] = MIDDLE
    return labels


def measure(method: str, size: tuple[int, int, int]) -> dict[str, Any]:
    """Run one way in this process: seconds in all and of the longest step."""
    from TotalSegmentatorLib.images import Image, Layer, SegmentRecord
    from TotalSegmentatorLib.scene import import_layers
    from TotalSegmentatorLib.scene.headless import HeadlessApplication

    labels = Image(make_labels(size), np.diag([-0.8, -0.8, 1.0, 1.0]))
    records = [SegmentRecord(f"s{n}", f"S {n}", n, (n, n, n)) for n in range(1, STRUCTURES + 1)]
    application = HeadlessApplication()
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    import_layers([Layer(labels, tuple(records))], node)
    steps = _builder_steps(node) if method == "builder" else _slicer_steps(node)
    result = {"method": method, "seconds": sum(steps), "longest_s": max(steps)}
    result["longest_ten_s"] = sorted(steps, reverse=True)[:10]
    if method == "slicer":
        result |= _compare(node)
    return result


def _builder_steps(node: Any) -> list[float]:
    """Seconds of each call; the first takes the builder's start with it, the last its end."""
    from TotalSegmentatorLib.scene import SurfaceBuilder

    steps = []
    start = time.perf_counter()
    builder = SurfaceBuilder(node)
    while not builder.done:
        builder.step()
        steps.append(time.perf_counter() - start)
        start = time.perf_counter()
    builder.finish()
    return [*steps, time.perf_counter() - start]


def _slicer_steps(node: Any) -> list[float]:
    start = time.perf_counter()
    node.CreateClosedSurfaceRepresentation()
    return [time.perf_counter() - start]


def _compare(node: Any) -> dict[str, Any]:
    """The surfaces of a node beside those that the library makes."""
    from TotalSegmentatorLib.scene import SurfaceBuilder, surface_meshes

    theirs = surface_meshes(node)
    node.GetSegmentation().RemoveRepresentation("Closed surface")
    builder = SurfaceBuilder(node)
    while not builder.done:
        builder.step()
    ours = surface_meshes(node, surfaces=builder.surfaces)
    pairs = list(zip(ours, theirs, strict=True))
    if any(a.triangles.shape != b.triangles.shape for a, b in pairs):
        raise RuntimeError("the surfaces have other triangles than Slicer's")
    return {
        "surfaces": len(pairs),
        "largest_difference_mm": max(float(np.abs(a.points - b.points).max()) for a, b in pairs),
        "same_triangles": all(np.array_equal(a.triangles, b.triangles) for a, b in pairs),
    }


def table(results: list[dict[str, Any]], size: tuple[int, int, int]) -> str:
    """The results as Markdown."""
    rows = [
        f"{STRUCTURES} structures, {' x '.join(map(str, size))} voxels, bare slicer-core:",
        "",
        "| way | seconds (median) | longest step (s) |",
        "|---|---:|---:|",
    ]
    seconds, longest = {}, {}
    for method, label in METHODS.items():
        runs = [result for result in results if result["method"] == method]
        seconds[method] = float(np.median([run["seconds"] for run in runs]))
        longest[method] = float(np.median([run["longest_s"] for run in runs]))
        rows.append(f"| {label} | {seconds[method]:.3g} | {longest[method]:.2g} |")
    differences = [r["largest_difference_mm"] for r in results if "largest_difference_mm" in r]
    rows += [
        "",
        f"{seconds['slicer'] / seconds['builder']:.1f} times as fast; the surfaces differ by "
        f"{max(differences):.2g} mm at most.",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    ways.main(__file__, __doc__, METHODS, measure, table, repeats=1)
